"""mta: how each MTA is started, held back, let go and stopped, with one folder of its own.

Each relays everything that comes from loopback to one place (the bench sink), and flushes before it
answers. Ports are on loopback only."""
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.path.join(ROOT, "build")
SERVER_PORT, SINK_PORT, TARPIT_PORT, ADMIN_PORT, NAMES_PORT = 26525, 26600, 26601, 26025, 26053


def wait_port(port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.settimeout(5)
                if s.recv(3) == b"220":
                    s.sendall(b"QUIT\r\n")
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


class Mta:
    name = ""
    process = None

    def __init__(self, folder):
        self.folder = folder

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = self.launch()
        try:
            wait_port(SERVER_PORT)
        except RuntimeError:
            self.stop()
            with open(self.log.name, errors="replace") as f:
                raise RuntimeError(f"{self.name} does not start:\n{f.read()[-2000:]}")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.close()


class Postyard(Mta):
    """As in its manual, with the slots that the comparison gives to the other as well."""
    name = "postyard"
    binary = os.path.join(BUILD, "postyard")
    route = '{ if: "rcpt_domain == \'tarpit.example\'", use: tarpit }, { use: sink }'
    retry = "2s, 1m"
    resolver = ""
    level = "info"
    listeners = more = ""  # further listeners, further sections

    def configure(self):
        config = os.path.join(self.folder, "postyard.yaml")
        with open(config, "w") as f:
            f.write(f"""server:
  hostname: mx.example.org
  trusted-networks: [127.0.0.0/8]
listeners:
  smtp: {{ bind: ["127.0.0.1:{SERVER_PORT}"] }}
{self.listeners}admin: {{ bind: "127.0.0.1:{ADMIN_PORT}", socket: {self.folder}/admin.sock }}
store: {{ path: {self.folder}/store }}
log: {{ format: json, level: {self.level} }}
queue:
  virtual:
    remote: {{ concurrency: 100 }}
  schedule:
    remote: {{ queue-name: remote, retry: [{self.retry}], expire: 1d }}
  route:
    sink: {{ type: relay, address: 127.0.0.1, port: {SINK_PORT}, protocol: smtp }}
    tarpit: {{ type: relay, address: 127.0.0.1, port: {TARPIT_PORT}, protocol: smtp }}
  strategy:
    schedule: [ {{ use: remote }} ]
    route: [ {self.route} ]
{self.resolver}{self.more}""")
        self.config = config

    def launch(self):
        self.configure()
        return self.serve()

    def serve(self):
        return subprocess.Popen([self.binary, "serve", "-c", self.config], stdout=self.log,
                                stderr=self.log)

    def restart(self, with_signal):
        """Ends as told; returns how many seconds the new one took until it greets."""
        self.process.send_signal(with_signal)
        self.process.wait(60)
        begin = time.monotonic()
        self.process = self.serve()
        wait_port(SERVER_PORT, 60)
        return time.monotonic() - begin

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics", timeout=30) as r:
            for line in r.read().decode().splitlines():
                if line.startswith(f"postyard_{name} "):
                    return int(line.split()[1])
        raise RuntimeError(f"there is no metric {name}")

    def wait_loaded(self, seconds=120):
        end = time.monotonic() + seconds
        while self.metric("queue_loading") != 0:
            if time.monotonic() > end:
                raise RuntimeError("the queue does not load")
            time.sleep(0.1)

    def queue(self, *words):
        return subprocess.run([self.binary, "queue", *words, "-c", self.config], check=True,
                              capture_output=True, text=True).stdout

    # The destination is down: after three connections it rests, and mail for it waits unattempted.
    # One message tried by hand ends the rest, and all of them are due.
    def hold(self, sink):
        sink.close()

    def release(self, sink):
        sink.open()
        first = json.loads(self.queue("list", "--json", "--limit", "1"))["items"][0]
        self.queue("retry", first["id"])


class PostyardQueueing(Postyard):
    """No name can be looked up, so each message is tried once and waits, at its domain's site."""
    route = "{ use: mx }"
    retry = "12h"
    resolver = f'resolver: {{ servers: ["127.0.0.1:{NAMES_PORT}"], timeout: 1s }}\n'
    level = "warn"


class Postfix(Mta):
    """Unpacked into build/peers, never installed; master runs in the foreground. It writes no log
    (there is no syslog for it), which saves it work."""
    tree = os.path.join(BUILD, "peers", "postfix")
    settings = ""
    smtpd_max = smtp_max = "-"

    def main_cf(self, extra=""):
        lib = f"{self.tree}/usr/lib/postfix"
        owner = next(u for u in ("postfix", "news", "uucp", "games") if self.has_user(u))
        self.owner = owner
        self.drop = next(g for g in ("postdrop", "uucp", "games", "tape")
                         if g != owner and self.has_group(g))
        return f"""compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
command_directory = {self.tree}/usr/sbin
daemon_directory = {lib}/sbin
shlib_directory = {lib}
meta_directory = {self.folder}/etc
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH={lib}
export_environment = TZ LANG=C LD_LIBRARY_PATH={lib}
mail_owner = {owner}
setgid_group = {self.drop}
myhostname = mx.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [127.0.0.1]:{SINK_PORT}
transport_maps = inline:{{ {{ tarpit.example = smtp:[127.0.0.1]:{TARPIT_PORT} }} }}
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_recipient_restrictions = permit_mynetworks, reject
{self.settings}{extra}"""

    @staticmethod
    def has_user(name):
        try:
            return bool(pwd.getpwnam(name))
        except KeyError:
            return False

    @staticmethod
    def has_group(name):
        with open("/etc/group") as f:
            return any(line.startswith(name + ":") for line in f)

    def master_cf(self, with_queue_manager):
        rows = [f"127.0.0.1:{SERVER_PORT} inet n - n - {self.smtpd_max} smtpd",
                "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
                "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr",
                "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
                "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce",
                "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush",
                "proxymap unix - - n - - proxymap", f"smtp unix - - n - {self.smtp_max} smtp",
                f"relay unix - - n - {self.smtp_max} smtp", "showq unix n - n - - showq",
                "error unix - - n - - error", "retry unix - - n - - error",
                "discard unix - - n - - discard", "local unix - n n - - local",
                "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache"]
        return "".join(row + "\n" for row in rows
                       if with_queue_manager or not row.startswith("qmgr"))

    def configure(self, extra="", with_queue_manager=True):
        with open(f"{self.folder}/etc/main.cf", "w") as f:
            f.write(self.main_cf(extra))
        with open(f"{self.folder}/etc/master.cf", "w") as f:
            f.write(self.master_cf(with_queue_manager))

    def launch(self):
        os.chmod(self.folder, 0o755)
        os.mkdir(f"{self.folder}/etc")
        self.configure()
        owner = pwd.getpwnam(self.owner)
        drop = next(int(line.split(":")[2]) for line in open("/etc/group")
                    if line.startswith(self.drop + ":"))
        for path, mode, uid, gid in [("data", 0o700, owner.pw_uid, -1), ("queue", 0o755, 0, 0),
                                     ("queue/pid", 0o755, 0, 0),
                                     ("queue/maildrop", 0o730, owner.pw_uid, drop),
                                     ("queue/public", 0o710, owner.pw_uid, drop)] + \
                [(f"queue/{q}", 0o700, owner.pw_uid, -1)
                 for q in "active bounce corrupt defer deferred flush hold incoming private saved "
                          "trace".split()]:
            os.mkdir(f"{self.folder}/{path}")
            os.chmod(f"{self.folder}/{path}", mode)
            os.chown(f"{self.folder}/{path}", uid, gid)
        return subprocess.Popen([f"{self.tree}/usr/lib/postfix/sbin/master", "-c",
                                 f"{self.folder}/etc", "-d"], stdout=self.log, stderr=self.log,
                                env=self.environment(), start_new_session=True)

    def environment(self):
        return dict(os.environ, LD_LIBRARY_PATH=f"{self.tree}/usr/lib/postfix",
                    MAIL_CONFIG=f"{self.folder}/etc")

    # Mail waits where it arrives while there is no queue manager, and is not deferred: when one
    # comes it finds all of it due, which is the best case.
    def hold(self, _):
        self.configure("in_flow_delay = 0\n", with_queue_manager=False)
        self.process.send_signal(signal.SIGHUP)
        time.sleep(2)

    def release(self, _):
        self.configure()
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        if self.process is not None:
            group = self.process.pid
            super().stop()
            try:
                os.killpg(group, signal.SIGTERM)  # daemons of a master that was killed
            except ProcessLookupError:
                pass
            shutil.rmtree(f"{self.folder}/queue", ignore_errors=True)


class PostfixDefaults(Postfix):
    name = "postfix, defaults"


class PostfixTuned(Postfix):
    """What guides for busy relays agree upon: more processes, no throttle between arrival and
    delivery, high concurrency to one destination, connections kept, processes reused for long."""
    name = "postfix, tuned"
    smtpd_max = "600"
    smtp_max = "200"
    settings = """default_process_limit = 600
in_flow_delay = 0
max_use = 10000
max_idle = 1h
default_destination_concurrency_limit = 200
smtp_destination_concurrency_limit = 200
initial_destination_concurrency = 100
default_destination_recipient_limit = 200
qmgr_message_active_limit = 60000
qmgr_message_recipient_limit = 120000
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = 127.0.0.1
smtp_connection_cache_time_limit = 30s
smtp_connection_reuse_count_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
local_header_rewrite_clients =
append_dot_mydomain = no
hash_queue_names = incoming, active, deferred, defer
"""


ALL = {"postyard": Postyard, "postfix-tuned": PostfixTuned, "postfix-defaults": PostfixDefaults}


def available():
    return bool(glob.glob(os.path.join(Postfix.tree, "usr/lib/postfix/sbin/master")))

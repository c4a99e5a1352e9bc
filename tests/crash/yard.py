"""One server with its folder, its shim, its clients and its destination."""
import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from ports import free_ports
from shimlog import Control

HERE = os.path.dirname(os.path.abspath(__file__))

CONFIG = """\
server:
  hostname: mx.example.org
listeners:
  smtp: {{ bind: ["127.0.0.1:{smtp}"] }}
admin: {{ bind: "127.0.0.1:{admin}", socket: {folder}/admin.sock }}
store: {{ path: {store}, segment-size: 1MiB, min-free: {min_free} }}
log: {{ format: json, level: debug }}
queue:
  virtual:
    remote: {{ concurrency: 60 }}
    dsn: {{ concurrency: 5 }}
    stay: {{ concurrency: 4 }}
  schedule:
    remote: {{ queue-name: remote, retry: [1s], expire: 1h }}
    dsn: {{ queue-name: dsn, retry: [1s], expire: 1h }}
    stay: {{ queue-name: stay, retry: [1h], expire: 1d }}
  route:
    sink: {{ type: relay, address: 127.0.0.1, port: {sink}, protocol: smtp }}
    nowhere: {{ type: relay, address: 127.0.0.1, port: 1, protocol: smtp }}
  connection:
    default: {{ rest: [1s], rcpts-per-transaction: 10, timeout: {{ connect: 5s }} }}
    nowhere: {{ rest: [1h] }}
  strategy:
    schedule:
      - {{ if: "source == 'dsn'", use: dsn }}
      - {{ if: "rcpt_domain == 'nowhere.example'", use: stay }}
      - {{ use: remote }}
    route: [ {{ if: "rcpt_domain == 'nowhere.example'", use: nowhere }}, {{ use: sink }} ]
    connection:
      - {{ if: "rcpt_domain == 'nowhere.example'", use: nowhere }}
      - {{ use: default }}
"""


class Failure(Exception):
    """The server did what it must not do."""


class Yard:
    def __init__(self, folder, postyard, shim, store=None, min_free="1MiB"):
        self.folder, self.postyard, self.shim = folder, postyard, shim
        self.store = store or os.path.join(folder, "store")
        self.smtp, self.admin, self.sink_port = free_ports(3)
        self.config = os.path.join(folder, "postyard.yaml")
        self.record = os.path.join(folder, "sink.jsonl")
        self.release = os.path.join(folder, "release")
        self.log = os.path.join(folder, "server.log")
        os.makedirs(self.store, exist_ok=True)
        with open(self.config, "w") as f:
            f.write(CONFIG.format(smtp=self.smtp, admin=self.admin, sink=self.sink_port,
                                  folder=folder, store=self.store, min_free=min_free))
        self.control = Control(os.path.join(folder, "control"))
        self.server = self.sink = None
        self.starts = 0
        self.shim_log = None

    def start_sink(self):
        self.sink = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "sink.py"), self.record, self.release,
             str(self.sink_port)], stdout=subprocess.PIPE)
        assert self.sink.stdout.readline() == b"ready\n"

    def start(self, shim_log=True, record_bytes=True, wait=20):
        """With the shim or without; record_bytes=False: it obeys its control, and records nothing."""
        self.starts += 1
        env = dict(os.environ)
        if shim_log:
            self.shim_log = os.path.join(self.folder, f"shim-{self.starts}")
            if not record_bytes:
                self.shim_log = "/dev/null"
            env |= {"LD_PRELOAD": self.shim, "SHIM_STORE": self.store, "SHIM_LOG": self.shim_log,
                    "SHIM_CONTROL": os.path.join(self.folder, "control")}
        with open(self.log, "ab+") as log:
            if log.tell() > 0:
                log.seek(-1, os.SEEK_END)
                log.write(b"" if log.read() == b"\n" else b"\n")  # a kill cut its last line off
            log.write(json.dumps({"event": "start", "number": self.starts}).encode() + b"\n")
            self.server = subprocess.Popen([self.postyard, "serve", "-c", self.config], env=env,
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if self.server.poll() is not None:
                return False
            try:
                socket.create_connection(("127.0.0.1", self.smtp), 1).close()
                return True
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise Failure("the server does not listen")

    def kill(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGKILL)
        self.server.wait()

    def stop(self, wait=15):
        """In peace; its exit status."""
        self.server.send_signal(signal.SIGTERM)
        try:
            return self.server.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def queued(self):
        """Recipients that wait; None when the server does not say."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/api/v1/queue?limit=1",
                                        timeout=5) as r:
                return json.load(r)["total"]
        except OSError:
            return None

    def events(self):
        """A line that a kill cut off is none; any other that cannot be read is not-json."""
        unread = None
        with open(self.log, "rb") as f:
            for line in f:
                try:
                    e = json.loads(line)
                except ValueError:
                    e = {"event": "not-json", "text": line.decode(errors="replace")}
                if unread and e["event"] != "start":
                    yield unread
                unread = e if e["event"] == "not-json" else None
                if not unread:
                    yield e
        if unread:
            yield unread

    def delivered(self):
        if not os.path.exists(self.record):
            return
        with open(self.record, "rb") as f:
            for line in f:
                if line.endswith(b"\n"):  # else it is being written
                    yield json.loads(line)

    def end(self):
        for p in (self.server, self.sink):
            if p is not None and p.poll() is None:
                p.kill()
                p.wait()
        self.control.map.close()


class Message:
    __slots__ = ("token", "to", "digest", "id", "round", "reply", "sent", "answered")


class Load:
    """Clients that send without pause, and know what was answered. A second number in `mix` says
    how often: recipients are taken, greylisted, late or refused."""

    def __init__(self, yard, rng, clients=8):
        self.yard, self.rng, self.clients = yard, rng, clients
        self.messages = {}
        self.by_id = {}
        self.round = 0
        self.made = 0
        self.late_left = 60
        self.wide_left = 0
        self.pause_s = 0.0
        self.stay = 0.0
        self.mix = (60, 10, 1, 6, 5, 9, 4, 5, 1)

    def make(self):
        rng = self.rng
        m = Message()
        self.made += 1
        m.token = f"{self.made:06d}" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6))
        kinds = rng.choices((["ok"], ["ok", "ok", "ok"], ["slow"], ["no"], ["ok", "no"], ["grey"],
                             ["late"], ["ok", "grey", "late"], ["slow"] * 40), self.mix)[0]
        if "late" in kinds:
            self.late_left -= 1
            if self.late_left < 0:
                kinds = ["ok"]
        if rng.random() < self.stay:
            kinds = ["stay"]
        m.to = [f"{k}-{i}-{m.token}@d{rng.randint(1, 9)}.example" for i, k in enumerate(kinds)]
        if kinds == ["stay"]:  # keeps its segment alive to the end
            m.to = [f"stay-{m.token}@nowhere.example"]
        m.id = m.reply = m.answered = None
        m.round = self.round
        self.messages[m.token] = m
        size = rng.choices((300, 2000, 4000, 30000, 200000), (20, 30, 40, 9, 1))[0]
        lines = [f"X-Token: PYT-{m.token}", f"Subject: message {m.token}", "",
                 ".a line that begins with a dot"]
        lines += ["%064x" % rng.getrandbits(256)] * (size // 66) + [f"PYE-{m.token}", ""]
        content = "\r\n".join(lines).encode()
        m.digest = hashlib.sha1(content).hexdigest()
        return m, content.replace(b"\r\n.", b"\r\n..") + b".\r\n"

    def make_wide(self):
        """Many recipients that stay: they make the index long, and checkpoints rare. The first
        thousands are tried again, and deferred at once, after each start."""
        m, content = self.make()
        m.to = [f"stay-{i}-{m.token}@nowhere.example" for i in range(900)]
        return m, content

    async def converse(self, end):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.yard.smtp)

        async def reply():
            while True:
                line = await reader.readline()
                if not line:
                    raise ConnectionResetError
                if line[3:4] != b"-":
                    return line

        try:
            await reply()
            writer.write(b"EHLO client.example\r\n")
            await reply()
            while time.monotonic() < end:
                m, content = self.make_wide() if self.wide_left > 0 else self.make()
                self.wide_left -= 1
                writer.write((f"MAIL FROM:<from-{m.token}@sender.example>\r\n" +
                              "".join(f"RCPT TO:<{t}>\r\n" for t in m.to) + "DATA\r\n").encode())
                first = [await reply() for _ in range(len(m.to) + 1)]
                go = await reply()
                await asyncio.sleep(self.pause_s)
                if go[:1] != b"3":
                    m.reply = (first + [go])[0 if first[0][:1] != b"2" else -1].decode()
                    writer.write(b"RSET\r\n")
                    await reply()
                    await asyncio.sleep(0.02)
                    continue
                writer.write(content)
                await writer.drain()
                m.sent = time.monotonic()
                m.reply = (await reply()).decode()
                m.answered = time.monotonic()
                if m.reply.startswith("250"):
                    m.id = m.reply.split()[-1]
                    self.by_id[m.id] = m
                else:
                    await asyncio.sleep(0.02)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()

    async def client(self, end):
        while time.monotonic() < end:
            try:
                await self.converse(end)
            except (ConnectionError, OSError):
                if self.yard.server.poll() is not None:
                    return
                await asyncio.sleep(0.02)

    def run(self, seconds, at_end=None):
        """Sends for so long, or until the server is gone; at_end() is called while clients wait."""

        async def all_of_it():
            end = time.monotonic() + seconds
            clients = [asyncio.ensure_future(self.client(end + (5 if at_end else 0)))
                       for _ in range(self.clients)]
            while time.monotonic() < end and self.yard.server.poll() is None:
                await asyncio.sleep(0.005)
            if at_end:
                at_end()
            await asyncio.wait(clients, timeout=10)
            for c in clients:
                c.cancel()

        asyncio.run(all_of_it())

    def answered(self):
        return [m for m in self.messages.values() if m.id]

    def missing(self):
        """What was answered and did not come out yet."""
        got = set()
        for line in self.yard.delivered():
            got.update(line["to"] if line["from"] else line["tokens"])
        return [t for m in self.answered() for t in m.to if not t.startswith("stay-")
                and (m.token if t.startswith("no-") else t) not in got]

"""Exim. It takes mail from anyone: for `domain` into a maildir, all other mail to `relayhost`."""

from .peer import Peer

CONFIG = """
primary_hostname = exim.test
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
spool_directory = {inside}/spool
log_file_path = {inside}/%slog
log_selector = +all_parents +smtp_confirmation
acl_smtp_rcpt = take
acl_smtp_data = take
accept_8bitmime = true
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
message_size_limit = 60M
recipients_max = 1000
never_users =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
timeout_frozen_after = 1d
keep_environment =
tls_advertise_hosts =

begin acl
take:
{closed}  accept

begin routers
here:
  driver = accept
  domains = {domain}
  transport = maildirs
  local_parts = !refused
  no_more
onwards:
  driver = manualroute
  domains = !{domain}
  route_list = * {relayhost}
  transport = onwards
  self = send

begin transports
maildirs:
  driver = appendfile
  directory = {inside}/mail/all
  maildir_format
  create_directory
  user = vmail
  group = vmail
  mode = 0600
  delivery_date_add = false
  envelope_to_add = false
  return_path_add = false
onwards:
  driver = smtp
  port = {relayport}
  hosts_try_fastopen =
  allow_localhost

begin retry
*  *  F,1h,1s

begin rewrite
begin authenticators
{authenticators}"""

# Only who is `user` with `secret` may send.
CLOSED = """  deny
    !authenticated = *
    message = 5.7.0 who are you?
"""
AUTHENTICATOR = """
{name}:
  driver = plaintext
  public_name = {public}
  server_prompts = {prompts}
  server_condition = ${{if and{{{{eq{{$auth{first}}}{{{user}}}}}{{eq{{$auth{second}}}{{{secret}}}}}}}{{yes}}{{no}}}}
  server_set_id = $auth{first}
"""


class Exim(Peer):
    name = "exim"

    def start(self, relayhost="127.0.0.1", relayport=25, domain="exim.test", user=None,
              secret=None):
        self.make("", "Debian-exim")
        self.make("spool", "Debian-exim", 0o750)
        self.make("mail", "vmail")
        (self.root / "etc/exim4").mkdir(exist_ok=True)
        # Its place is compiled in, so only one Exim runs at a time.
        (self.root / "etc/exim4/exim4.conf").write_text(CONFIG.format(
            port=self.port, inside=self.inside, relayhost=relayhost, relayport=relayport,
            domain=domain, closed=CLOSED if user else "",
            authenticators=self.authenticators(user, secret) if user else ""))
        self.run("/usr/sbin/exim4", "-bdf", "-q1s")
        return self.wait_open()

    @staticmethod
    def authenticators(user, secret):
        return "".join(AUTHENTICATOR.format(name=public.lower(), public=public, prompts=prompts,
                                            first=first, second=first + 1, user=user, secret=secret)
                       for public, prompts, first in (("PLAIN", ":", 2),
                                                      ("LOGIN", "Username:: : Password::", 1)))

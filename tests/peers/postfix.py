"""Postfix. It takes mail from anyone: for `domain` into maildirs, all other mail to `relayhost`."""

from .peer import Peer

SERVICES = """
{port}    inet  n - n - -    smtpd
cleanup   unix  n - n - 0    cleanup
qmgr      unix  n - n 300 1  qmgr
rewrite   unix  - - n - -    trivial-rewrite
bounce    unix  - - n - 0    bounce
defer     unix  - - n - 0    bounce
trace     unix  - - n - 0    bounce
tlsmgr    unix  - - n 1000? 1 tlsmgr
smtp      unix  - - n - -    smtp
relay     unix  - - n - -    smtp
error     unix  - - n - -    error
retry     unix  - - n - -    error
virtual   unix  - n n - -    virtual
anvil     unix  - - n - 1    anvil
scache    unix  - - n - 1    scache
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{inside}/spool",
    "data_directory": "{inside}/data",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "command_directory": "/usr/sbin",
    "meta_directory": "/usr/share/postfix",
    "shlib_directory": "/usr/lib/postfix",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "myhostname": "postfix.test",
    "mydestination": "",
    "local_recipient_maps": "",
    "local_transport": "error:nobody here",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "smtp_host_lookup": "native",
    "relayhost": "{relayhost}",
    "virtual_mailbox_domains": "{domain}",
    "virtual_mailbox_base": "{inside}/mail",
    "virtual_mailbox_maps": "static:all/",
    "virtual_uid_maps": "static:{uid}",
    "virtual_gid_maps": "static:{uid}",
    "virtual_mailbox_limit": "0",
    "message_size_limit": "60000000",
    "smtputf8_enable": "yes",
    "smtputf8_autodetect_classes": "all",
    "smtpd_peername_lookup": "no",
    "biff": "no",
    "maillog_file": "{inside}/log",
    "maillog_file_prefixes": "/run",
    "alias_maps": "",
    "alias_database": "",
    "smtp_tls_security_level": "may",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
    "queue_run_delay": "1s",
}


class Postfix(Peer):
    name = "postfix"

    def start(self, relayhost="", domain="postfix.test", **settings):
        uid = self.account("vmail")
        etc = self.make("etc")
        self.make("spool")
        self.make("data", "postfix")
        self.make("mail", "vmail")
        self.make("mail/all", "vmail")
        for folder in ("active bounce corrupt defer deferred flush hold incoming private saved "
                       "trace").split():
            self.make(f"spool/{folder}", "postfix", 0o700)
        for folder in ("maildrop", "public"):
            self.make(f"spool/{folder}", "postfix", 0o730)
        self.make("spool/pid")
        for key, value in {**MAIN, **settings}.items():
            with open(etc / "main.cf", "a") as f:
                text = str(value).format(inside=self.inside, relayhost=relayhost, uid=uid,
                                         domain=domain)
                f.write(f"{key} = {text}\n")
        (etc / "master.cf").write_text(SERVICES.format(port=f"127.0.0.1:{self.port}"))
        self.run("/usr/lib/postfix/sbin/master", "-d", "-c", f"{self.inside}/etc")
        return self.wait_open()

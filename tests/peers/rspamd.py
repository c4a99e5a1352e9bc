"""Rspamd as a filter, scanning by itself: no name server, no Redis, few rules, so that its verdicts come
from the message alone."""

from .peer import Peer

CONFIG = """
options {{
    pidfile = "{inside}/rspamd.pid";
    tempdir = "/tmp";
    filters = "chartable,dkim,spf,regexp";
    disable_hyperscan = true;
    enable_test_patterns = true;
    local_addrs = [];
    dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
    control_socket = "{inside}/control.sock mode=0600";
}}
logging {{ type = "file"; filename = "{inside}/log"; level = "info"; }}
lang_detection {{ enabled = false; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "rspamd_proxy" {{
    bind_socket = "127.0.0.1:{port}";
    milter = yes;
    count = 1;
    timeout = 20s;
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
milter_headers {{
    use = ["x-spamd-bar", "x-spam-level", "x-spam-status"];
    skip_local = false;
    skip_authenticated = false;
}}
modules {{ path = "/usr/share/rspamd/plugins/milter_headers.lua"; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
"""


class Rspamd(Peer):
    name = "rspamd"

    def start(self):
        for folder in ("", "db"):
            self.make(folder, "_rspamd")
        (self.folder / "rspamd.conf").write_text(CONFIG.format(port=self.port, inside=self.inside))
        self.run("/usr/bin/rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c",
                 f"{self.inside}/rspamd.conf", "--var", f"DBDIR={self.inside}/db")
        return self.wait_open(seconds=60)

    @property
    def address(self):
        return f"inet:127.0.0.1:{self.port}"

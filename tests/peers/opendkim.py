"""OpenDKIM as a filter: it signs mail of `domain` from this machine, and verifies all other mail by keys
in a file instead of DNS."""

import os
import re
import subprocess

from .peer import Peer

CONFIG = """
Socket inet:{port}@127.0.0.1
UserID opendkim
Background no
Syslog no
LogWhy no
Mode {mode}
AuthservID filter.test
AlwaysAddARHeader yes
InternalHosts {inside}/internal
TestPublicKeys {inside}/public
Canonicalization relaxed/relaxed
"""

SIGNS = """
Domain {domain}
Selector one
KeyFile {inside}/one.private
"""


class OpenDKIM(Peer):
    name = "opendkim"

    def start(self, mode="s", domain="example.org", key_of=None):
        """mode: s signs, v verifies. `key_of`: another one, whose signatures are known here."""
        if mode == "s":
            self.make_key(domain)
        key = self if key_of is None else key_of
        (self.folder / "public").write_text(key.public + "\n")
        (self.folder / "internal").write_text("127.0.0.1\n" if mode == "s" else "192.0.2.1\n")
        config = (CONFIG + (SIGNS if mode == "s" else "")).format(
            port=self.port, inside=self.inside, mode=mode, domain=domain)
        (self.folder / "opendkim.conf").write_text(config)
        self.run("/usr/sbin/opendkim", "-f", "-x", f"{self.inside}/opendkim.conf")
        return self.wait_open()

    @property
    def address(self):
        return f"inet:127.0.0.1:{self.port}"

    def make_key(self, domain):
        subprocess.run(["openssl", "genrsa", "-out", "one.private", "2048"], cwd=self.folder,
                       check=True, capture_output=True)
        der = subprocess.run(["openssl", "rsa", "-in", "one.private", "-pubout"], cwd=self.folder,
                             check=True, capture_output=True, text=True).stdout
        code = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", der, re.M))
        self.public = f"one._domainkey.{domain} v=DKIM1; k=rsa; p={code}"
        path = self.folder / "one.private"
        path.chmod(0o600)
        os.chown(path, self.account("opendkim"), self.account("opendkim"))

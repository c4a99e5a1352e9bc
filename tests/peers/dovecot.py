"""Dovecot, its LMTP service only, with one maildir for each user of `domain`; `nobody@` is unknown."""

from .peer import Peer

CONFIG = """
base_dir = {inside}/base
state_dir = {inside}/state
log_path = {inside}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
mail_location = maildir:{inside}/mail/%u
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 100
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  client_limit = 100
}}
userdb {{
  driver = passwd-file
  args = {inside}/users
}}
passdb {{
  driver = passwd-file
  args = {inside}/users
}}
lmtp_save_to_detail_mailbox = no
"""


class Dovecot(Peer):
    name = "dovecot"

    def start(self, users=("alice@example.org", "bob@example.org")):
        uid = self.account("vmail")
        self.make("base")
        self.make("state")
        self.make("mail", "vmail")
        (self.folder / "users").write_text("".join(
            f"{user}:{{plain}}none:{uid}:{uid}::{self.inside}/mail/{user}::\n" for user in users))
        (self.folder / "dovecot.conf").write_text(CONFIG.format(port=self.port,
                                                               inside=self.inside))
        self.run("/usr/sbin/dovecot", "-F", "-c", f"{self.inside}/dovecot.conf")
        return self.wait_open()

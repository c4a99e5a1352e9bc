"""NSD, a name server, with the zones that it is given as text."""

from .peer import Peer

CONFIG = """
server:
    ip-address: 127.0.0.1@{port}
    username: ""
    chroot: ""
    zonesdir: "{inside}"
    database: ""
    pidfile: "{inside}/pid"
    xfrdfile: "{inside}/xfrd"
    zonelistfile: "{inside}/zonelist"
    logfile: "{inside}/log"
    server-count: 1
remote-control:
    control-enable: no
"""

HEAD = """$ORIGIN {zone}.
$TTL 60
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 1
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
"""


class Nsd(Peer):
    name = "nsd"

    def start(self, zones):
        text = CONFIG.format(port=self.port, inside=self.inside)
        for zone, records in zones.items():
            (self.folder / f"{zone}.zone").write_text(HEAD.format(zone=zone) + records + "\n")
            text += f'zone:\n    name: "{zone}"\n    zonefile: "{zone}.zone"\n'
        (self.folder / "nsd.conf").write_text(text)
        self.run("/usr/sbin/nsd", "-d", "-c", f"{self.inside}/nsd.conf")
        return self.wait_open()

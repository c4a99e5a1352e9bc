"""One real program on the other side: fetched by `fetch`, run by chroot in build/peers/NAME, with
configuration, spool and mailboxes of its own below run/ there. Ended with all its children."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from ports import free_port

TREE = Path(__file__).resolve().parents[2]
PEERS = TREE / "build" / "peers"


def made(folder):
    """False: it was there already, perhaps since another run has just made it."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


class Peer:
    name = None  # of the folder in build/peers

    def __init__(self):
        self.root = PEERS / self.name
        if not (self.root / ".complete").exists():
            subprocess.run([TREE / "tests/peers/fetch", self.name], check=True)
        # Short: a local socket's path has room for a hundred bytes.
        n = 1
        (self.root / "run").mkdir(exist_ok=True)
        while not made(self.root / "run" / str(n)):
            n += 1
        self.inside = f"/run/{n}"
        self.folder = self.root / "run" / str(n)
        self.port = free_port()
        self.process = None

    def account(self, name):
        for line in (self.root / "etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2])
        raise KeyError(name)

    def make(self, path, owner="root", mode=0o755):
        folder = self.folder / path
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, self.account(owner), self.account(owner))
        os.chmod(folder, mode)
        return folder

    def run(self, *command):
        self.output = open(self.folder / "output", "ab")
        self.process = subprocess.Popen(
            ["chroot", str(self.root), *command], stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=self.output, start_new_session=True, cwd="/")
        return self

    def wait_open(self, port=None, seconds=20):
        """Until it takes connections: it has no other way to say that it is ready."""
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port or self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"{self.name} does not start:\n{self.said()}") from None
                time.sleep(0.05)

    def said(self):
        texts = []
        for path in sorted(self.folder.glob("*")):
            if path.name in ("output", "log", "mainlog", "rejectlog", "paniclog"):
                texts.append(path.read_text(errors="replace"))
        return "\n".join(texts)

    def wait_mail(self, count, seconds=30, where="mail"):
        """The messages in all maildirs, as bytes, when there are `count` of them."""
        end = time.monotonic() + seconds
        while True:
            found = sorted((self.folder / where).glob("**/new/*"))
            if len(found) >= count:
                return [path.read_bytes() for path in found]
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} has {len(found)} of {count} messages:\n"
                                     f"{self.said()[-3000:]}")
            time.sleep(0.05)

    def end(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.end()

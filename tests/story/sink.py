"""`postyard sink` as a host that mail goes to, with one of its behaviours."""

import json
import subprocess
import time

from ports import free_port
from yard import PATIENCE, PROGRAM


class Sink:
    def __init__(self, folder, *behaviours):
        folder.mkdir()
        self.folder, self.address, self.port = folder, "127.0.0.1", free_port()
        words = [word for b in behaviours for word in ("--behaviour", b)]
        self.process = subprocess.Popen(
            [PROGRAM, "sink", "--quiet", "--save", str(folder), "--listen",
             f"{self.address}:{self.port}", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.process.stdout.readline()  # it listens

    def messages(self):
        """The envelopes of what it has taken."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]

    def wait_messages(self, count):
        end = time.monotonic() + PATIENCE
        while len(self.messages()) < count:
            assert time.monotonic() < end, f"{len(self.messages())} of {count} messages came"
            time.sleep(0.02)
        return self.messages()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

"""load: the generator and the sink of a measurement, as processes of their own (load.c, sink.c)."""
import json
import os
import subprocess
import time

import mta

BENCH = os.path.join(mta.BUILD, "bench")
WARM_S = 2  # a generator's first seconds, which do not count


class Sink:
    def __init__(self, folder):
        self.path = os.path.join(folder, "sink-counter")
        self.open()

    def open(self):
        self.process = subprocess.Popen(
            [f"{BENCH}/bench-sink", "--listen", f"127.0.0.1:{mta.SINK_PORT}", "--counter",
             self.path], stdout=subprocess.PIPE, text=True)
        mta.wait_port(mta.SINK_PORT)

    def count(self):
        with open(self.path, "rb") as f:
            return int.from_bytes(f.read(8), "little")

    def wait(self, count, seconds):
        """Until so many are there, or none came for so many seconds."""
        last, since = -1, time.monotonic()
        while True:
            now = self.count()
            if now >= count:
                return True
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > seconds:
                return False
            time.sleep(0.02)

    def close(self):
        self.process.terminate()
        self.process.wait()

    def mark(self):
        self.process.send_signal(10)  # SIGUSR1

    def end(self):
        self.process.terminate()
        return json.loads(self.process.communicate()[0])


def load(port, seconds, options, wait=True):
    words = [f"{BENCH}/bench-load", "--to", f"127.0.0.1:{port}", "--seconds", str(seconds),
             "--warm", str(WARM_S)]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    return json.loads(process.communicate()[0]) if wait else process

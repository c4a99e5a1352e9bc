#!/usr/bin/python3
"""mixed: many messages of all kinds through Postyard, P12: each arrives byte for byte, none is lost,
none is doubled.

90 % are of 1 B to 16 KiB (log-uniform), 9.9 % up to 1 MiB, one in a thousand has 20 MiB; one to fifty
recipients; text, 8-bit, UTF-8 in header and addresses, lines of 998 octets, dots at line starts; DATA and
BDAT. With --flaky the hosts refuse for now, hang up and answer nonsense by chance; with --crashes N
Postyard is killed so often while mail flows, and only then may something come twice; with --reloads N it
reads its configuration again so often. Prints `N messages to M recipients ...` and ends with 0, or says what was wrong and ends with 1.
"""

import argparse
import hashlib
import queue
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from client import Client, stuffed  # noqa: E402
from host import Host  # noqa: E402
from yard import Yard  # noqa: E402

DOMAINS = ["one.example", "two.example", "three.example", "four.example"]
# Our Received field ends with its date; a message without a header may begin with a blank.
TRACE = re.compile(rb"\AReceived: (?:[^\r\n]*\r\n[ \t])*?[^\r\n]* \d\d:\d\d:\d\d [+-]\d{4}\r\n")
BIG = 20 << 20
FLAKY = [("CONNECT", "220 host.example"), ("MAIL", "250 2.1.0 ok"), ("RCPT", "250 2.1.5 ok"),
         ("DATA", "354 go on"), ("DOT", "250 2.0.0 taken")]
NAMES = ["b", "ana.lópez", "δοκιμή", "почта", "用户"]


def size_of(r, n):
    if n % 1000 == 500:
        return BIG
    if r.random() < 0.9:
        return int(16384 ** r.random())
    return int(16384 * 64 ** r.random())


def line_of(r, kind, room):
    length = min(room, r.choice([0, 1, 2, 20, 72, 78, 200, 998]))
    if kind == "8bit":
        line = bytes(b for b in r.randbytes(length) if b not in b"\r\n\0")
    elif kind == "utf8":
        line = ("Grüße aus 東京 " * 80).encode()[:length].decode(errors="ignore").encode()
    else:
        line = (b"The quick brown fox jumps over the lazy dog. " * 23)[:length]
    return (b"." + line[1:]) if line and r.random() < 0.1 else line


def message_of(r, n, kind, size):
    """About `size` bytes. The small ones have no header at all, or nothing but one."""
    parts = []
    if size >= 200:
        parts.append(f"From: a@client.example\r\nSubject: number {n}\r\nMessage-ID: <{n}@x>\r\n")
        if kind == "utf8":
            parts.append("X-Greeting: Grüße\r\n")
        if kind == "8bit":
            parts.append("MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n")
        parts = ["".join(parts).encode(), b"\r\n"]
    left = size - sum(map(len, parts))
    if left > 1 << 20:  # a megabyte of lines, over and over
        block = b"".join(line_of(r, kind, 998) + b"\r\n" for _ in range(5000))
        parts.append((block * (left // len(block) + 1))[:left - 2].rstrip(b"\r\n") + b"\r\n")
    else:
        while left > 0:
            line = line_of(r, kind, max(left - 2, 1)) + b"\r\n"
            parts.append(line)
            left -= len(line)
    message = b"".join(parts)
    if kind != "8bit":
        return message
    return message.replace(b"\r\n\r\n\r\n\r\n", b"\r\n\r\n")


class Letter:
    def __init__(self, seed, n):
        r = random.Random(f"{seed}-{n}")
        self.kind = r.choice(["text", "text", "8bit", "utf8"])
        self.message = message_of(r, n, self.kind, size_of(r, n))
        self.by_chunks = r.random() < 0.3
        if self.by_chunks and r.random() < 0.3:
            self.message = self.message[:-2] or b"x"  # without its last line end
        count = r.choice([1, 1, 1, 1, 1, 1, 2, 3, 5, r.randint(6, 50)])
        name = r.choice(NAMES) if self.kind == "utf8" else "b"
        self.sender = f"{name if name != 'b' else 'a'}-{n}@client.example"
        self.recipients = [f"{name}-{n}-{k}@{r.choice(DOMAINS)}" for k in range(count)]
        self.words = " BODY=8BITMIME" if self.kind != "text" else ""
        if self.kind == "utf8":
            self.words += " SMTPUTF8"
        whole = self.message if self.message.endswith(b"\r\n") else self.message + b"\r\n"
        if whole[:1] in (b" ", b"\t"):  # else it would be read as the rest of our Received field
            whole = b"\r\n" + whole
        self.digest = hashlib.sha256(whole).digest()


class Place(Host):
    """Keeps digests only. A Received field of ours comes first, then every byte as it was."""

    def __init__(self, arrived, flaky):
        super().__init__(words=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 104857600"))
        self.mail = Arrivals(arrived)
        for command, usual in FLAKY if flaky else ():
            self.answers(command, self.by_chance(usual))

    def by_chance(self, usual):
        """An answer of None is a connection that is closed; in its place nothing is remembered."""
        bad = [None, "421 4.3.2 go away", "451 4.3.0 not now", "what?", "450 4.2.0 busy"]
        return lambda line: random.choice(bad) if random.random() < 0.02 else usual


class Arrivals:
    def __init__(self, arrived):
        self.arrived = arrived
        self.count = 0

    def append(self, taken):
        trace = TRACE.match(taken.message)
        rest = taken.message[trace.end():] if trace else taken.message
        self.count += 1
        self.arrived.put((taken.sender, taken.recipients, hashlib.sha256(rest).digest(),
                          len(rest), bool(trace)))

    def __len__(self):
        return self.count


def send(client, letter):
    client.says(f"MAIL FROM:<{letter.sender}>{letter.words}", 250)
    client.sends("".join(f"RCPT TO:<{r}>\r\n" for r in letter.recipients).encode())
    for _ in letter.recipients:
        client.hears(250)
    if letter.by_chunks:
        half = len(letter.message) // 2
        first, last = letter.message[:half], letter.message[half:]
        client.sends(b"BDAT %d\r\n" % len(first) + first)
        client.hears(250)
        client.sends(b"BDAT %d LAST\r\n" % len(last) + last)
    else:
        client.says("DATA", 354)
        client.sends(stuffed(letter.message))
    client.hears(250)


def run(folder, count, seed=1, clients=6, flaky=False, crashes=0, reloads=0):
    """Sends them, waits for them; gives what was wrong (empty: nothing) and how much there was."""
    wrong, arrived, expected = [], queue.Queue(), {}
    lock = threading.Lock()
    hosts = [Place(arrived, flaky) for _ in range(2)]
    yard = Yard(folder, {"listeners": {"smtp": {"submission": False}},
                         "store": {"segment-size": "64MiB"},
                         "log": {"level": "warn"},
                         "queue": {"schedule": {"remote": {"expire": "1d"}}}})
    yard.relays(*((d, hosts[i % 2]) for i, d in enumerate(DOMAINS)))
    yard.start(ready=False)
    begun = time.monotonic()
    numbers = iter(range(1, count + 1))

    def client_thread():
        client = None
        for n in iter(lambda: next_number(), None):
            letter = Letter(seed, n)
            with lock:
                for r in letter.recipients:
                    expected[r] = (letter.sender, letter.digest, n, letter.kind, letter.by_chunks)
            while not wrong:
                try:
                    if client is None:
                        client = wait_open(yard.port)
                        client.says("EHLO client.example", 250)
                    send(client, letter)
                    break
                except (OSError, AssertionError) as why:
                    client = None
                    if not crashes:
                        wrong.append(f"a client: {type(why).__name__}: {why}")

    def next_number():
        with lock:
            return next(numbers, None)

    def troubles():
        """Spread over the time that it takes: after each so many messages that have come."""
        for k in range(crashes + reloads):
            share = count * (k + 1) // (crashes + reloads + 2)
            while sum(len(host.mail) for host in hosts) < share:
                if wrong:
                    return
                time.sleep(0.01)
            if k < crashes:
                yard.crash()
                yard.start(ready=False)
            elif yard.with_config("reload").returncode != 0:
                wrong.append("a reload failed")

    threads = [threading.Thread(target=client_thread, daemon=True) for _ in range(clients)]
    threads.append(threading.Thread(target=troubles, daemon=True))
    for thread in threads:
        thread.start()
    seen = {}
    octets = twice = 0
    quiet_since = time.monotonic()
    while not wrong:
        done = not any(thread.is_alive() for thread in threads)
        if done and len(seen) >= len(expected):
            break
        try:
            sender, recipients, digest, size, traced = arrived.get(timeout=0.5)
        except queue.Empty:
            if time.monotonic() - quiet_since > 60:
                missing = sorted(set(expected) - set(seen))
                wrong.append(f"{len(missing)} recipients got nothing, so {missing[:3]}")
            continue
        quiet_since = time.monotonic()
        octets += size
        for r in recipients:
            want = expected.get(r)
            if want is None:
                wrong.append(f"nobody has sent to {r}")
            elif r in seen and not crashes:
                wrong.append(f"{r} got message {want[2]} twice")
            elif (sender, digest) != want[:2]:
                wrong.append(f"{r} got other bytes than were sent: message {want[2:]}, {size} bytes "
                             f"from {sender}{'' if traced else ', no Received field'}")
            twice += r in seen
            seen[r] = True
    took = time.monotonic() - begun
    if not wrong:
        end = time.monotonic() + 20  # results are written within a tenth of a second
        while '"total":0' not in (listed := yard.with_config("queue", "list", "--json").stdout):
            if time.monotonic() > end:
                wrong.append(f"still in the queue at the end: {listed[:200]}")
                break
            time.sleep(0.1)
        if yard.stop(60) != 0:
            wrong.append("did not end well")
        if not arrived.empty():
            wrong.append("something came again")
    yard.close()
    for host in hosts:
        host.close()
    return wrong, f"{count} messages to {len(expected)} recipients, {octets >> 20} MiB, {took:.1f} s, {twice} came twice"


def wait_open(port):
    end = time.monotonic() + 20
    while True:
        try:
            return Client(port)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--clients", type=int, default=6)
    options.add_argument("--flaky", action="store_true")
    options.add_argument("--crashes", type=int, default=0)
    options.add_argument("--reloads", type=int, default=0)
    chosen = options.parse_args()
    folder = tempfile.mkdtemp(prefix="mixed-")
    wrong, summary = run(folder, chosen.count, chosen.seed, chosen.clients, chosen.flaky,
                         chosen.crashes, chosen.reloads)
    print(summary)
    for text in wrong[:20]:
        print("wrong:", text)
    if wrong:
        print(f"{len(wrong)} wrong; the log is {folder}/log")
        return 1
    print("every byte as it was, none lost" + ("" if chosen.crashes else ", none doubled"))
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Disks that fill up, fail, are slow or cannot be written: what clients hear, and that nothing that
was answered 250 is lost."""
import errno
import os
import random
import shutil
import subprocess
import threading
import time

from account import Account
from shimlog import OPS, Disk
from yard import Failure, Load, Yard

FOREVER = 0xFFFFFFFF
FULL_MIX = (0, 0, 0, 0, 0, 0, 1, 0, 0)  # all mail waits


def bit(*names):
    return sum(1 << OPS[n] for n in names)


def want(condition, text):
    if not condition:
        raise Failure(text)


class Case:
    """One yard; `body` does the work, `drain` looks that all came out."""

    def __init__(self, options, name):
        self.options = options
        self.folder = os.path.join(options.root, "build", "crash", "disk-" + name)
        self.mounted = None
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)

    def open(self, **more):
        self.yard = Yard(self.folder, self.options.postyard, self.options.shim, **more)
        self.load = Load(self.yard, random.Random(self.options.seed))
        self.yard.start_sink()
        self.crashes, self.starts = [], []

    def mount(self, size):
        store = os.path.join(self.folder, "store")
        os.makedirs(store, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", store],
                              capture_output=True)
        self.mounted = store if done.returncode == 0 else None
        return self.mounted is not None

    def unmount(self):
        subprocess.run(["umount", os.path.join(self.folder, "store")], capture_output=True)

    def replies(self, code):
        return [m.reply for m in self.load.messages.values() if m.reply and m.reply[:3] == code]

    def events(self, name):
        return [e for e in self.yard.events() if e["event"] == name]

    def alive(self):
        want(self.yard.server.poll() is None, "the server is gone")

    def crash(self):
        self.crashes.append(time.monotonic())
        self.yard.kill()
        self.yard.control.set()
        self.starts.append(time.monotonic())
        want(self.yard.start(), "the server does not start again")

    def drain(self):
        open(self.yard.release, "w").close()
        end = time.monotonic() + 20
        while time.monotonic() < end and self.load.missing():
            time.sleep(0.1)
        self.alive()
        account = Account(self.load, self.yard, list(zip(self.crashes, self.starts)), 1.0,
                          unsure=("451",))
        account.take()
        want(not account.faults, "; ".join(text for _, text in account.faults[:3]))
        self.counts = account.counts

    def end(self):
        if hasattr(self, "yard"):
            self.yard.end()
        if self.mounted:
            self.unmount()


def until_heard(c, operation, error, codes):
    """Fails one call now and then, until it hits more than results, of which no client hears."""
    for _ in range(20):
        threading.Timer(0.2, lambda: c.yard.control.set(
            prefix=b"log-", fail_operations=bit(operation), fail_errno=error,
            fail_count=1)).start()
        c.load.run(0.5)
        if any(c.replies(code) for code in codes):
            break
    c.load.run(0.3)
    c.alive()


def disk_full(c):
    """A disk of 14 MiB: 452 when it is nearly full, mail still goes out, then mail comes in again."""
    c.open(min_free="3MiB") if c.mount("14m") else c.open(min_free="3MiB")
    if not c.mounted:
        c.yard.control.set(free_bytes=11 << 20, fail_operations=bit("allocate"),
                           fail_errno=errno.ENOSPC, fail_count=FOREVER)
    want(c.yard.start(), "the server does not start")
    c.load.mix = FULL_MIX
    c.load.late_left = 1 << 30
    c.load.run(4)
    c.alive()
    want(c.replies("452"), "no client heard 452")
    want(len(c.load.answered()) > 20, "hardly anything was accepted")
    before = len(c.load.answered())
    if not c.mounted:
        c.yard.control.set()
    open(c.yard.release, "w").close()
    end = time.monotonic() + 15
    while c.load.missing() and time.monotonic() < end:
        time.sleep(0.1)
    c.load.mix = (1, 0, 0, 0, 0, 0, 0, 0, 0)
    end = time.monotonic() + 15
    while len(c.load.answered()) == before and time.monotonic() < end:
        c.load.run(0.5)
    want(len(c.load.answered()) > before, "mail is not accepted again when there is room")
    return f"{before} accepted, {len(c.replies('452'))} times 452"


def disk_says_full(c):
    """Writes fail with ENOSPC a few times: 4xx to those clients, then on as before."""
    c.open()
    want(c.yard.start(), "the server does not start")
    c.load.run(0.5)
    until_heard(c, "write", errno.ENOSPC, ["451", "452"])
    refused = c.replies("451") + c.replies("452")
    want(refused, "no client heard of it")
    last = list(c.load.messages.values())[-20:]
    want(any(m.id for m in last), "mail is not accepted again")
    c.crash()
    return f"{len(refused)} told to try later"


def flush_fails(c):
    """One flush fails with EIO: 451 to those whom it concerned, a new segment, nothing lost."""
    c.open()
    want(c.yard.start(), "the server does not start")
    c.load.run(0.5)
    until_heard(c, "flush", errno.EIO, ["451"])  # 452 may come for want of a segment
    want(c.events("store_flush_failed"), "the failure is not in the log")
    want(c.replies("451"), "no client heard 451")
    want(any(m.id for m in list(c.load.messages.values())[-20:]), "mail is not accepted again")
    c.crash()
    return f"{len(c.replies('451'))} told to try later"


def flushes_fail(c):
    """Every flush fails: acceptance stops, the server stays, and after a restart all is there."""
    c.open()
    want(c.yard.start(), "the server does not start")
    c.load.run(0.5)
    before = len(c.load.answered())
    c.yard.control.set(prefix=b"log-", fail_operations=bit("flush"), fail_errno=errno.EIO,
                       fail_count=FOREVER)
    c.load.run(0.7)
    c.alive()
    want(c.events("store_stopped"), "it did not say that it stopped")
    late = [m for m in list(c.load.messages.values())[-5:] if m.id]
    want(not late, "mail was accepted though no flush succeeds")
    c.crash()
    c.load.run(0.5)
    want(len(c.load.answered()) > before, "mail is not accepted after the restart")
    return f"{before} before, {len(c.load.answered()) - before} after the restart"


def flush_is_slow(c):
    """Each flush takes 300 ms: no 250 is earlier, and all the mail is there."""
    c.open()
    c.yard.control.set(delay_operations=bit("flush"), delay_ms=300)
    disk = Disk(c.yard.store)
    want(c.yard.start(), "the server does not start")
    c.load.run(2.5, c.yard.kill)
    faults = []

    def judge(message, is_safe):
        m = c.load.by_id.get(message)
        if m and not (is_safe(f"PYT-{m.token}".encode()) and is_safe(f"PYE-{m.token}".encode())):
            faults.append(m.token)

    disk.replay(c.yard.shim_log, judge)
    want(not faults, f"250 before the flush for {faults[:3]}")
    answered = c.load.answered()
    want(len(answered) > 10, "hardly anything was accepted")
    fastest = min(m.answered - m.sent for m in answered)
    want(fastest > 0.25, f"a 250 came after {fastest:.3f} s")
    c.crashes.append(time.monotonic())
    c.yard.control.set()
    c.starts.append(time.monotonic())
    want(c.yard.start(), "the server does not start again")
    return f"{len(answered)} accepted, fastest after {fastest:.3f} s"


def read_only_at_start(c):
    """A store that cannot be written: exit 1, and a line that names it."""
    mounted = c.mount("8m")
    c.open()
    if mounted:
        subprocess.run(["mount", "-o", "remount,ro", c.yard.store], check=True)
    else:
        c.yard.control.set(fail_operations=bit("open"), fail_errno=errno.EROFS,
                           fail_count=FOREVER)
    want(not c.yard.start(), "the server serves a store that it cannot write")
    want(c.yard.server.returncode == 1, f"exit {c.yard.server.returncode}, not 1")
    with open(c.yard.log, encoding="utf-8") as f:
        text = f.read()
    want("ead-only file system" in text and c.yard.store in text,
         f"it does not say what is wrong: {text[-300:]}")
    if mounted:
        subprocess.run(["mount", "-o", "remount,rw", c.yard.store], check=True)
    c.yard.control.set()
    want(c.yard.start(), "the server does not start when it can be written")
    return "exit 1"


def read_only_later(c):
    """The folder turns read-only under load: 4xx to clients, the server stays, nothing is lost."""
    c.open()
    want(c.yard.start(), "the server does not start")
    c.load.run(0.5)
    c.yard.control.set(fail_operations=bit("write", "flush", "flush-folder", "open", "rename",
                                           "unlink", "allocate"),
                       fail_errno=errno.EROFS, fail_count=FOREVER)
    c.load.run(1)
    c.alive()
    want(not [m for m in list(c.load.messages.values())[-5:] if m.id], "mail was accepted")
    refused = [m for m in c.load.messages.values() if m.reply and m.reply[0] == "4"]
    want(refused, "no client was told to try later")
    c.crash()
    return f"{len(refused)} told to try later"


CASES = (disk_full, disk_says_full, flush_fails, flushes_fail, flush_is_slow, read_only_at_start,
         read_only_later)


def run(options):
    failed = 0
    for body in CASES:
        name = body.__name__.replace("_", "-")
        c = Case(options, name)
        try:
            said = body(c)
            c.drain()
            print(f"disk: {name}: {said}", flush=True)
        except Failure as e:
            failed += 1
            print(f"disk: {name}: FAILED: {e} ({' '.join(body.__doc__.split())})", flush=True)
        finally:
            c.end()
    return len(CASES) - failed, failed

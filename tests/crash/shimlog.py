"""What the shim recorded: read, checked against the wire, and turned into what a power cut leaves.

The model of the disk: bytes are safe when a flush that began after their write had returned has
returned too; names likewise with flushes of the folder. Of all else any part may be there after a
power cut: each 512-byte sector, each change of size, each name, in any order.
"""
import mmap
import os
import re
import struct

OPS = {name: number for number, name in enumerate(
    ("none", "open", "write", "flush", "flush-folder", "allocate", "truncate", "rename", "unlink",
     "send", "close"))}
NAMES = {number: name for name, number in OPS.items()}
RECORD = struct.Struct("<IBBHHHiiIQQq")  # struct record of shim.c
CONTROL = struct.Struct("<IIIIIIIIQ32s")     # struct control of shim.c
MARK = 0x4D494853
SECTOR = 512
TOKEN = re.compile(rb"PY[TE]-[0-9a-z]{12}\b")
ANSWER = re.compile(rb"queued as ([0-9a-f]{16})")


class Record:
    __slots__ = ("op", "after", "name", "other", "flags", "fd", "result", "call", "offset", "time",
                 "data")


def records(path):
    """Each record in order; a last one that the kill cut short is not there."""
    with open(path, "rb") as f:
        log = f.read()
    at = 0
    while at + RECORD.size <= len(log):
        (mark, op, phase, name_bytes, other_bytes, flags, fd, result, data_bytes, call, offset,
         time_ns) = RECORD.unpack_from(log, at)
        assert mark == MARK, f"{path}: no record at {at}"
        end = at + RECORD.size + name_bytes + other_bytes + data_bytes
        if end > len(log):
            return
        r = Record()
        at += RECORD.size
        r.name = log[at:at + name_bytes].decode()
        r.other = log[at + name_bytes:at + name_bytes + other_bytes].decode()
        r.data = log[at + name_bytes + other_bytes:end]
        r.op, r.after, r.flags, r.fd, r.result = NAMES[op], phase == 1, flags, fd, result
        r.call, r.offset, r.time = call, offset, time_ns / 1e9
        at = end
        yield r


class Control:
    """The shim's orders, changed while the server runs."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.fields = dict.fromkeys(
            ("delay_operations", "delay_ms", "fail_operations", "fail_errno", "fail_count",
             "kill_operation", "kill_phase", "kill_count", "free_bytes"), 0)

    def set(self, prefix=b"", **fields):
        """These orders, and no others."""
        assert set(fields) <= set(self.fields)
        self.map[:CONTROL.size] = CONTROL.pack(*(self.fields | fields).values(), prefix)

    def left(self, field):
        """How much of a count is left: 0 when it happened."""
        names = list(self.fields)
        return CONTROL.unpack(self.map[:CONTROL.size])[names.index(field)]


class Change:
    """One change of a file: bytes at an offset, or a size (data is None)."""
    __slots__ = ("offset", "data", "grows_only", "is_done", "tokens")

    def __init__(self, offset, data, grows_only=False):
        self.offset, self.data, self.grows_only = offset, data, grows_only
        self.is_done = False
        self.tokens = ()


class File:
    def __init__(self, content=b""):
        self.safe = bytearray(content)
        self.pending = []
        self.lost = []  # a failed flush named them: no later flush brings them back
        self.tail = (0, b"")
        self.size_now = len(content)


def put(content, change, keeps=None):
    if change.data is None:
        if len(content) < change.offset:
            content.extend(bytes(change.offset - len(content)))
        elif not change.grows_only:
            del content[change.offset:]
        return
    end = change.offset + len(change.data)
    at = change.offset
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR) if keeps else end
        if keeps is None or keeps():
            if len(content) < stop:
                content.extend(bytes(stop - len(content)))
            content[at:stop] = change.data[at - change.offset:stop - change.offset]
        at = stop


class Disk:
    """The folder as the shim saw it change, from what lay there when the server started."""

    def __init__(self, folder):
        self.live, self.safe_names = {}, {}
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                self.live[name] = self.safe_names[name] = File(f.read())
        self.names = []  # pending changes of names: [kind, name, other, file, is_done]
        self.open = {}   # descriptor: file
        self.calls = {}  # call: what is under way
        self.safe_tokens = {}  # token: files whose flushed bytes hold it
        self.flushes = []      # (begin, end)
        self.begun_in = {}  # a checkpoint that is being written: the newest segment at its begin
        self.covered = None  # the same of the newest checkpoint that has its name; None: none seen
        self.early = []      # segments given back before a checkpoint covered them
        self.last = 0.0
        self.counts = dict.fromkeys(OPS, 0)

    def _find_tokens(self, file, change):
        offset, tail = file.tail
        text = (tail if offset == change.offset else b"") + change.data
        change.tokens = frozenset(TOKEN.findall(text))
        file.tail = (change.offset + len(change.data), text[-32:])

    def _before(self, r):
        self.counts[r.op] += 1
        file = self.open.get(r.fd)
        if r.op in ("write", "allocate", "truncate"):
            if file is None:
                return
            if r.op == "write":
                change = Change(r.offset, r.data)
                self._find_tokens(file, change)
            else:
                change = Change(r.offset, None, r.op == "allocate")
            file.pending.append(change)
            self.calls[r.call] = change
        elif r.op == "flush":
            covers = [c for c in file.pending if c.is_done] if file else []
            self.calls[r.call] = (file, covers, r.time)
        elif r.op == "flush-folder":
            self.calls[r.call] = [n for n in self.names if n[4]]
        elif r.op in ("rename", "unlink"):
            if r.name.startswith("log-") and self.covered and r.name >= self.covered:
                self.early.append(r.name)
            change = [r.op, r.name, r.other, self.live.get(r.name), False]
            self.names.append(change)
            self.calls[r.call] = change
        elif r.op == "close":
            self.open.pop(r.fd, None)

    def _after(self, r):
        begun = self.calls.pop(r.call, None)
        if r.op == "open" and r.result == 0:
            if r.flags & 1:
                file = File()
                self.live[r.name] = file
                self.names.append(["create", r.name, "", file, True])
            if r.name in self.live:
                self.open[r.fd] = self.live[r.name]
            if r.name.startswith("writing-"):
                self.begun_in[r.name] = max(n for n in self.live if n.startswith("log-"))
        elif r.op in ("write", "allocate", "truncate") and begun is not None:
            begun.is_done = True
        elif r.op == "flush":
            self._flushed(begun, r)
        elif r.op == "flush-folder" and r.result == 0:
            for change in begun:
                self._name(self.safe_names, change)
            self.names = [n for n in self.names if not any(n is b for b in begun)]
        elif r.op in ("rename", "unlink"):
            if r.result == 0:
                begun[4] = True
                if r.name.startswith("writing-") and r.op == "rename":
                    self.covered = self.begun_in.get(r.name)
                self._name(self.live, begun)
            else:
                self.names = [n for n in self.names if n is not begun]

    def is_safe(self, token):
        """Whether flushed bytes of a file hold it whose name as a part of the log is safe, too."""
        return any(file is self.safe_names.get(name)
                   for file in self.safe_tokens.get(token, ())
                   for name in self.safe_names if name.startswith("log-"))

    def _flushed(self, begun, r):
        file, covers, time = begun
        if file is None:
            return
        self.flushes.append((time, r.time))
        known = set(map(id, covers))
        file.pending = [c for c in file.pending if id(c) not in known]
        if r.result != 0:
            file.lost.extend(covers)
            return
        for change in covers:
            put(file.safe, change)
            for token in change.tokens:
                self.safe_tokens.setdefault(token, []).append(file)

    @staticmethod
    def _name(names, change):
        """One change of names, if it still means the same file; False when it does not."""
        kind, name, other, file, _ = change
        if kind == "create":
            names[name] = file
        elif names.get(name) is not file:
            return False
        elif kind == "rename":
            names[other] = names.pop(name)
        else:
            del names[name]
        return True

    def replay(self, path, judge):
        """Follows the log; judge(message id, is_safe) is called at each 250 that leaves."""
        for r in records(path):
            self.last = r.time
            if r.after:
                self._after(r)
            else:
                self._before(r)
                for message in ANSWER.findall(r.data) if r.op == "send" else ():
                    judge(message.decode(), self.is_safe)

    def cut(self, folder, rng):
        """What a power cut at this moment may leave, into the folder."""
        names = dict(self.safe_names)
        pending = self.names
        if rng.random() < 0.5:  # as a journal keeps them: in order, up to somewhere
            pending = pending[:rng.randint(0, len(pending))]
        else:
            pending = [n for n in pending if rng.random() < 0.5]
        for change in pending:
            self._name(names, change)
        chance = rng.choice((0.0, 0.1, 0.5, 0.5, 0.9, 1.0))
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        kept = torn = 0
        for name, file in names.items():
            content = bytearray(file.safe)
            for change in file.lost + file.pending:
                torn += 1
                if change.data is None:
                    if rng.random() < 0.5:
                        put(content, change)
                else:
                    put(content, change, lambda: rng.random() < chance)
            with open(os.path.join(folder, name), "wb") as f:
                f.write(content)
            kept += 1
        return f"{kept} files, {torn} unflushed writes kept by {chance:.0%}, " \
               f"{len(pending)} of {len(self.names)} unflushed names"

"""Cases that read like a dialogue, from files, and how they are played.

    == a sentence that names the case
    # a comment
    C: EHLO a            what the client says; CR LF is added
    C> raw\\x00bytes      the same, nothing added; escapes: \\r \\n \\t \\0 \\\\ \\xHH
    C* 4096 A            bytes, so many times
    S: 250 2.1.0         how a whole reply (all its lines) must begin; * stands for any reply
    R* 100 250           so many such replies
    closed               the server closes the connection (its last replies were said before)
    shut                 the client sends no more, but listens
    hang up              the client is gone, with a reset
    read                 Postyard has read all that was said
    some                 something has come, whatever it is
    drips TEXT           a byte of it now and then, until the other side closes
    gone                 the other side closes, whatever it says before

In server cases Postyard is S: `from 127.0.0.2` chooses where the client is, `taken 2` says how many
messages must come out at the destination, `holds TEXT` and `lacks TEXT` what the last of them has.
In client cases Postyard is C, and the case is the server: `S:` is said by the case, `C:` is what
must be heard, line by line (`C. ` up to the lone dot). `again` waits for its next connection.
`result delivered|deferred|failed [TEXT]` says what must be in its log about the recipient.
`to 2` sends to so many recipients, `size 100000` so much, `body TEXT` that text.
"""
import re
import select
import socket
import time

VERBS = ("C:", "C>", "C*", "C.", "S:", "S>", "S*", "R*", "closed", "shut", "hang", "read",
         "some", "drips", "gone",
         "from", "taken", "holds", "lacks", "again", "result", "to", "size", "body", "utf8")
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
SIMPLE = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
PATIENCE_S = 5.0
DRIP_S = 0.2


class Wrong(Exception):
    """It went another way than the case says."""


class Case:
    def __init__(self, name, where):
        self.name, self.where, self.steps = name, where, []


def unescape(text):
    return ESCAPE.sub(lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" and len(m[1]) == 3
                      else SIMPLE[m[1]], text.encode())


def read_cases(path):
    cases = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line.startswith("== "):
                cases.append(Case(line[3:], f"{path}:{number}"))
                continue
            if not line.strip() or line.startswith("#"):
                continue
            verb, _, rest = line.partition(" ")
            assert verb in VERBS and cases, f"{path}:{number}: what is {verb!r}?"
            cases[-1].steps.append((verb, rest))
    return cases


def spoken(verb, rest):
    """The bytes of a step that says something."""
    if verb[1] == "*":
        count, _, text = rest.partition(" ")
        return unescape(text) * int(count)
    return unescape(rest) + (b"\r\n" if verb[1] == ":" else b"")


class Wire:
    """One connection with patience."""

    def __init__(self, sock):
        self.sock, self.buffer, self.is_closed = sock, b"", False
        sock.settimeout(PATIENCE_S)

    def say(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, socket.timeout) as e:
            if isinstance(e, socket.timeout):
                raise Wrong("it does not read what is sent") from e

    def _more(self):
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout as e:
            raise Wrong(f"nothing comes; heard so far: {self.buffer[-200:]!r}") from e
        except ConnectionError:
            data = b""
        self.is_closed = not data
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\n" not in self.buffer:
            if not self._more():
                raise Wrong(f"it closed the connection; before: {self.buffer!r}")
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"\n".join(lines)

    def until_dot(self):
        while b"\r\n.\r\n" not in b"\r\n" + self.buffer:
            if not self._more():
                raise Wrong("it closed the connection inside the message")
        whole, _, self.buffer = (b"\r\n" + self.buffer).partition(b"\r\n.\r\n")
        return whole[2:]

    def expect_closed(self):
        while not self.is_closed:
            if not self._more():
                break
        if self.buffer:
            raise Wrong(f"it said {self.buffer[:200]!r} before it closed")

    def expect_read(self):
        """The system holds nothing any more that the other side has not read."""
        ours, theirs = (f"{int.from_bytes(socket.inet_aton(ip), 'little'):08X}:{port:04X}"
                        for ip, port in (self.sock.getsockname(), self.sock.getpeername()))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with open("/proc/net/tcp", encoding="ascii") as f:
                rows = {(r[1], r[2]): r[4].split(":") for r in map(str.split, f)}
            here, there = rows.get((ours, theirs)), rows.get((theirs, ours))
            if not there or (int(there[1], 16) == 0 and here and int(here[0], 16) == 0):
                return
        raise Wrong("it does not read")

    def expect_some(self):
        if not self.buffer and not self._more():
            raise Wrong("it closed the connection and said nothing")

    def expect_gone(self):
        while not self.is_closed and self._more():
            self.buffer = b""
        self.buffer = b""

    def drip(self, text):
        """Bytes come often enough for any single wait: it is the whole that takes too long."""
        end = time.monotonic() + PATIENCE_S
        at = 0
        while not select.select([self.sock], [], [], DRIP_S)[0]:
            if time.monotonic() > end:
                raise Wrong("it goes on listening")
            self.say(text[at:at + 1])
            at = (at + 1) % len(text)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def step(self, verb, rest):
        """What both sides have in common; False when the verb is another."""
        if verb == "closed":
            self.expect_closed()
        elif verb == "shut":
            self.sock.shutdown(socket.SHUT_WR)
        elif verb == "hang":
            self.reset()
        elif verb == "read":
            self.expect_read()
        elif verb == "some":
            self.expect_some()
        elif verb == "gone":
            self.expect_gone()
        elif verb == "drips":
            self.drip(unescape(rest))
        else:
            return False
        return True

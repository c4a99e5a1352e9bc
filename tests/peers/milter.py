"""A filter that speaks the milter protocol and does what a test tells it:

    with Milter() as filter:
        filter.answers("R", TEMPFAIL)                        # to every RCPT
        filter.answers("E", add("X-Seen", "yes"), ACCEPT)    # to the end of each message
        ...
        filter.wait_command("E")                             # a command with its arguments

Commands are the letters of the protocol: C connect, H HELO, M MAIL, R RCPT, T DATA, L header field,
N end of the header, B piece of the body, E end of the message. An answer is a packet (letter and
data), or one of Raw, Wait, Drip and CLOSE, or a function of the session and the arguments that gives
several. What has no answer of its own is answered with "continue". HOSTILE has filters that misbehave.
"""

import socket
import struct
import threading
import time

from ports import free_port

ALL_ACTIONS, ALL_STEPS = 0x1FF, 0x1FFFFF
NO_REPLY = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000,
            "N": 0x40000, "B": 0x80000, "L": 0x80}
LEADING_SPACE, SKIP_STEP = 0x100000, 0x400
CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, SKIP, PROGRESS = b"c", b"a", b"r", b"t", b"d", b"s", b"p"


def number(n):
    return struct.pack(">I", n & 0xFFFFFFFF)


def text(*words):
    return b"".join((w.encode() if isinstance(w, str) else w) + b"\0" for w in words)


def reply(line):
    return b"y" + text(line)


def add(name, value):
    return b"h" + text(name, value)


def insert(index, name, value):
    return b"i" + number(index) + text(name, value)


def change(index, name, value):
    return b"m" + number(index) + text(name, value)


def body(data):
    return b"b" + data


def add_rcpt(address, params=None):
    return b"+" + text(address) if params is None else b"2" + text(address, params)


def delete_rcpt(address):
    return b"-" + text(address)


def change_sender(address, params=None):
    return b"e" + text(*([address] if params is None else [address, params]))


def quarantine(reason):
    return b"q" + text(reason)


class Raw(bytes):
    """Bytes on the wire, without a length of ours."""


class Wait:
    """Seconds before what follows; ends early with the filter."""

    def __init__(self, seconds):
        self.seconds = seconds


class Drip:
    """A packet, one byte at a time."""

    def __init__(self, packet, seconds):
        self.packet, self.seconds = packet, seconds


CLOSE = object()  # the connection
NOTHING = object()  # no answer


class Session:
    """What one connection was told, in order: (letter, arguments); macros by the letter they came for."""

    def __init__(self):
        self.commands, self.macros = [], {}

    def letters(self):
        return "".join(letter for letter, _ in self.commands)


class Milter:
    def __init__(self, actions=ALL_ACTIONS, steps=0, version=6, symbols=None, path=None):
        self.terms = struct.pack(">III", version, actions, steps)
        for place, names in (symbols or {}).items():
            self.terms += number(place) + text(names)
        self.steps, self.scripts, self.sessions = steps, {}, []
        self.changed = threading.Condition()
        self.open, self.closed = set(), threading.Event()
        self.path = path
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(128)
            self.address = f"unix:{path}"
        else:
            self.port = free_port()
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.address = f"inet:127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def answers(self, letter, *answers):
        self.scripts[letter] = answers
        return self

    def commands(self, letter):
        with self.changed:
            return [arguments for s in self.sessions for l, arguments in s.commands if l == letter]

    def wait_command(self, letter, count=1, seconds=20):
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = [a for s in self.sessions for l, a in s.commands if l == letter]
                if len(found) >= count:
                    return found[count - 1]
                if not self.changed.wait(max(0, end - time.monotonic())):
                    raise AssertionError(f"no {letter}: {[s.letters() for s in self.sessions]}")

    # ---- the wire ----

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if not self.path:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session()
            with self.changed:
                self.sessions.append(session)
                self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, session), daemon=True).start()

    def _serve(self, connection, session):
        try:
            with connection, connection.makefile("rb") as file:
                while True:
                    head = file.read(4)
                    if len(head) < 4:
                        return
                    packet = file.read(struct.unpack(">I", head)[0])
                    if not self._hear(connection, session, packet):
                        return
        except OSError:
            pass
        finally:
            self.open.discard(connection)

    def _hear(self, connection, session, packet):
        letter, data = chr(packet[0]), packet[1:]
        if letter == "D":
            words = data[1:].split(b"\0")
            found = {words[i].decode(): words[i + 1].decode() for i in range(0, len(words) - 1, 2)}
            session.macros.setdefault(chr(data[0]), []).append(found)
            return True
        arguments = data if letter in "BCO" else data.split(b"\0")[:-1]
        with self.changed:
            session.commands.append((letter, arguments))
            self.changed.notify_all()
        if letter == "O":
            return self._say(connection, self.scripts.get("O", (b"O" + self.terms,)))
        if letter == "Q":
            return False
        if letter == "A" or self.steps & NO_REPLY.get(letter, 0):
            return True
        answers = self.scripts.get(letter, (CONTINUE,))
        if len(answers) == 1 and callable(answers[0]):
            answers = answers[0](session, arguments)
        return self._say(connection, answers)

    def _say(self, connection, answers):
        for answer in answers:
            if answer is CLOSE:
                return False
            if isinstance(answer, Wait):
                if self.closed.wait(answer.seconds):
                    return False
            elif isinstance(answer, Drip):
                for byte in number(len(answer.packet)) + answer.packet:
                    if self.closed.wait(answer.seconds):
                        return False
                    connection.sendall(bytes([byte]))
            elif isinstance(answer, Raw):
                connection.sendall(answer)
            elif answer is not NOTHING:
                connection.sendall(number(len(answer)) + answer)
        return True

    def close(self):
        self.closed.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def progress_for_ever():
    def answer(session, arguments):
        while True:
            yield Wait(0.1)
            yield PROGRESS
    return answer


def flood(packet):
    def answer(session, arguments):
        while True:
            yield packet
    return answer


# Filters that misbehave, and how. Each answers one command badly: (letter, answers, terms).
HOSTILE = {
    "mute at the negotiation": ("O", [NOTHING], {}),
    "mute at connect": ("C", [NOTHING], {}),
    "mute at the end of the message": ("E", [NOTHING], {}),
    "slow": ("M", [Wait(30), CONTINUE], {}),
    "dripping": ("R", [Drip(CONTINUE, 0.5)], {}),
    "in endless progress": ("E", [progress_for_ever()], {}),
    "in a flood of progress": ("E", [flood(PROGRESS)], {}),
    "with a length of nothing": ("H", [Raw(number(0) + b"c")], {}),
    "with a length of four gigabytes": ("H", [Raw(b"\xff\xff\xff\xffc")], {}),
    "with a length that nothing follows": ("H", [Raw(number(500) + b"c")], {}),
    "that is a web server": ("O", [Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")], {}),
    "that is a mail server": ("O", [Raw(b"500 5.5.1 What?\r\n")], {}),
    "with an unknown reply": ("M", [b"Z"], {}),
    "with a reply of nothing": ("M", [Raw(number(1) + b"\0")], {}),
    "with two replies": ("M", [Raw(2 * (number(1) + CONTINUE))], {}),
    "with a negotiation in the middle": ("M", [b"O" + struct.pack(">III", 6, 0, 0)], {}),
    "that asks for more than was offered": ("O", [b"O" + struct.pack(">III", 6, 1 << 30, 0)], {}),
    "of the future": ("O", [b"O" + struct.pack(">III", 99, 0, 0)], {}),
    "that discards a client": ("C", [DISCARD], {}),
    "that skips what it may not skip": ("L", [SKIP], {}),
    "that edits too early": ("L", [add("X", "v"), CONTINUE], {}),
    "that edits without the right": ("E", [add("X", "v"), CONTINUE], {"actions": 0}),
    "with a field that is two": ("E", [add("X", "v\r\nBcc: everybody@example.org"), CONTINUE], {}),
    "with a field that is a body": ("E", [add("X", "v\n\nHello."), CONTINUE], {}),
    "with a field without name": ("E", [add("", "v"), CONTINUE], {}),
    "with a name that is a field": ("E", [add("Bcc: x\r\nX", "v"), CONTINUE], {}),
    "with a bare CR in a field": ("E", [add("X", "a\rb"), CONTINUE], {}),
    "with an edit cut off": ("E", [b"hX\0v", CONTINUE], {}),
    "with an address that is a command": ("E", [add_rcpt("<a@b>\r\nDATA"), CONTINUE], {}),
    "with a sender that is none": ("E", [change_sender("<a b c>"), CONTINUE], {}),
    "with a good reply code": ("R", [reply("250 2.0.0 all is well")], {}),
    "with a reply of two codes": ("R", [reply("550-no\r\n250 yes")], {}),
    "with a reply that is a command": ("R", [reply("550 no\r\nMAIL FROM:<>")], {}),
    "that ends at MAIL": ("M", [CLOSE], {}),
    "that ends in a packet": ("E", [Raw(number(100) + b"hX"), CLOSE], {}),
    "that ends in the body": ("B", [CLOSE], {}),
    "that floods": ("E", [flood(add("X", "v" * 1000))], {}),
}


def hostile(name):
    letter, answers, terms = HOSTILE[name]
    return Milter(**terms).answers(letter, *answers)

"""A host that mail goes to. It takes everything and remembers it; a story tells it to answer otherwise:

    host.answers("RCPT", "450 4.2.0 not now", times=2)
    host.answers("DOT", "554 5.6.0 no")          # the end of data, from now on

Commands are EHLO, MAIL, RCPT, DATA, DOT, BDAT, QUIT and CONNECT (the greeting). An answer of None closes
the connection instead; a function is called with the line, and what it returns is the answer.
"""

import socket
import ssl
import threading
import time

import sasl
from ports import free_port
from yard import PATIENCE


class Taken:
    """One transaction that was answered 250."""

    def __init__(self):
        self.sender = self.mail_line = None
        self.recipients = []
        self.rcpt_lines = []
        self.message = b""
        self.is_tls = False
        self.who = None
        self.client = None  # the address it came from
        self.ehlo = None


class Host:
    def __init__(self, address="127.0.0.1", port=0, lmtp=False, certificate=None, key=None,
                 words=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 104857600"),
                 name="host.example", accounts=None, mechanisms=sasl.MECHANISMS):
        """With `accounts` (name: password) it takes mail only from those who prove who they are."""
        self.listener = socket.create_server((address, port), backlog=512)
        self.address, self.port = self.listener.getsockname()[:2]
        self.lmtp, self.name, self.words = lmtp, name, words
        self.accounts, self.mechanisms = accounts, mechanisms
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate, key)
        self.scripts = {}
        self.mail = []       # Taken, in order
        self.heard = []      # all command lines
        self.connections = 0
        self.changed = threading.Condition()
        self.open = set()
        self.closed = False
        self.accepter = threading.Thread(target=self._accept, daemon=True)
        self.accepter.start()

    # ---- what the story says and asks ----

    def answers(self, command, answer, times=None):
        with self.changed:
            self.scripts.setdefault(command, []).append([answer, times])
        return self

    def recovers(self):
        with self.changed:
            self.scripts.clear()

    def wait_mail(self, count=1, seconds=PATIENCE):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.mail) >= count, seconds):
                raise AssertionError(f"{len(self.mail)} of {count} messages came; heard: "
                                     f"{self.heard[-20:]}")
            return list(self.mail)

    def wait_heard(self, start, count=1, seconds=PATIENCE):
        """Until command lines that begin so have come."""
        def found():
            return [line for line in self.heard if line.upper().startswith(start.upper())]
        with self.changed:
            if not self.changed.wait_for(lambda: len(found()) >= count, seconds):
                raise AssertionError(f"{len(found())} of {count} {start!r}: {self.heard[-20:]}")
            return found()

    def close(self):
        with self.changed:
            self.closed = True
            open_now = list(self.open)
        # Closed only when nobody accepts there any more: the next host may get the same descriptor,
        # and a thread of ours that is about to accept would take that host's mail.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepter.join()
        self.listener.close()
        for s in open_now:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    # ---- the conversation ----

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.open.add(s)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            self._talk(s)
        except OSError:
            pass
        finally:
            with self.changed:
                self.open.discard(s)
            s.close()

    def _scripted(self, command, line):
        """The answer that the story has set, and whether there is one."""
        with self.changed:
            for entry in self.scripts.get(command, []):
                if entry[1] is None or entry[1] > 0:
                    if entry[1] is not None:
                        entry[1] -= 1
                    answer = entry[0]
                    break
            else:
                return None, False
        return (answer(line) if callable(answer) else answer), True

    def _talk(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = s.makefile("rb")
        is_tls = False
        now = who = ehlo = None
        client = s.getpeername()[0]

        def chosen(command, usual, line=""):
            answer, scripted = self._scripted(command, line)
            return answer if scripted else usual

        def say(answer):
            if answer is None:
                raise OSError("closed, as told")
            s.sendall(answer.encode() + b"\r\n")

        def reply(command, usual, line=""):
            answer = chosen(command, usual, line)
            say(answer)
            return answer[:1] == ("3" if command == "DATA" else "2")

        reply("CONNECT", f"220 {self.name} ready")
        while True:
            raw = f.readline()
            if not raw:
                return
            line = raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            verb = line.split(" ")[0].upper()
            with self.changed:
                self.heard.append(line)
                self.changed.notify_all()
            if verb in ("EHLO", "LHLO"):
                words = [self.name, *self.words]
                if self.tls and not is_tls:
                    words.append("STARTTLS")
                if self.accounts:
                    words.append("AUTH " + " ".join(self.mechanisms))
                ehlo = line.split(" ")[-1]
                lines = [f"250{'-' if i + 1 < len(words) else ' '}{w}"
                         for i, w in enumerate(words)]
                reply("EHLO", "\r\n".join(lines), line)
            elif verb == "HELO":
                reply("HELO", f"250 {self.name}", line)
            elif verb == "STARTTLS" and self.tls:
                s.sendall(b"220 go on\r\n")
                with self.changed:
                    self.open.discard(s)
                s = self.tls.wrap_socket(s, server_side=True)
                with self.changed:
                    self.open.add(s)
                f = s.makefile("rb")
                is_tls = True
            elif verb == "AUTH" and self.accounts:
                answer, scripted = self._scripted("AUTH", line)
                if not scripted:
                    who, answer = sasl.serve(line, self.accounts, self.mechanisms, say,
                                             lambda: f.readline().decode().rstrip("\r\n"))
                say(answer)
            elif verb == "MAIL" and self.accounts and who is None:
                say("530 5.7.0 who are you?")
            elif verb == "MAIL":
                if reply("MAIL", "250 2.1.0 sender ok", line):
                    now = Taken()
                    now.is_tls, now.who, now.client, now.ehlo = is_tls, who, client, ehlo
                    now.mail_line = line
                    now.sender = path_of(line)
            elif verb == "RCPT":
                if now is None:
                    say("503 5.5.1 MAIL first")
                elif reply("RCPT", "250 2.1.5 recipient ok", line):
                    now.rcpt_lines.append(line)
                    now.recipients.append(path_of(line))
            elif verb == "DATA":
                if now is None or not now.recipients:
                    reply("DATA", "554 5.5.1 no recipients", line)
                elif reply("DATA", "354 go on", line):
                    now.message = read_data(f)
                    self._end_of_data(now, chosen, say)
                    now = None
            elif verb == "BDAT":
                words = line.split()
                if now is None:
                    f.read(int(words[1]))
                    say("503 5.5.1 MAIL first")
                    continue
                now.message += f.read(int(words[1]))
                if words[-1].upper() == "LAST":
                    self._end_of_data(now, chosen, say)
                    now = None
                else:
                    reply("BDAT", "250 2.0.0 chunk ok", line)
            elif verb == "RSET":
                now = None
                reply("RSET", "250 2.0.0 ok", line)
            elif verb == "QUIT":
                reply("QUIT", "221 2.0.0 bye", line)
                return
            else:
                s.sendall(b"500 5.5.1 what?\r\n")

    def _end_of_data(self, now, chosen, say):
        """SMTP answers once; LMTP once for each recipient (RFC 2033). Remembered first, then said: who
        has heard the answer finds the message here."""
        whom = now.recipients if self.lmtp else [""]
        answers = [chosen("DOT", "250 2.0.0 taken", recipient) for recipient in whom]
        if self.lmtp:
            now.recipients = [r for r, a in zip(whom, answers) if a and a.startswith("2")]
        if any(a and a.startswith("2") for a in answers):
            with self.changed:
                self.mail.append(now)
                self.changed.notify_all()
        for answer in answers:
            say(answer)


def path_of(line):
    return line[line.index("<") + 1:line.index(">")]


def read_data(f):
    message = bytearray()
    while True:
        line = f.readline()
        if not line:
            raise OSError("closed inside a message")
        if line == b".\r\n":
            return bytes(message)
        message += line[1:] if line.startswith(b".") else line


def silent_port():
    """A port where nobody listens: one of those that are kept for this process alone."""
    return free_port()


def passed(seconds):
    """A story may wait for nothing to happen only so."""
    time.sleep(seconds)

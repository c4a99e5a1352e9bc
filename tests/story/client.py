"""A client that speaks SMTP line by line, so that a story shows what each side says."""

import socket
import ssl

from yard import PATIENCE


class Client:
    def __init__(self, port, host="127.0.0.1", source=None, greeting=220):
        self.socket = socket.create_connection((host, port), PATIENCE,
                                               (source, 0) if source else None)
        self.file = self.socket.makefile("rb")
        self.greeting = self.hears(greeting) if greeting else None

    def sends(self, data):
        self.socket.sendall(data)
        return self

    def hears(self, code):
        """One reply, which must begin with `code`; its lines without the code."""
        lines = []
        while True:
            line = self.file.readline()
            assert line.endswith(b"\r\n"), f"instead of {code}: {line!r} and the end"
            text = line[:-2].decode("utf-8", "surrogateescape")
            lines.append(text[4:])
            if text[3:4] != "-":
                break
        assert text[:3] == str(code), f"instead of {code}: {text}"
        return "\n".join(lines)

    def says(self, line, code):
        return self.sends(line.encode("utf-8", "surrogateescape") + b"\r\n").hears(code)

    def says_any(self, line):
        """Whatever the answer is, as one line."""
        self.sends(line.encode() + b"\r\n")
        return self.file.readline().decode().rstrip()

    def hears_end(self):
        """The other side has closed."""
        rest = self.file.read()
        assert rest == b"", f"after the end: {rest!r}"

    def starts_tls(self, name="mx.example.org", trust=None):
        self.says("STARTTLS", 220)
        context = ssl.create_default_context(cafile=trust)
        if trust is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.file = self.socket.makefile("rb")
        return self

    def sends_mail(self, sender, recipients, message, mail_words=""):
        """A whole transaction; gives the message id out of the last reply."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        self.says(f"MAIL FROM:<{sender}>{mail_words}", 250)
        for recipient in recipients:
            self.says(f"RCPT TO:<{recipient}>", 250)
        self.says("DATA", 354)
        self.sends(stuffed(message))
        return self.hears(250).split()[-1]

    def quits(self):
        self.says("QUIT", 221)
        self.hears_end()
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def stuffed(message):
    """Bytes of a message as they go over the wire after DATA."""
    if isinstance(message, str):
        message = message.encode()
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    if message.startswith(b"."):
        message = b"." + message
    return message.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def sends_mail(yard, sender, recipients, message="Subject: hello\r\n\r\nHello.\r\n", **more):
    """Connect, one transaction, quit. Gives the message id."""
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        identity = client.sends_mail(sender, recipients, message, **more)
        client.quits()
        return identity

"""A destination that takes everything and keeps it."""
import socketserver
import threading


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda text: self.wfile.write(text + b"\r\n")
        say(b"220 destination ESMTP")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"QUIT":
                say(b"221 bye")
                return
            if word in (b"EHLO", b"LHLO"):
                say(b"250-destination\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE")
            elif word == b"DATA":
                say(b"354 go on")
                lines = []
                for content in self.rfile:
                    if content == b".\r\n":
                        break
                    lines.append(content[1:] if content[:1] == b"." else content)
                with self.server.changed:
                    self.server.taken.append(b"".join(lines))
                    self.server.changed.notify_all()
                say(b"250 taken")
            else:
                say(b"250 ok")


class Destination(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        self.taken, self.changed = [], threading.Condition()
        super().__init__(("127.0.0.1", 0), Conversation)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait_for(self, count, seconds):
        """Waits until so many were taken; how many it became."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.taken) >= count, seconds)
            return len(self.taken)

"""A program that is asked about mail over HTTP, the classic dialect: it keeps each request and answers
as the story says.

    scanner.says(data={"action": "reject"})          # from now on, at that stage
    scanner.says(rcpt=[{"action": "accept"}, {"action": "reject"}])   # one after the other, then accept
    scanner.says(data=lambda request: ...)           # what it returns

An answer is a dict (JSON), a tuple (status, bytes) or (status, bytes, fields), or None: the connection is closed. Each request is
held against docs/hooks-classic.schema.json.
"""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hook_schema import validator
from yard import PATIENCE

VALIDATOR = validator("classic", "request")
ACCEPT = {"action": "accept"}


class Request(dict):
    """The body, with the head beside it."""
    headers = None
    size = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self):
        scanner = self.server.scanner
        length = int(self.headers["Content-Length"])
        request = Request(json.loads(self.rfile.read(length)))
        request.headers, request.size = self.headers, length
        answer = scanner.took(request)
        if callable(answer):
            answer = answer(request)
        if answer is None:
            self.close_connection = True
            return
        if isinstance(answer, tuple):
            status, body, fields = answer if len(answer) == 3 else (*answer, {})
        else:
            status, body, fields = 200, json.dumps(answer).encode(), {}
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *what):
        pass


class Scanner:
    def __init__(self, address="127.0.0.1", port=0, certificate=None, key=None):
        self.requests, self.wrong, self.scripts = [], [], {}
        self.changed = threading.Condition()
        self.server = ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        self.server.request_queue_size = 512
        self.server.scanner = self
        self.port = self.server.server_address[1]
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    def hook(self, *stages, name="policy", **more):
        """As an entry of `hooks`."""
        return {"name": name, "url": self.url, "stages": list(stages) or ["data"],
                "timeout": "5s"} | more

    def says(self, **stages):
        with self.changed:
            self.scripts.update(stages)
        return self

    def took(self, request):
        stage = request["context"]["stage"]
        with self.changed:
            self.requests.append(request)
            self.wrong += [error.message for error in VALIDATOR.iter_errors(request)]
            self.changed.notify_all()
            answer = self.scripts.get(stage, ACCEPT)
            if isinstance(answer, list):
                answer = answer.pop(0) if answer else ACCEPT
            return answer

    def asked(self, stage):
        with self.changed:
            return [r for r in self.requests if r["context"]["stage"] == stage]

    def wait_asked(self, stage, count=1, seconds=PATIENCE):
        def found():
            return [r for r in self.requests if r["context"]["stage"] == stage]
        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count, seconds), (
                f"{len(found())} of {count} questions at {stage}")
            return found()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        assert not self.wrong, self.wrong

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

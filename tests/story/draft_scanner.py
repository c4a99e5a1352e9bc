"""A scanner of draft-degennaro-mta-hooks over HTTPS: it tells what it can do, takes registrations, keeps
each request and answers as the story says.

    scanner.says(data={"set": [{"path": "/action", "value": "reject"}]})   # from now on, at that stage
    scanner.says(data=[(503, {}), None])      # one after the other, then nothing to say (204)
    scanner.says(data=lambda request: ...)    # what it returns

An answer is None (204), a dict or list (200), or (status, headers). Each request is held against
docs/hooks-draft.schema.json.
"""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import tiny_cbor
from yard import PATIENCE

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "hooks-draft.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
TOKEN = "cG9zdHlhcmQtc3RvcnktdG9rZW4tMDAwMQ"
SILENCE = None


class Request(dict):
    """The body, with what else was there."""
    headers = None
    bytes = b""
    at = 0.0

    @property
    def raw(self):
        if isinstance(self["rawMessage"], bytes):
            return self["rawMessage"]
        return base64.b64decode(self["rawMessage"], validate=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def reply(self, status, document=None, headers=()):
        scanner = self.server.scanner
        body = b"" if document is None else scanner.dumps(document)
        try:
            self.send_response(status)
            if body:
                self.send_header("Content-Type", f"application/{scanner.format}")
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def refuses(self, status, code):
        self.reply(status, {"error": {"code": code, "message": "no"}})

    def is_known(self):
        if self.headers.get_all("Authorization") == [f"Bearer {self.server.scanner.token}"]:
            return True
        self.refuses(401, "INVALID_CREDENTIALS")
        return False

    def do_GET(self):
        scanner = self.server.scanner
        if self.path == "/.well-known/mta-hooks":
            with scanner.changed:
                scanner.discoveries.append(dict(self.headers))
            self.reply(200, scanner.discovery())
        elif self.is_known():
            self.reply(200, {"registrationId": scanner.current(), "status": scanner.status})

    def do_DELETE(self):
        if self.is_known():
            self.server.scanner.gave_back(self.path.rsplit("/", 1)[1])
            self.reply(200, {"status": "deregistered"})

    def do_POST(self):
        scanner = self.server.scanner
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if shown := self.connection.getpeercert():
            scanner.shown.add(dict(pair for (pair,) in shown["subject"])["commonName"])
        if not self.is_known():
            return
        if self.path == "/register":
            self.reply(scanner.register_status, scanner.registers(scanner.loads(data)))
            return
        request = Request(scanner.loads(data))
        request.headers, request.bytes, request.at = self.headers, data, time.monotonic()
        answer = scanner.took(request, self.path)
        if callable(answer):
            answer = answer(request)
        if answer is None:
            self.reply(204)
        elif isinstance(answer, tuple):
            self.reply(answer[0], {"error": {"code": "SCANNER_UNAVAILABLE"}}, answer[1])
        else:
            self.reply(200, answer)

    def log_message(self, *what):
        pass


class DraftScanner:
    format = "json"

    def __init__(self, certificates, stages=("connect", "ehlo", "mail", "rcpt", "data"),
                 clients=None):
        self.stages, self.token, self.status = list(stages), TOKEN, "active"
        self.register_status, self.life_s, self.message_max = 201, None, None
        self.properties = ["/stage", "/action", "/timestamp", "/protocol", "/queue", "/server",
                           "/envelope", "/message", "/rawMessage", "/response", "/client", "/tls",
                           "/auth", "/senderAuth"]
        self.leaving = None  # stages of leaving mail
        self.properties_leaving = ["/stage", "/action", "/timestamp", "/protocol", "/queue",
                                   "/server", "/envelope", "/message", "/rawMessage"]
        self.updates = ["/action", "/response", "/envelope", "/message", "/rawMessage"]
        self.discoveries, self.offers, self.requests, self.deleted = [], [], [], []
        self.wrong, self.scripts, self.gone = [], {}, set()
        self.changed = threading.Condition()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.scanner = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["host"], certificates["host_key"])
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self.shown = set()  # common names of certificates shown to us
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.ca = certificates["ca"]
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hook(self, *stages, name="scan", **more):
        """As an entry of `hooks`."""
        return {"name": name, "url": self.url, "dialect": "draft-01", "timeout": "5s",
                "stages": list(stages) or ["data"], "auth": {"bearer": {"token": TOKEN}},
                "tls": {"ca": str(self.ca)}, "allow": self.updates} | more

    # ---- what it does ----

    def dumps(self, document):
        return json.dumps(document).encode() if self.format == "json" else tiny_cbor.dumps(document)

    def loads(self, data):
        return json.loads(data) if self.format == "json" else tiny_cbor.loads(data)

    def discovery(self):
        return {"version": "1.0", "serialization": [self.format],
                "endpoints": {"registration": "/register",
                              "deregistration": "/registrations/{registration_id}"},
                "capabilities": {"inbound": {
                    "stages": self.stages, "actions": ["accept", "reject", "quarantine", "discard"],
                    "fetchProperties": self.properties, "updateProperties": self.updates},
                    "outbound": self.leaving and {
                    "stages": self.leaving, "actions": ["continue", "cancel"],
                    "fetchProperties": self.properties_leaving,
                    "updateProperties": self.updates}},
                "limits": {"maxMessageSize": self.message_max}}

    def registers(self, offer):
        with self.changed:
            self.offers.append(offer)
            self.changed.notify_all()
            number = len(self.offers)
        expires = None
        if self.life_s:
            expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life_s))
        return {"registrationId": f"r-{number}", "status": self.status, "expiresAt": expires,
                "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "hookEndpoint": f"invoke/{number}",
                "negotiated": {"serialization": self.format, "inbound": {
                    "stages": [s for s in offer["inbound"]["stages"] if s in self.stages],
                    "properties": [p for p in offer["inbound"]["properties"]
                                   if p in self.properties]} if offer["inbound"] else None,
                    "outbound": {
                    "stages": [s for s in offer["outbound"]["stages"] if s in self.leaving],
                    "properties": [p for p in offer["outbound"]["properties"]
                                   if p in self.properties_leaving]} if offer["outbound"] else None},
                "endpoints": {"status": f"/status/{number}"}}

    def current(self):
        return f"r-{len(self.offers)}"

    def forgets(self):
        """The registration there is."""
        self.gone.add(self.current())

    def gave_back(self, identity):
        with self.changed:
            self.deleted.append(identity)
            self.changed.notify_all()

    def took(self, request, path):
        identity = request.headers["X-MTA-Hooks-Registration"]
        assert path == f"/invoke/{identity[2:]}", path
        with self.changed:
            self.requests.append(request)
            plain = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v
                     for k, v in request.items()}
            self.wrong += [e.message for e in VALIDATOR.iter_errors(plain)]
            self.changed.notify_all()
            if identity in self.gone:
                return 404, {}
            answer = self.scripts.get(request["stage"])
            if isinstance(answer, list) and answer and not isinstance(answer[0], str):
                return answer.pop(0)
            return None if answer == [] else answer

    # ---- for stories ----

    def says(self, **stages):
        with self.changed:
            self.scripts.update(stages)
        return self

    def asked(self, stage):
        with self.changed:
            return [r for r in self.requests if r["stage"] == stage]

    def wait_for(self, what, seconds=PATIENCE):
        with self.changed:
            assert self.changed.wait_for(what, seconds)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        assert not self.wrong, self.wrong

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

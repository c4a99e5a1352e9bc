"""A scanner that behaves as badly as it can, in each way there is: bytes of HTTP, certificates, JSON of
the classic dialect, JSON and CBOR of the drafts, registrations (issue: hooks are fenced, P9; bounded
memory, P7).

One server has a hook for each behaviour, which is asked about mail of the sender of its name. Each is
met once, many sessions at a time: the reply is exactly what the failure policy says, within the hook's
time; the next mail of the same session is taken; the log says why. Policies take turns, so that each
behaviour of a kind meets another one.
"""
import base64
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from client import Client, stuffed
from hooked import MESSAGE
from yard import PATIENCE, Yard

HOSTILE = Path(__file__).parents[1] / "peers" / "hostile_http.py"
POLICIES = {"accept": 250, "tempfail": 451, "reject": 550}
TIMEOUT_S, SLACK_S = 1, 2
TOKEN = "a-token-that-nobody-looks-at"
MIB = 1 << 20

# How it is said in the log: the error, and what stands in its text.
SILENT = ("TIMEOUT", "")
TAKEN = None  # no failure: an answer like others


FILES = {}  # answers too large for a path


def path_of(kind, data):
    """Where these bytes are answered."""
    data = data if isinstance(data, bytes) else data.encode()
    if len(data) < 500:
        return f"answer/application/{kind}/" + base64.urlsafe_b64encode(data).decode()
    name = f"{len(FILES)}.answer"
    FILES[name] = data
    return f"file/application/{kind}/{name}"


def classic(text, reason="PROTOCOL", says=""):
    return "http", path_of("json", text), reason, says, {}


def http(path, reason, says="", door="http", **more):
    return door, path, reason, says, more


def draft(form, data, says="", reason="PROTOCOL", kind=None, **more):
    """An answer to a registered hook."""
    return registered(path_of(kind or form, data), reason, says, form, **more)


def registered(path, reason, says="", form="json", **more):
    return http(f"register/{form}/{path}", reason, says, dialect="draft-01", format=form,
                **{"on-malformed": "failure"} | more)


def registration(path, says, reason="BUSY", **more):
    """What comes instead of a registration."""
    return http(path, reason, says, dialect="draft-01", **more)


def modification(**words):
    return classic(json.dumps({"action": "accept", "modifications": [words]}))


def grant(**change):
    """A registration with something wrong in it."""
    document = {
        "registrationId": "r", "status": "active", "createdAt": None, "expiresAt": None,
        "hookEndpoint": "/status/200", "endpoints": {"status": "/status/200"},
        "negotiated": {"serialization": "json", "outbound": None, "inbound": {
            "stages": ["data"], "properties": ["/stage", "/action"]}}} | change
    data = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    return f"created/application/json/{data}"


SET = '{"set": [{"path": "/action", "value": %s}]}'

BEHAVIOURS = {
    # ---- time ----
    "slow": http("slow/3000", *SILENT),
    "drip": http("drip/50", *SILENT),
    "never": http("never", *SILENT),
    "mute-door": http("echo", *SILENT, door="silent"),
    "slow-draft": registered("slow/3000", *SILENT),
    # ---- size ----
    "huge": http("huge", "LIMIT"),
    "endless": http("endless", "LIMIT"),
    "endless-close": http("endless-until-close", "LIMIT"),
    "bytes": http("bytes/2000000", "LIMIT"),
    "bomb": http("bomb", "PROTOCOL"),
    "chunk-bomb": http("transfer-bomb", "PROTOCOL"),
    "fields": http("fields", "LIMIT"),
    "long-field": http("long-field", "LIMIT"),
    "interims": http("endless-interim", "LIMIT"),
    "trailers": http("trailers", "LIMIT"),
    "huge-draft": registered("huge", "LIMIT"),
    "endless-draft": registered("endless", "LIMIT"),
    # ---- broken off ----
    "close": http("close", "CLOSED"),
    "reset": http("reset", "CLOSED"),
    "close-head": http("close-in-head", "CLOSED"),
    "close-body": http("close-in-body", "CLOSED"),
    "close-chunk": http("close-in-chunk", "CLOSED"),
    "close-draft": registered("close", "CLOSED"),
    # ---- no HTTP ----
    "http09": http("http09", "PROTOCOL"),
    "http2": http("http2", "PROTOCOL"),
    "garbage": http("garbage", "PROTOCOL"),
    "smtp": http("smtp", "PROTOCOL"),
    "status-99": http("status-99", "PROTOCOL"),
    "status-999": http("status-999", "PROTOCOL"),
    "switch": http("switch", "PROTOCOL"),
    "long-length": http("long-length", "PROTOCOL"),
    "two-lengths": http("two-lengths", "PROTOCOL"),
    "both-lengths": http("both-lengths", "PROTOCOL"),
    "bad-length": http("bad-length", "PROTOCOL"),
    "minus-length": http("negative-length", "PROTOCOL"),
    "over-length": http("overflow-length", "PROTOCOL"),
    "bad-chunk": http("bad-chunk", "PROTOCOL"),
    "over-chunk": http("overflow-chunk", "PROTOCOL"),
    "chunk-end": http("chunk-without-end", "PROTOCOL"),
    "folded": http("folded", "PROTOCOL"),
    "nul": http("nul", "PROTOCOL"),
    "control": http("control", "PROTOCOL"),
    "bare-lf": http("bare-lf", "PROTOCOL"),
    "no-colon": http("no-colon", "PROTOCOL"),
    "bad-name": http("bad-name", "PROTOCOL"),
    # ---- other answers than asked for ----
    "interim": http("interim", TAKEN),
    "302": http("redirect", "PROTOCOL", "status 302"),
    "404": http("status/404", "PROTOCOL", "status 404"),
    "503": http("busy", "PROTOCOL", "status 503"),
    "early": http("early", "PROTOCOL", "status 413"),
    "html": http("type/text/html", "PROTOCOL", "not JSON"),
    "no-length": http("no-length", "PROTOCOL", "not JSON"),
    "503-draft": registered("busy", "NETWORK", "status 503"),
    "302-draft": registered("redirect", "NETWORK", "status 302"),
    "forgets": registered("status/404", "TIMEOUT", "registration did not come"),
    # ---- TLS ----
    "untrusted": http("echo", "TLS", door="https", ca=False),
    "self-signed": http("echo", "TLS", door="self-signed"),
    "wrong-name": http("echo", "TLS", door="wrong-name"),
    "expired": http("echo", "TLS", door="expired"),
    "old-tls": http("echo", "TLS", door="old-tls"),
    "not-tls": http("echo", "TLS", door="not-tls"),
    "wants-ours": http("echo", ("TLS", "CLOSED"), door="client-certificate"),
    "mute-tls": http("echo", *SILENT, door="silent", tls=True),
    # ---- JSON, classic ----
    "no-json": classic("accept"),
    "half-json": classic('{"action": "acc'),
    "two-values": classic('{"action": "accept"} {}'),
    "twice": classic('{"action": "accept", "action": "reject"}'),
    "nan": classic('{"action": "accept", "x": NaN}'),
    "infinite": classic('{"action": "accept", "x": 1e999}'),
    "big-number": classic('{"action": "accept", "x": 123456789012345678901234567890}'),
    "deep": classic("[" * 3000 + "]" * 3000),
    "utf8": classic(b'{"action": "accept", "x": "\xff\xfe"}'),
    "surrogate": classic('{"action": "accept", "x": "\\ud800"}'),
    "nul-text": classic('{"action": "accept", "modifications": [{"type": "addHeader", "name": "X-A", '
                        '"value": "a\\u0000b"}]}'),
    "list": classic('["accept"]'),
    "unknown": classic('{"action": "explode"}'),
    "crlf": modification(type="addHeader", name="X-A", value="1\r\nBcc: eve@evil.example"),
    "crlf-name": modification(type="addHeader", name="X-A: 1\r\nX-B", value="1"),
    "crlf-rcpt": modification(type="addRecipient", value="a@b.example>\r\nRCPT TO:<c@d.example"),
    "bare-cr": modification(type="replaceContents", value="a\rb"),
    "bad-index": modification(type="insertHeader", index=-1, name="X-A", value="1"),
    "bad-type": modification(type="formatDisk", value="c"),
    # ---- JSON, drafts ----
    "d-html": draft("json", "<html>", kind="xhtml+xml"),
    "d-cbor": draft("json", b"\xa0", "type", kind="cbor"),
    "d-no-json": draft("json", "accept"),
    "d-deep": draft("json", '{"set": ' + "[" * 300 + "]" * 300 + "}"),
    "d-twice": draft("json", '{"set": [], "set": []}'),
    "d-nan": draft("json", SET % "NaN"),
    "d-big": draft("json", SET % "1e400"),
    "d-utf8": draft("json", b'{"set": [{"path": "/action", "value": "\xc3"}]}'),
    "d-pointer": draft("json", '{"set": [{"path": "action", "value": "reject"}]}'),
    "d-not-ours": draft("json", '{"set": [{"path": "/server/name", "value": "x"}]}'),
    "d-action": draft("json", SET % '"explode"'),
    "d-many": draft("json", json.dumps({"set": [{"path": "/action", "value": "accept"}] * 1001})),
    "d-passed": draft("json", "accept", **{"on-malformed": "default-action"}),
    # ---- CBOR ----
    "c-json": draft("cbor", "{}", reason=TAKEN, kind="json"),  # what everyone speaks
    "c-empty-map": draft("cbor", b"\xa0", reason=TAKEN),
    "c-cut": draft("cbor", b"\xa1\x63set"),
    "c-more": draft("cbor", b"\xa0\xa0"),
    "c-break": draft("cbor", b"\xff"),
    "c-reserved": draft("cbor", b"\x1c"),
    "c-endless": draft("cbor", b"\xbf\x63set\x9f"),
    "c-long-list": draft("cbor", b"\xa1\x63set\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
    "c-long-bytes": draft("cbor", b"\xa1\x63set\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    "c-twice": draft("cbor", b"\xa2\x63set\x80\x63set\x80"),
    "c-int-key": draft("cbor", b"\xa1\x01\x80"),
    "c-tag": draft("cbor", b"\xa1\x63set\xc1\x80"),
    "c-nan": draft("cbor", b"\xa1\x63set\xf9\x7e\x00"),
    "c-utf8": draft("cbor", b"\xa1\x63set\x61\xff"),
    "c-deep": draft("cbor", b"\xa1\x63set" + b"\x81" * 4000 + b"\x80"),
    # ---- registrations ----
    "r-none": registration("status/404", "status 404"),
    "r-never": registration("never", "", reason=("TIMEOUT", "BUSY")),
    "r-huge": registration("huge", ""),
    "r-garbage": registration("garbage", ""),
    "r-no-json": registration("say/words", ""),
    "r-elsewhere": registration(grant(hookEndpoint="https://198.51.100.1/"), "registration: "),
    "r-bad-id": registration(grant(registrationId="a b\r\nX: y"), "registration: "),
    "r-more": registration(grant(negotiated={
        "serialization": "json", "outbound": None,
        "inbound": {"stages": ["data", "rcpt"], "properties": ["/stage", "/action"]}}),
        "registration: "),
}
POLICY = {name: list(POLICIES)[n % 3] for n, name in enumerate(BEHAVIOURS)}


def timeout_s(name):
    """Short where all of it is waited for; long where something else comes first, however busy the
    machine is."""
    reason = BEHAVIOURS[name][2]
    return TIMEOUT_S if reason is not TAKEN and "TIMEOUT" in reason else 8


def hook(name, doors, ca):
    door, path, _, _, more = BEHAVIOURS[name]
    more = dict(more)
    is_tls = more.pop("tls", door not in ("http", "silent"))
    is_draft = "dialect" in more
    made = {"name": name, "stages": ["data"], "timeout": f"{timeout_s(name)}s",
            "url": f"http{'s' if is_tls else ''}://127.0.0.1:{doors[door]}/{path}",
            "enable": f"sender == '{name}@a.example'", "on-failure": {"data": POLICY[name]},
            "response-size-max": "1MiB"}
    if is_tls and more.pop("ca", True):
        made["tls"] = {"ca": ca}
    if is_draft:
        made |= {"discover": False, "allow-plain": True, "auth": {"bearer": {"token": TOKEN}}}
    return made | more


class Memory(threading.Thread):
    """The most that the process has had, looked at now and then; see /proc/PID/status."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path, self.over = Path(f"/proc/{pid}/status"), threading.Event()
        self.first = self.most = self.now()

    def now(self):
        return int(self.path.read_text().split("VmRSS:")[1].split()[0]) * 1024

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, self.now())


def meets(yard, name):
    """A session whose first mail is judged by that behaviour: the reply and how long it took, and
    what the next mail hears."""
    with Client(yard.port) as client:
        client.says("EHLO a.example", 250)
        client.says(f"MAIL FROM:<{name}@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        began = time.monotonic()
        client.sends(stuffed(MESSAGE))
        reply = client.file.readline().decode()
        took = time.monotonic() - began
        client.says("MAIL FROM:<fine@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(MESSAGE))
        after = client.hears(250)
        client.quits()
    return reply, took, after


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    with subprocess.Popen([sys.executable, HOSTILE, folder], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        doors = {}
        for line in process.stdout:
            if line.strip() == "ready":
                break
            name, value = line.split()
            doors[name] = value
        yield doors
        process.stdin.close()


@pytest.fixture(scope="module")
def met(peer, tmp_path_factory):
    """All of it, once: {name: what came}, with the events and the memory of the server beside."""
    yard = Yard(tmp_path_factory.mktemp("yard") / "yard")
    yard.configure({"hooks": [hook(name, peer, peer["ca"]) for name in BEHAVIOURS],
                    "server": {"limits": {"sessions-per-address": 1000}}})
    try:
        yard.start()
        memory = Memory(yard.process.pid)
        memory.start()
        with ThreadPoolExecutor(16) as pool:
            results = dict(zip(BEHAVIOURS, pool.map(lambda name: meets(yard, name), BEHAVIOURS)))
        yard.wait("session_closed", count=len(BEHAVIOURS))
        memory.over.set()
        memory.join()
        yield {"replies": results, "memory": memory, "yard": yard, "doors": peer}
        assert yard.stop() == 0
    finally:
        yard.close()


def test_there_are_enough_of_them():
    assert len(BEHAVIOURS) >= 60 and {POLICY[name] for name in BEHAVIOURS} == set(POLICIES)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_met(met, name):
    door, _, reason, says, more = BEHAVIOURS[name]
    reply, took, after = met["replies"][name]
    is_passed = reason is TAKEN or more.get("on-malformed") == "default-action"
    assert reply.startswith(str(250 if is_passed else POLICIES[POLICY[name]])), reply
    if not reply.startswith("250"):
        assert reply[4:9] in ("4.3.5", "5.3.5")
    assert took < timeout_s(name) + SLACK_S
    assert "queued as" in after
    if reason is TAKEN:
        assert met["yard"].seen("filter_answered", name=name, stage="data")
        return
    failed, = met["yard"].seen("filter_failed", name=name)
    assert failed["stage"] == "data"
    assert failed["action"] == ("accept" if is_passed else POLICY[name])
    assert failed["reason"] in (reason if isinstance(reason, tuple) else (reason,)), failed
    assert failed["text"] and says in failed["text"], failed
    assert all(" " <= c <= "~" for c in failed["text"]), failed
    assert TOKEN not in failed["text"] and met["doors"][door] not in failed["text"], failed


def test_memory_is_bounded_and_given_back(met):
    """What 16 sessions and the registrations at a time may have is far below what was sent: two
    gigabytes thrice, and no end at all four times."""
    memory = met["memory"]
    assert memory.most < memory.first + 150 * MIB
    end = time.monotonic() + PATIENCE
    while memory.now() > memory.first + 60 * MIB:
        assert time.monotonic() < end, (memory.first, memory.most, memory.now())
        time.sleep(0.2)


def test_nobody_but_the_senders_meant_is_harmed(met):
    """Each session's second mail has arrived, and no more than that and what was passed over."""
    yard = met["yard"]
    count = sum(reply.startswith("250") for reply, _, _ in met["replies"].values())
    yard.wait("delivery_done", count=count + len(BEHAVIOURS))
    assert len(yard.mailbox("bob@example.org")) == count + len(BEHAVIOURS)
    assert not any(TOKEN in line for line in yard.log.read_text().splitlines())

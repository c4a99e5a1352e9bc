"""Classic hooks as their authors meet them: the scanners of docs/examples, and `postyard hook test`."""

import json
import socket
import subprocess
import time

import pytest

import mixed
from client import Client, sends_mail
from hook_schema import answer_is_good, check_request
from ports import free_port
from scanner import Scanner
from yard import PATIENCE, PROGRAM, TREE

EXAMPLES = TREE / "docs" / "examples"
RUN = {"py": "python3", "js": "node"}
MESSAGE = (b"From: ann@a.example\nTo: bo@example.net\nX-Tag: one\nSubject: invoice\nX-Tag: two\n\n"
           b"Please pay.\nSoon.\n")


@pytest.fixture(params=["py", "js"])
def example(request):
    """A scanner of the manual, running; its URL."""
    port = free_port()
    file = EXAMPLES / f"scanner-classic.{request.param}"
    assert len(file.read_text().splitlines()) < 40
    process = subprocess.Popen([RUN[request.param], file, str(port)], stderr=subprocess.PIPE)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < until, process.stderr
    yield f"http://127.0.0.1:{port}/"
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.fixture
def scanner():
    with Scanner() as s:
        yield s


def hook_test(url, *words, message=MESSAGE, status=0):
    """The parts of what `postyard hook test` prints, by name."""
    told = subprocess.run([PROGRAM, "hook", "test", url, "--message", "-", *words], input=message,
                          capture_output=True, timeout=PATIENCE)
    assert told.returncode == status, (told.stdout, told.stderr)
    parts = {}
    for line in told.stdout.decode().splitlines():
        if line.startswith("== "):
            name = line[3:]
            parts[name] = []
        else:
            parts[name].append(line)
    return parts


# ---- the scanners of the manual ----

def test_a_scanner_of_the_manual_marks_a_message(example):
    told = hook_test(example)
    assert told["outcome"] == ["accept"]
    assert told["changes"] == ["+ X-Scanner: seen"]
    check_request(told["request"][1])
    assert answer_is_good(told["answer"][1])


def test_a_scanner_of_the_manual_refuses_a_message(example):
    told = hook_test(example, message=b"Subject: Win the LOTTERY\n\nnow\n")
    assert told["outcome"] == ["reject: 554 5.7.1 No lotteries here"]
    assert "changes" not in told
    assert answer_is_good(told["answer"][1])


def test_a_scanner_of_the_manual_beside_a_server(yard, host, example):
    yard.configure({"listeners": {"smtp": {"submission": False}},
                    "hooks": [{"name": "scanner", "url": example, "stages": ["data"]}]})
    yard.relays(("hub.example", host)).start()
    message = b"Subject: x\r\n\r\nHello.\r\n"
    sends_mail(yard, "a@client.example", "b@hub.example", message)
    [taken] = host.wait_mail(1)
    assert taken.message[mixed.TRACE.match(taken.message).end():] == b"X-Scanner: seen\r\n" + message
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<b@hub.example>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: a lottery\r\n\r\nHello.\r\n.\r\n")
        assert client.hears(554) == "5.7.1 No lotteries here"
        client.quits()


# ---- hook test ----

@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_each_stage_is_asked_as_the_schema_says(scanner, stage):
    told = hook_test(scanner.url, "--stage", stage, "--login", "ann") if stage != "connect" \
        else hook_test(scanner.url, "--stage", stage)
    [_] = scanner.asked(stage)
    assert told["outcome"] == ["accept"]


def test_changes_are_shown_line_by_line(scanner):
    answer = {"action": "accept", "modifications": [
        {"type": "changeFrom", "value": "<>"},
        {"type": "addRecipient", "value": "dan@b.example", "parameters": {"NOTIFY": "NEVER"}},
        {"type": "deleteRecipient", "value": "cy@example.net"},
        {"type": "deleteHeader", "index": 1, "name": "x-tag"},
        {"type": "changeHeader", "index": 1, "name": "Subject", "value": "paid\r\n at last"},
        {"type": "addHeader", "name": "X-A", "value": "1"},
        {"type": "replaceContents", "value": "Please pay.\r\nLater.\r\n"}]}
    scanner.says(data=answer)
    told = hook_test(scanner.url, "--from", "ann@a.example", "--to", "bo@example.net", "--to",
                     "Cy@example.net")
    assert answer_is_good(json.dumps(answer))
    assert told["changes"] == [
        "- MAIL FROM:<ann@a.example>",
        "+ MAIL FROM:<>",
        "- RCPT TO:<Cy@example.net>",
        "+ RCPT TO:<dan@b.example> NOTIFY=NEVER",
        "+ X-A: 1",
        "- X-Tag: one",
        "- Subject: invoice",
        "+ Subject: paid",
        "+  at last",
        "  (body)",
        "- Soon.",
        "+ Later.",
    ]


@pytest.mark.parametrize("answer,wrong", [
    ({"action": "Accept"}, "action is not accept, discard, reject or quarantine"),
    ((500, b"{}"), "status 500 is no answer: it must be 200 or another 2xx"),
    ((200, b"accept"), "it is not JSON (byte 6)"),
    ({"action": "accept", "modifications": [
        {"type": "addHeader", "name": "X-A", "value": "1\r\nBcc: eve@evil.example"}]},
     "a header field is not one good field"),
    ({"action": "accept", "modifications": [{"type": "addRcpt", "value": "a@b.example"}]},
     "a modification has an unknown type"),
])
def test_what_is_wrong_with_an_answer_is_said(scanner, answer, wrong):
    scanner.says(data=answer)
    assert hook_test(scanner.url, status=1)["wrong"] == [wrong]


def test_a_reply_that_does_not_fit_is_noted(scanner):
    scanner.says(data={"action": "reject", "response": {"status": 250, "message": "fine"}})
    assert hook_test(scanner.url)["outcome"] == [
        "reject: 503 5.5.3 Message rejected.",
        "note: a reply of 250 does not go with reject: it is left out"]


def test_nobody_there_is_said(scanner):
    told = hook_test(f"http://127.0.0.1:{free_port()}/", status=1)
    assert "answer" not in told and told["wrong"]

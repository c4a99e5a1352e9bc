"""`postyard hook test` with scanners of the draft dialects: registered at, asked once, left."""
import json
import subprocess

import pytest
from draft_scanner import TOKEN, VALIDATOR, DraftScanner
from test_hook_scanners import hook_test
from yard import PATIENCE, PROGRAM

STAGES = ("connect", "ehlo", "mail", "rcpt", "data")
LEAVING = ("delivery", "defer", "dsn")
SIGNED = ("--field", f"Authorization: Bearer {TOKEN}")


@pytest.fixture
def scanner(certificates):
    with DraftScanner(certificates) as s:
        s.leaving = [*LEAVING, "route"]
        yield s


def tries(scanner, stage, *words, dialect="draft-01", status=0, **more):
    told = hook_test(scanner.url, "--dialect", dialect, "--stage", stage, "--ca", str(scanner.ca),
                     *SIGNED, *words, status=status, **more)
    assert len(scanner.deleted) == len(scanner.offers)
    return told


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("stage", [*STAGES, *LEAVING])
def test_each_stage_is_asked_as_the_schema_says(scanner, stage, form):
    """What is printed is what was sent, CBOR as JSON; the schema is looked at in both places."""
    scanner.format = form
    told = tries(scanner, stage, "--format", form)
    asked, = scanner.asked(stage)
    shown = json.loads(told["request"][3])
    assert not list(VALIDATOR.iter_errors(shown))
    assert shown["action"] == ("continue" if stage in LEAVING else "accept")
    assert told["request"][1] == "X-MTA-Hooks-Registration: r-1"
    assert told["request"][2].split()[1] == asked.headers["X-MTA-Hooks-Request-Id"]
    assert told["request"][0].split()[-2:] == [str(len(asked.bytes)), "bytes"]
    assert told["answer"][0] == "status 204, no type, 0 bytes"
    assert told["outcome"] == [shown["action"]] and "changes" not in told
    assert f"stages {stage}" in told["registration"]
    assert told["end"] == ["r-1 was given back"]


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_changes_are_shown_line_by_line(scanner, form):
    scanner.format = form
    scanner.says(data={
        "set": [{"path": "/envelope/from/address", "value": None},
                {"path": "/message/subject", "value": "paid"}],
        "add": [{"path": "/envelope/to", "value": {"address": "dan@b.example"}},
                {"path": "/message/headers", "index": 0,
                 "value": {"name": "X-A", "value": "1"}}]})
    told = tries(scanner, "data", "--format", form, "--from", "ann@a.example", "--to",
                 "bo@example.net")
    assert told["changes"] == [
        "- MAIL FROM:<ann@a.example>",
        "+ MAIL FROM:<>",
        "+ RCPT TO:<dan@b.example>",
        "+ X-A: 1",
        "- Subject: invoice",
        "+ Subject: paid",
    ]


@pytest.mark.parametrize("stage,answer,changes", [
    ("defer", {"set": [{"path": "/envelope/to/0/status", "value": "failed"},
                       {"path": "/envelope/to/1/nextAttemptAt", "value": "2001-01-01T00:00:00Z"}]},
     ["  RCPT TO:<bo@example.net>: deferred -> failed",
      "  RCPT TO:<cy@example.net>: attempt "]),
    ("delivery", {"set": [{"path": "/action", "value": "cancel"}]}, None),
    ("dsn", {"delete": [{"path": "/message"}]}, ["- the notice"]),
    ("dsn", {"set": [{"path": "/message/subject", "value": "sorry"}]},
     ["- Subject: Your message was not delivered", "+ Subject: sorry"]),
])
def test_what_would_become_of_leaving_mail_is_shown(scanner, stage, answer, changes):
    scanner.says(**{stage: answer})
    words = () if stage == "dsn" else ("--message", "-")
    told = subprocess.run(
        [PROGRAM, "hook", "test", scanner.url, "--dialect", "draft-01", "--stage", stage, "--ca",
         str(scanner.ca), "--to", "bo@example.net", "--to", "cy@example.net", *SIGNED, *words],
        input="Subject: x\n\nhi\n", capture_output=True, text=True, timeout=PATIENCE)
    assert told.returncode == 0, told
    _, _, after = told.stdout.partition("== outcome\n")
    if changes is None:
        assert after.startswith("cancel\n")
    for line in changes or []:
        assert "\n" + line in after, after


def test_the_way_of_leaving_mail_is_shown(scanner):
    """draft-02: a JSON Patch, and the stage route."""
    scanner.says(route=[[{"op": "add", "path": "/envelope/to/0/route",
                          "value": {"connection": "careful", "queue": "slow"}},
                         {"op": "add", "path": "/envelope/to/1/rawMessage",
                          "value": "QTogYg0KDQpoaQ0K"}]])
    told = tries(scanner, "route", "--to", "bo@example.net", "--to", "cy@example.net",
                 dialect="draft-02")
    assert [line.rstrip() for line in told["changes"]] == [
        "  RCPT TO:<bo@example.net>: connection=careful queue=slow",
        "  RCPT TO:<cy@example.net>: a message of its own: a server refuses it"]
    assert hook_test(scanner.url, "--dialect", "draft-01", "--stage", "route", *SIGNED,
                     status=64) == {}


@pytest.mark.parametrize("answer,wrong", [
    ({"set": [{"path": "/action", "value": "Reject"}]}, "action"),
    ((503, {}), "it answered with status 503 SCANNER_UNAVAILABLE"),
    ({"set": [{"path": "/client/ip", "value": "192.0.2.1"}]}, "/client"),
    ({"add": [{"path": "/message/headers", "value": {"name": "A\r\nB", "value": "1"}}]}, "header"),
])
def test_what_is_wrong_with_an_answer_is_said(scanner, answer, wrong):
    scanner.says(data=answer)
    told = tries(scanner, "data", status=1)
    assert wrong in told["wrong"][0]
    assert "outcome" not in told and told["end"]


def test_what_it_may_change_is_kept_to(scanner):
    scanner.says(data={"set": [{"path": "/message/subject", "value": "paid"}]})
    told = tries(scanner, "data", "--allow", "/action", status=1)
    assert "/message/subject" in told["wrong"][0]


def test_a_stage_that_was_not_agreed_on_is_not_asked(scanner):
    scanner.stages = ["mail"]
    told = tries(scanner, "data", status=1)
    assert told["wrong"] and "request" not in told


def test_a_registration_that_is_refused_is_said(scanner):
    scanner.token = "another-token-altogether-0000000001"
    told = tries(scanner, "data", status=1)
    assert "401 INVALID_CREDENTIALS" in told["wrong"][0]
    assert "end" not in told and not scanner.deleted


def test_a_token_is_read_from_a_file(scanner, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    told = hook_test(scanner.url, "--dialect", "draft-01", "--ca", str(scanner.ca), "--token-file",
                     str(tmp_path / "token"))
    assert told["outcome"] == ["accept"] and TOKEN not in json.dumps(told)


def test_where_to_register_may_be_said(scanner):
    told = hook_test(scanner.url + "register", "--dialect", "draft-02", "--ca", str(scanner.ca),
                     "--no-discovery", *SIGNED, status=1)
    assert told["outcome"] == ["accept"] and not scanner.discoveries
    assert "no address is named for that" in told["wrong"][0]  # this one's is in its discovery


@pytest.mark.parametrize("words,says", [
    (("--dialect", "draft-01"), "ask for credentials"),
    (("--dialect", "draft-03"), "--dialect is"),
    (("--dialect", "draft-01", "--stage", "auth"), "--stage is"),
    (("--dialect", "draft-01", "--allow-invalid-certs"), "a certificate that is good"),
    (("--dialect", "draft-01", *SIGNED, "--property", "/stage"), "/action"),
    (("--dialect", "draft-01", *SIGNED, "--property", "/nothing"), "no property"),
    (("--dialect", "draft-01", *SIGNED, "--certificate", "/nowhere/c.pem"), "both certificate and"),
    (("--dialect", "draft-01", *SIGNED, "--ca", "/nowhere/ca.pem"), "/nowhere/ca.pem"),
    (("--format", "cbor"), "are for --dialect draft-01"),
])
def test_what_a_server_refuses_is_refused(words, says):
    told = subprocess.run([PROGRAM, "hook", "test", "https://127.0.0.1:1/", *words],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert told.returncode == 64 and says in told.stderr, told

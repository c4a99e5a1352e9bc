"""Hooks: programs over HTTP that are asked about mail, in the classic dialect. Ids are those of the
conformance cases (CL, SE)."""

import json
import signal
import socket
import threading
import time
import urllib.request

import pytest
from client import Client, sends_mail, stuffed
from ports import free_port
from scanner import ACCEPT, Scanner
from yard import PATIENCE

MESSAGE = "From: ann@a.example\r\nSubject: invoice\r\n\tfor October\r\n\r\nPlease pay.\r\n"
REJECT = {"action": "reject"}


@pytest.fixture
def scanner():
    with Scanner() as s:
        yield s


@pytest.fixture
def another_scanner():
    with Scanner() as s:
        yield s


def hooked(yard, *hooks, **more):
    return yard.configure({"hooks": list(hooks)} | more).start()


def greeted(yard, name="a.example"):
    client = Client(yard.port)
    client.says(f"EHLO {name}", 250)
    return client


def arrived(yard, identity, address="bob@example.org"):
    """The one message that has come to a local mailbox, without our trace."""
    yard.wait("delivery_done", message=identity)
    mail = yard.mailbox(address)
    assert len(mail) == 1
    return mail[0]


def behind_trace(mail):
    """Without Return-Path, Delivered-To, Received and what a submission lacked."""
    lines = mail.decode("latin-1").split("\r\n")
    own = ("Return-Path:", "Delivered-To:", "Received:", "Date:", "Message-ID:")
    while lines[0].startswith(own + (" ", "\t")):
        lines.pop(0)
    return "\r\n".join(lines)


def sends(yard, message=MESSAGE, sender="ann@a.example", recipients=("bob@example.org",), code=250):
    """One transaction up to the answer to the end of data."""
    with greeted(yard) as client:
        client.says(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            client.says(f"RCPT TO:<{recipient}>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(message))
        answer = client.hears(code)
        client.quits()
    return answer


def stored(yard):
    """How many messages are queued."""
    told = yard.with_config("queue", "list", "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["total"]


# ---- connect and ehlo ----

def test_a_client_that_is_accepted_is_greeted_after_the_answer(yard, scanner):
    """CL-01, CL-03"""
    times = []
    scanner.says(connect=lambda r: (time.sleep(0.2), times.append(time.monotonic()), ACCEPT)[2])
    hooked(yard, scanner.hook("connect"))
    with Client(yard.port):
        assert times and time.monotonic() >= times[0]
    request, = scanner.asked("connect")
    assert request["context"]["client"]["helo"] is None
    assert request["context"]["client"]["ptr"] is None
    assert request["context"]["client"]["ip"] == "127.0.0.1"
    assert request["context"]["client"]["activeConnections"] == 1
    assert request["context"]["server"]["port"] == yard.port
    assert not {"envelope", "message"} & set(request) and "queue" not in request["context"]
    assert request.headers["Content-Type"] == "application/json"


def test_a_client_that_is_rejected_hears_why_and_the_end(yard, scanner):
    """CL-02"""
    scanner.says(connect=REJECT)
    hooked(yard, scanner.hook("connect"))
    client = Client(yard.port, greeting=503)
    assert client.greeting.startswith("5.5.3")
    client.hears_end()
    yard.wait("filter_acted", name="policy", stage="connect", action="reject")


def test_a_name_that_is_rejected_may_be_followed_by_another(yard, scanner):
    """CL-04, CL-05"""
    scanner.says(ehlo=[{"action": "reject", "response": {
        "status": 550, "enhanced_status": "5.7.1", "message": "no"}}, ACCEPT])
    hooked(yard, scanner.hook("ehlo"))
    with Client(yard.port) as client:
        assert client.says("EHLO a.example", 550) == "5.7.1 no"
        client.says("MAIL FROM:<ann@a.example>", 503)
        assert "PIPELINING" in client.says("EHLO b.example", 250)
        client.quits()
    assert [r["context"]["client"]["helo"] for r in scanner.asked("ehlo")] == ["a.example", "b.example"]


def test_after_starttls_the_same_name_is_asked_about_again(yard, scanner, certificates):
    """CL-06"""
    hooked(yard, scanner.hook("ehlo", "mail"), server={"tls": {
        "certificate": str(certificates["mx"]), "key": str(certificates["mx_key"])}})
    with greeted(yard) as client:
        client.starts_tls()
        client.says("EHLO a.example", 250)
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.quits()
    before, after = scanner.asked("ehlo")
    assert "tls" not in before["context"]
    assert after["context"]["tls"]["version"].startswith("TLSv1.")
    assert after["context"]["tls"] == scanner.asked("mail")[0]["context"]["tls"]


# ---- mail and rcpt ----

def test_the_sender_is_told_in_lower_case_and_the_null_sender_as_nothing(yard, scanner):
    """CL-07, CL-08"""
    hooked(yard, scanner.hook("mail"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<Ann@A.Example> RET=HDRS ENVID=x+2Bz", 250)
        client.says("RSET", 250)
        client.says("MAIL FROM:<>", 250)
        client.quits()
    first, second = scanner.asked("mail")
    assert first["envelope"]["from"]["address"] == "ann@a.example"
    assert first["envelope"]["from"]["parameters"] == {"RET": "HDRS", "ENVID": "x+2Bz"}
    assert first["envelope"]["to"] == []
    assert second["envelope"]["from"]["address"] == ""


def test_a_rejected_sender_is_forgotten_and_another_may_come(yard, scanner):
    """CL-09"""
    scanner.says(mail=[REJECT])
    hooked(yard, scanner.hook("mail"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 503)
        client.says("RCPT TO:<bob@example.org>", 503)
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.quits()


def test_mail_of_a_discarded_sender_goes_nowhere_and_asks_nobody(yard, scanner):
    """CL-10"""
    scanner.says(mail=[{"action": "discard"}])
    hooked(yard, scanner.hook("mail", "rcpt", "data"))
    with greeted(yard) as client:
        identity = client.sends_mail("ann@a.example", "bob@example.org", MESSAGE)
        yard.wait("message_discarded", message=identity)
        assert not scanner.asked("rcpt") and not scanner.asked("data")
        # The next transaction is another matter.
        client.sends_mail("ann@a.example", "bob@example.org", MESSAGE)
        client.quits()
    assert len(scanner.asked("data")) == 1
    yard.wait("delivery_done")
    assert len(yard.mailbox("bob@example.org")) == 1


def test_the_recipient_in_question_is_the_last_and_a_refused_one_is_not_told_later(yard, scanner):
    """CL-11, CL-12, CL-13"""
    scanner.says(rcpt=[ACCEPT, {"action": "reject", "response": {
        "status": 451, "enhanced_status": "4.7.1", "message": "later"}}])
    hooked(yard, scanner.hook("rcpt", "data"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        assert client.says("RCPT TO:<cy@example.org>", 451) == "4.7.1 later"
        client.says("RCPT TO:<dan@example.org>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(MESSAGE)).hears(250)
        client.quits()
    told = [[to["address"] for to in r["envelope"]["to"]] for r in scanner.asked("rcpt")]
    assert told == [["bob@example.org"], ["bob@example.org", "cy@example.org"],
                    ["bob@example.org", "dan@example.org"]]
    data, = scanner.asked("data")
    assert [to["address"] for to in data["envelope"]["to"]] == ["bob@example.org", "dan@example.org"]
    yard.wait("delivery_done", rcpt="dan@example.org")
    assert not yard.mailbox("cy@example.org")


def test_a_recipient_named_twice_is_asked_about_once(yard, scanner):
    """CL-14"""
    hooked(yard, scanner.hook("rcpt"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.quits()
    assert len(scanner.asked("rcpt")) == 1


def test_what_we_refuse_ourselves_no_scanner_is_asked_about(yard, scanner):
    """A scanner cannot accept what we refuse."""
    hooked(yard, scanner.hook("rcpt"), server={"trusted-networks": []})
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<eve@elsewhere.example>", 550)
        client.quits()
    assert not scanner.requests


def test_when_all_recipients_are_discarded_the_client_sees_nothing_of_it(yard, scanner):
    """Q21"""
    scanner.says(rcpt=[{"action": "discard"}, {"action": "discard"}])
    hooked(yard, scanner.hook("rcpt", "data"))
    sends(yard, recipients=("bob@example.org", "cy@example.org"))
    yard.wait("message_discarded")
    assert not scanner.asked("data") and stored(yard) == 0
    # One of two: the other gets it.
    scanner.says(rcpt=[{"action": "discard"}, ACCEPT])
    sends(yard, recipients=("bob@example.org", "cy@example.org"))
    data, = scanner.asked("data")
    assert data["envelope"]["to"] == [{"address": "cy@example.org"}]
    yard.wait("delivery_done", rcpt="cy@example.org")
    assert not yard.mailbox("bob@example.org")


# ---- data: what is sent ----

def test_the_message_is_told_as_it_came(yard, scanner):
    """CL-15, CL-16, CL-17, CL-18, CL-21"""
    hooked(yard, scanner.hook("data"))
    message = MESSAGE.encode() + b".x\r\ncaf\xe9\r\n"
    with greeted(yard) as client:
        identity = client.sends_mail("ann@a.example", "bob@example.org", message,
                                     mail_words=" BODY=8BITMIME")
        client.quits()
    request, = scanner.asked("data")
    assert request["context"]["queue"]["id"] == f"{int(identity, 16):x}"
    assert request["message"]["size"] == len(message)
    assert request["message"]["headers"] == [
        ["From", " ann@a.example\r\n"], ["Subject", " invoice\r\n\tfor October\r\n"]]
    assert request["message"]["contents"] == "Please pay.\r\n.x\r\ncaf\ufffd\r\n"
    assert behind_trace(arrived(yard, identity)) == message.decode("latin-1")
    yard.wait("filter_answered", name="policy", stage="data", message=identity, action="accept")


def test_a_message_in_chunks_is_asked_about_once(yard, scanner):
    """CL-19"""
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        for start, end in ((0, 20), (20, 50)):
            client.sends(f"BDAT {end - start}\r\n{MESSAGE[start:end]}".encode()).hears(250)
        client.sends(f"BDAT {len(MESSAGE) - 50} LAST\r\n{MESSAGE[50:]}".encode()).hears(250)
        client.quits()
    request, = scanner.asked("data")
    assert request["message"]["contents"] == "Please pay.\r\n"
    assert request["message"]["size"] == len(MESSAGE)


def test_a_large_message_is_told_whole_and_its_body_stays_where_it_is(yard, scanner):
    """Beyond what is held in memory the body is read back from the log, and not written again when
    only fields are added."""
    hooked(yard, scanner.hook("data", timeout="60s"))
    scanner.says(data={"action": "accept",
                       "modifications": [{"type": "addHeader", "name": "X-Seen", "value": "yes"}]})
    body = "".join(f"line {n} \u00e9\r\n" for n in range(200_000))
    identity = sends(yard, "Subject: large\r\n\r\n" + body).split()[-1]
    request, = scanner.asked("data")
    assert request["message"]["contents"] == body
    mail = behind_trace(arrived(yard, identity)).encode("latin-1").decode()
    assert mail == "X-Seen: yes\r\nSubject: large\r\n\r\n" + body


def test_a_second_message_in_one_session_is_told_alone(yard, scanner):
    """CL-61, CL-62"""
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<eve@a.example>", 250)
        client.says("RCPT TO:<cy@example.org>", 250)
        client.says("RSET", 250)
        first = client.sends_mail("ann@a.example", "bob@example.org", MESSAGE)
        second = client.sends_mail("dan@a.example", "cy@example.org", MESSAGE)
        client.quits()
    assert [r["context"]["queue"]["id"] for r in scanner.requests] == [
        f"{int(i, 16):x}" for i in (first, second)]
    assert scanner.requests[1]["envelope"] == {"from": {"address": "dan@a.example"},
                                               "to": [{"address": "cy@example.org"}]}


def test_credentials_are_sent_and_never_logged(yard, scanner):
    """CL-59, SE-18"""
    hooked(yard, scanner.hook("data", auth={"basic": {"user": "yard", "secret": "s3same"}},
                              headers=["X-Tenant: blue", "Authorization: Bearer other"]))
    sends(yard)
    request, = scanner.requests
    assert request.headers.get_all("Authorization") == ["Basic eWFyZDpzM3NhbWU="]
    assert request.headers["X-Tenant"] == "blue"
    yard.stop()
    log = yard.log.read_text() if yard.log.is_file() else "".join(
        f.read_text() for f in yard.log.iterdir())
    assert "s3same" not in log and "eWFyZDpzM3NhbWU" not in log


# ---- data: what is obeyed ----

@pytest.mark.parametrize("response, code, text", [
    (None, 503, "5.5.3"),                                                           # CL-22
    ({"status": 451, "enhanced_status": "4.3.5", "message": "later"}, 451, "4.3.5 later"),  # CL-23
    ({"status": 451, "enhancedStatus": "4.3.5", "message": "later"}, 451, "4.3.5 later"),   # CL-24
    ({"status": 451}, 503, "5.5.3"),                                                # CL-25
    ({"status": 321, "message": "Test"}, 503, "5.5.3"),                             # CL-29
])
def test_a_rejected_message_is_not_stored_and_the_session_goes_on(yard, scanner, response, code, text):
    scanner.says(data=[REJECT | ({"response": response} if response else {})])
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        assert client.sends(stuffed(MESSAGE)).hears(code).startswith(text)
        assert stored(yard) == 0
        identity = client.sends_mail("ann@a.example", "bob@example.org", MESSAGE)
        client.quits()
    arrived(yard, identity)


def test_many_rejections_are_no_errors_of_the_client(yard, scanner):
    scanner.says(data=REJECT)
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        for _ in range(30):
            client.says("MAIL FROM:<ann@a.example>", 250)
            client.says("RCPT TO:<bob@example.org>", 250)
            client.says("DATA", 354)
            client.sends(stuffed(MESSAGE)).hears(503)
        client.quits()


@pytest.mark.parametrize("response", [None, {"status": 550, "message": "gone"}])  # CL-26, CL-30
def test_a_discarded_message_is_answered_like_one_that_was_taken(yard, scanner, response):
    scanner.says(data={"action": "discard"} | ({"response": response} if response else {}))
    hooked(yard, scanner.hook("data"))
    sends(yard)
    yard.wait("message_discarded", name="policy")
    assert stored(yard) == 0 and not yard.seen("message_accepted")


def test_quarantine_holds_the_message_until_it_is_released(yard, scanner):
    """CL-27"""
    scanner.says(data={"action": "quarantine", "modifications": [
        {"type": "addHeader", "name": "X-Score", "value": "9"}]})
    hooked(yard, scanner.hook("data"))
    identity = sends(yard).split()[-1]
    yard.wait("message_quarantined", message=identity, name="policy")
    told = json.loads(yard.with_config("queue", "why", identity, "--json").stdout)
    assert [r["wait"]["reason"] for r in told["recipients"]] == ["held"]
    assert not yard.seen("delivery_done") and not yard.mailbox("bob@example.org")
    assert yard.with_config("queue", "release", identity).returncode == 0
    mail = behind_trace(arrived(yard, identity))
    assert mail.startswith("X-Quarantine: true\r\n") and "X-Score: 9\r\n" in mail
    assert mail.endswith(MESSAGE)


def test_accepted_and_disconnected_is_stored_first(yard, scanner):
    """CL-28"""
    scanner.says(data={"action": "accept", "response": {"disconnect": True}})
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        identity = client.sends_mail("ann@a.example", "bob@example.org", MESSAGE)
        client.hears_end()
    arrived(yard, identity)


# ---- edits ----

def edits(*modifications):
    return {"action": "accept", "modifications": list(modifications)}


def header(kind, name, value=None, index=None):
    made = {"type": kind, "name": name}
    return made | ({"value": value} if value is not None else {}) | (
        {"index": index} if index is not None else {})


def test_fields_that_nobody_changes_keep_their_bytes(yard, scanner):
    scanner.says(data=edits(header("changeHeader", "Subject", "paid", 1),
                            header("deleteHeader", "X-Gone", index=1)))
    hooked(yard, scanner.hook("data"))
    message = ("from : ann@a.example\r\nX-Odd:\tfold\r\n  ed  \r\nX-Gone: 1\r\nSubject: due\r\n"
               "DKIM-Signature: v=1;\r\n\tb=abc\r\n\r\nPlease pay.\r\n")
    identity = sends(yard, message).split()[-1]
    assert behind_trace(arrived(yard, identity)) == message.replace(
        "X-Gone: 1\r\n", "").replace("Subject: due", "Subject: paid")


def long_header(fields):
    """72 to 75 bytes a field."""
    return "".join(f"X-Long-{n}: {'v' * 60}\r\n" for n in range(fields))


@pytest.mark.parametrize("header_fields, body", [
    ("Subject: x\r\n", ""),                                         # no body
    ("Subject: x\r\n", "short\r\n"),
    ("Subject: x\r\n", "line\r\n" * 20_000),                       # partly in the log
    (long_header(3000), "line\r\n" * 20_000),                                   # the header section, too
    (long_header(640), "line\r\n" * 20_000),            # new fields do not fit beside it
    (long_header(70), "line\r\n" * 8_000),                          # all in memory, until now
], ids=["no body", "short", "partly in the log", "the header section, too", "no room", "in memory"])
@pytest.mark.parametrize("new_body", [None, "new\r\n", "new line\r\n" * 30_000],
                         ids=["kept", "shorter", "longer"])
def test_sizes_of_header_and_body_make_no_difference(yard, scanner, header_fields, body, new_body):
    more = [header("addHeader", f"X-New-{n}", "n" * 800) for n in range(20)]
    bodies = [{"type": "replaceContents", "value": new_body}] if new_body else []
    scanner.says(data=edits(*more, *bodies))
    hooked(yard, scanner.hook("data", timeout="30s"))
    identity = sends(yard, header_fields + "\r\n" + body).split()[-1]
    added = "".join(f"X-New-{n}: {'n' * 800}\r\n" for n in range(20))
    assert behind_trace(arrived(yard, identity)) == added + header_fields + "\r\n" + (new_body or body)
    request, = scanner.asked("data")
    assert request["message"]["contents"] == body
    assert len(request["message"]["headers"]) == header_fields.count("\r\n")


@pytest.mark.parametrize("message, wanted", [
    ("no field at all\r\n", "X-A: 1\r\n\r\nno field at all\r\n"),
    (" begins with a blank\r\n", "X-A: 1\r\n\r\n begins with a blank\r\n"),
    ("\r\nonly a body\r\n", "X-A: 1\r\n\r\nonly a body\r\n"),
    ("Subject: only a field\r\n", "X-A: 1\r\nSubject: only a field\r\n\r\n"),
    ("Subject: x\r\nno separator\r\n", "X-A: 1\r\nSubject: x\r\n\r\nno separator\r\n"),
])
def test_messages_without_a_due_header_section_get_one_when_fields_are_added(yard, scanner, message, wanted):
    scanner.says(data=edits(header("addHeader", "X-A", "1")))
    hooked(yard, scanner.hook("data"))
    assert behind_trace(arrived(yard, sends(yard, message).split()[-1])) == wanted


def test_what_a_submission_lacks_is_added_behind_the_hooks(yard, scanner):
    """A Date that a hook brings is not doubled."""
    scanner.says(data=edits(header("addHeader", "Date", "Tue, 24 Nov 2026 10:00:00 +0000")))
    hooked(yard, scanner.hook("data"))
    mail = arrived(yard, sends(yard).split()[-1]).decode()
    assert mail.count("\r\nDate: ") == 1 and mail.count("\r\nMessage-ID: ") == 1


def test_of_two_new_bodies_the_later_hooks_counts(yard, scanner, another_scanner):
    """CL-39"""
    scanner.says(data=edits({"type": "replaceContents", "value": "one\r\n"}))
    another_scanner.says(data=edits({"type": "replaceContents", "value": "two\r\n"}))
    hooked(yard, scanner.hook(name="a"), another_scanner.hook(name="b"))
    identity = sends(yard).split()[-1]
    assert behind_trace(arrived(yard, identity)).endswith("\r\n\r\ntwo\r\n")


def test_hooks_see_the_message_as_it_came_and_their_edits_count_together(yard, scanner, another_scanner):
    """CL-40"""
    scanner.says(data=edits(header("addHeader", "X-A", "1")))
    another_scanner.says(data=edits(header("addHeader", "X-B", "2")))
    hooked(yard, scanner.hook(name="a"), another_scanner.hook(name="b"))
    identity = sends(yard).split()[-1]
    assert another_scanner.requests[0]["message"]["headers"] == scanner.requests[0]["message"]["headers"]
    assert behind_trace(arrived(yard, identity)) == "X-A: 1\r\nX-B: 2\r\n" + MESSAGE
    for name in "ab":
        yard.wait("filter_edited", message=identity, name=name, count=1)


def test_a_later_rejection_forgets_the_edits_before(yard, scanner, another_scanner):
    """CL-41"""
    scanner.says(data=edits(header("addHeader", "X-A", "1")))
    another_scanner.says(data=REJECT)
    hooked(yard, scanner.hook(name="a"), another_scanner.hook(name="b"))
    sends(yard, code=503)
    assert stored(yard) == 0


def test_the_order_of_hooks_is_what_the_configuration_says(yard, scanner, another_scanner):
    another_scanner.says(data=REJECT)
    hooked(yard, scanner.hook(name="a", order=5), another_scanner.hook(name="b", order=-5))
    sends(yard, code=503)
    assert not scanner.requests


def shown(yard, identity):
    return json.loads(yard.with_config("queue", "show", identity, "--json").stdout)


def test_the_return_path_may_be_taken_away_and_the_reports_data_replaced(yard, scanner, host):
    """CL-42, CL-43"""
    yard.relays(("hub.example", host))
    scanner.says(data=[edits({"type": "changeFrom", "value": "<>"}),
                       edits({"type": "changeFrom", "value": "new@a.example",
                              "parameters": {"ENVID": "abc", "RET": "HDRS"}})])
    hooked(yard, scanner.hook("data"))
    sends(yard, recipients=("x@hub.example",))
    sends(yard, recipients=("x@hub.example",))
    first, second = host.wait_mail(2)
    senders = {first.sender: first, second.sender: second}
    assert set(senders) == {"", "new@a.example"}
    assert "ENVID=abc" in senders["new@a.example"].mail_line
    assert "RET=HDRS" in senders["new@a.example"].mail_line


def test_parameters_that_are_none_are_left_aside_and_the_sender_stands(yard, scanner, host):
    """CL-44"""
    yard.relays(("hub.example", host))
    scanner.says(data=edits({"type": "changeFrom", "value": "new@a.example",
                             "parameters": {"RET": "perhaps"}}))
    hooked(yard, scanner.hook("data"))
    sends(yard, recipients=("x@hub.example",))
    mail, = host.wait_mail(1)
    assert mail.sender == "new@a.example" and "RET" not in mail.mail_line
    yard.wait("filter_note", name="policy")


def test_added_recipients_are_judged_as_if_the_client_had_named_them(yard, scanner):
    """CL-45, CL-46"""
    scanner.says(data=edits({"type": "addRecipient", "value": "cy@example.org"},
                            {"type": "addRecipient", "value": "BOB@example.org"},
                            {"type": "addRecipient", "value": "eve@elsewhere.example"}))
    hooked(yard, scanner.hook("data"), server={"trusted-networks": []})
    identity = sends(yard).split()[-1]
    yard.wait("delivery_done", message=identity, rcpt="cy@example.org")
    yard.wait("delivery_done", message=identity, rcpt="bob@example.org")
    yard.wait("filter_rcpt_refused", rcpt="eve@elsewhere.example", name="policy")
    assert len(yard.mailbox("bob@example.org")) == 1
    assert yard.wait("message_accepted")["recipients"] == 2


def test_a_deleted_recipient_gets_nothing(yard, scanner):
    """CL-47"""
    scanner.says(data=edits({"type": "deleteRecipient", "value": "BOB@Example.ORG"}))
    hooked(yard, scanner.hook("data"))
    identity = sends(yard, recipients=("bob@example.org", "cy@example.org")).split()[-1]
    yard.wait("delivery_done", message=identity, rcpt="cy@example.org")
    assert not yard.mailbox("bob@example.org")


def test_when_no_recipient_is_left_the_message_is_discarded(yard, scanner):
    """CL-48"""
    scanner.says(data=edits({"type": "deleteRecipient", "value": "bob@example.org"}))
    hooked(yard, scanner.hook("data"))
    sends(yard)
    yard.wait("message_discarded")
    assert stored(yard) == 0


def test_modifications_at_another_stage_than_data_are_left_aside(yard, scanner):
    """CL-49"""
    scanner.says(rcpt=edits(header("addHeader", "X-A", "1")))
    hooked(yard, scanner.hook("rcpt"))
    identity = sends(yard).split()[-1]
    assert behind_trace(arrived(yard, identity)) == MESSAGE


@pytest.mark.parametrize("what", [
    header("addHeader", "X-A", "1\r\nBcc: eve@a.example"),                          # SE-01
    header("addHeader", "X Y", "1"),                                                # SE-02
    {"type": "replaceContents", "value": "bare\nline"},
    {"type": "shrinkHeader"},                                                       # CL-57
])
def test_one_bad_edit_spoils_the_whole_answer(yard, scanner, what):
    scanner.says(data=edits(header("addHeader", "X-Good", "1"), what))
    hooked(yard, scanner.hook("data"))
    assert sends(yard, code=451).startswith("4.3.5")
    yard.wait("filter_failed", name="policy", reason="PROTOCOL", action="tempfail")
    assert stored(yard) == 0


def test_a_hook_in_shadow_is_asked_and_not_obeyed(yard, scanner, another_scanner):
    scanner.says(data=REJECT)
    another_scanner.says(data=edits(header("addHeader", "X-B", "2")))
    hooked(yard, scanner.hook(name="a", shadow=True), another_scanner.hook(name="b", shadow=True))
    identity = sends(yard).split()[-1]
    yard.wait("filter_acted", name="a", action="reject")
    assert behind_trace(arrived(yard, identity)) == MESSAGE


def test_an_expression_says_which_mail_is_asked_about(yard, scanner):
    hooked(yard, scanner.hook("rcpt", "data", enable="rcpt_domain == 'example.org' && !is_tls "
                              "&& sender != 'ann@a.example'"))
    sends(yard)
    assert not scanner.requests
    sends(yard, sender="eve@a.example")
    assert [r["context"]["stage"] for r in scanner.requests] == ["rcpt", "data"]


# ---- failures ----

def test_a_failing_scanner_puts_mail_off(yard, scanner):
    """CL-50"""
    scanner.says(data=(500, b"oops"))
    hooked(yard, scanner.hook("data"))
    assert sends(yard, code=451).startswith("4.3.5")
    yard.wait("filter_failed", name="policy", stage="data", action="tempfail")
    assert stored(yard) == 0


def test_a_failing_scanner_may_be_passed_over(yard, scanner, another_scanner):
    """CL-51"""
    scanner.says(data=(500, b"oops"))
    hooked(yard, scanner.hook(name="a", **{"tempfail-on-error": False}), another_scanner.hook(name="b"))
    identity = sends(yard).split()[-1]
    assert len(another_scanner.requests) == 1
    arrived(yard, identity)


@pytest.mark.parametrize("stage, policy, code", [
    ("connect", "tempfail", 451), ("ehlo", "reject", 550), ("mail", "tempfail", 451),
    ("rcpt", "reject", 550), ("data", "reject", 550), ("data", "accept", 250)])
def test_each_stage_has_its_own_word_for_failures(yard, stage, policy, code):
    hook = {"name": "gone", "url": f"http://127.0.0.1:{free_port()}/", "stages": [stage],
            "timeout": "2s", "on-failure": {stage: policy}}
    hooked(yard, hook)
    with Client(yard.port, greeting=code if stage == "connect" else 220) as client:
        if stage == "connect":
            client.hears_end()
            return
        client.says("EHLO a.example", code if stage == "ehlo" else 250)
        if stage == "ehlo":
            return
        client.says("MAIL FROM:<ann@a.example>", code if stage == "mail" else 250)
        if stage == "mail":
            return
        client.says("RCPT TO:<bob@example.org>", code if stage == "rcpt" else 250)
        if stage == "rcpt":
            return
        client.says("DATA", 354)
        client.sends(stuffed(MESSAGE)).hears(code)


def test_a_scanner_that_takes_too_long_is_not_waited_for(yard, scanner):
    """CL-52"""
    scanner.says(data=lambda r: (time.sleep(3), ACCEPT)[1])
    hooked(yard, scanner.hook("data", timeout="500ms"))
    began = time.monotonic()
    sends(yard, code=451)
    assert time.monotonic() - began < 2.5
    yard.wait("filter_failed", reason="TIMEOUT")


@pytest.mark.parametrize("answer", [(204, b""), (200, b"")])
def test_no_words_are_no_objection(yard, scanner, answer):
    """CL-53"""
    scanner.says(data=answer)
    hooked(yard, scanner.hook("data"))
    arrived(yard, sends(yard).split()[-1])


def test_an_answer_in_drops_is_cut_off_at_the_deadline(yard):
    """SE-13"""
    with socket.create_server(("127.0.0.1", 0)) as door:
        def drip():
            peer, _ = door.accept()
            try:
                peer.recv(65536)
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b" " * 100:
                    peer.send(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                pass
        threading.Thread(target=drip, daemon=True).start()
        hooked(yard, {"name": "slow", "url": f"http://127.0.0.1:{door.getsockname()[1]}/",
                      "stages": ["data"], "timeout": "1s"})
        began = time.monotonic()
        sends(yard, code=451)
        assert time.monotonic() - began < 3
        yard.wait("filter_failed", name="slow", reason="TIMEOUT")


def test_a_scanner_that_says_nothing_takes_nothing_else_with_it(yard, scanner):
    """SE-14: the gate bounds how many wait for it, the breaker soon lets nobody wait, and sessions
    whose mail it is not asked about go on."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as door:
        hooked(yard, {"name": "mute", "url": f"http://127.0.0.1:{door.getsockname()[1]}/",
                      "stages": ["mail"], "timeout": "2s", "concurrency": 10, "queue": 40,
                      "breaker": {"failures": 5, "pause": "1m"},
                      "enable": "sender_domain == 'mute.example'"},
               scanner.hook("mail"), server={"limits": {"sessions-per-address": 1000}})
        clients = [Client(yard.port) for _ in range(200)]
        for c in clients:
            c.says("EHLO a.example", 250)
            c.sends(b"MAIL FROM:<ann@mute.example>\r\n")
        with greeted(yard) as other:
            began = time.monotonic()
            other.says("MAIL FROM:<bob@other.example>", 250)
            assert time.monotonic() - began < 1
        for c in clients:
            c.hears(451)
        began = time.monotonic()
        clients[0].says("MAIL FROM:<ann@mute.example>", 451)
        assert time.monotonic() - began < 1
        for c in clients:
            c.close()
        yard.wait("filter_shunned", name="mute")


def test_a_scanner_is_known_by_its_certificate(yard, certificates):
    """SE-17"""
    with Scanner(certificate=certificates["mx"], key=certificates["mx_key"]) as scanner:
        hook = scanner.hook("data", tls={"ca": str(certificates["ca"])})
        hooked(yard, hook)
        sends(yard)
        assert len(scanner.requests) == 1
        # Without its authority it is nobody; unless anybody will do.
        yard.configure({"hooks": [{k: v for k, v in hook.items() if k != "tls"}]})
        assert yard.with_config("reload").returncode == 0
        sends(yard, code=451)
        yard.wait("filter_failed", reason="TLS")
        assert len(scanner.requests) == 1
        yard.configure({"hooks": [hook | {"tls": {"allow-invalid-certs": True}}]})
        assert yard.with_config("reload").returncode == 0
        sends(yard)
        assert len(scanner.requests) == 2


@pytest.mark.parametrize("status", [302, 307])
def test_a_scanner_cannot_send_us_elsewhere(yard, scanner, another_scanner, status):
    """SE-15, Q17"""
    scanner.says(data=(status, b"", {"Location": another_scanner.url}))
    hooked(yard, scanner.hook("data"))
    sends(yard, code=451)
    assert not another_scanner.requests


def test_metrics_count_what_each_filter_did(yard, scanner):
    scanner.says(data=[ACCEPT, REJECT, (500, b"")])
    hooked(yard, scanner.hook("data"))
    for code in (250, 503, 451):
        sends(yard, code=code)
    with urllib.request.urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    for name, count in (("asked_total", 3), ("answered_total", 2), ("acted_total", 1),
                        ("failed_total", 1), ("seconds_count", 3), ("working", 0)):
        assert f'postyard_filter_{name}{{filter="policy"}} {count}\n' in text, name


def test_a_client_that_leaves_while_its_mail_is_judged_leaves_nothing(yard, scanner):
    """SE-19"""
    go_on = threading.Event()
    scanner.says(data=lambda r: (go_on.wait(PATIENCE), ACCEPT)[1])
    hooked(yard, scanner.hook("data", timeout="20s"))
    client = greeted(yard)
    client.says("MAIL FROM:<ann@a.example>", 250)
    client.says("RCPT TO:<bob@example.org>", 250)
    client.says("DATA", 354)
    client.sends(stuffed(MESSAGE))
    scanner.wait_asked("data")
    client.close()
    go_on.set()
    yard.wait("session_closed")
    assert stored(yard) == 0 and not yard.seen("message_accepted")


def test_a_client_that_has_said_all_and_only_listens_is_served(yard, scanner):
    """As `nc` does it: all commands at once, then one way is closed."""
    scanner.says(data=lambda r: (time.sleep(0.3), ACCEPT)[1])
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        client.sends(b"MAIL FROM:<ann@a.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
        for code in (250, 250, 354):
            client.hears(code)
        client.sends(stuffed(MESSAGE) + b"QUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        identity = client.hears(250).split()[-1]
        client.hears(221)
    arrived(yard, identity)


def test_a_stop_does_not_wait_for_a_scanner_that_says_nothing(yard, scanner):
    """P11, P1: what was not answered is not stored, and the client hears 421 or the end."""
    go_on = threading.Event()
    scanner.says(mail=lambda r: (go_on.wait(PATIENCE), ACCEPT)[1])
    hooked(yard, scanner.hook("mail", timeout="60s"))
    client = greeted(yard)
    client.sends(b"MAIL FROM:<ann@a.example>\r\n")
    scanner.wait_asked("mail")
    yard.signal(signal.SIGTERM)
    yard.wait("server_stopping")
    yard.signal(signal.SIGTERM)  # a second one: now
    assert yard.ended() == 0
    go_on.set()
    client.close()


def test_a_reload_changes_whom_the_next_mail_is_shown(yard, scanner, another_scanner):
    hooked(yard, scanner.hook("mail", name="a"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        yard.configure({"hooks": [another_scanner.hook("mail", "rcpt", name="b")]})
        assert yard.with_config("reload").returncode == 0
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("RSET", 250)
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.quits()
    assert len(scanner.requests) == 1
    assert [r["context"]["stage"] for r in another_scanner.requests] == ["mail", "rcpt"]

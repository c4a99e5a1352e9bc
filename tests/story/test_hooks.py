"""Hooks: programs over HTTP that are asked about mail, in the classic dialect. Ids are those of the
conformance cases (CL, SE)."""
import json
import time

import pytest
from client import Client, sends_mail, stuffed
from hooked import MESSAGE, REJECT, scanner, hooked, greeted, arrived, behind_trace, sends, stored
from scanner import ACCEPT


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

"""Hooks in the dialect of draft-degennaro-mta-hooks-01, over HTTPS. Ids are those of the conformance
cases (DR, SE)."""

import json
import re
import shutil
from urllib.request import urlopen

import pytest
from draft_scanner import SILENCE, DraftScanner
from test_hooks import (MESSAGE, arrived, behind_trace, greeted, hooked, sends, stored,
                        stuffed)

REJECT = {"set": [{"path": "/action", "value": "reject"}]}


def sets(**values):
    """set operations by path, with _ for the slashes inside."""
    return {"set": [{"path": "/" + path.replace("_", "/"), "value": value}
                    for path, value in values.items()]}


def identity_of(answer):
    return re.search(r"[0-9a-f]{16}", answer)[0]


def delivered(yard, count):
    """The mail that has come to bob, so many messages."""
    yard.wait("delivery_done", count=count)
    mail = yard.mailbox("bob@example.org")
    assert len(mail) == count
    return mail


@pytest.fixture
def scanner(certificates):
    with DraftScanner(certificates) as s:
        yield s


@pytest.fixture
def another(certificates):
    with DraftScanner(certificates) as s:
        yield s


def registered(yard, scanner, *hooks, **more):
    hooked(yard, *hooks or [scanner.hook("data")], **more)
    yard.wait("hook_registered")
    return yard


# ---- registration ----

def test_a_scanner_is_found_registered_at_and_left(yard, scanner):
    """DR-01, DR-03, DR-14, DR-67"""
    registered(yard, scanner)
    assert "Authorization" not in scanner.discoveries[0]
    offer, = scanner.offers
    assert offer["name"] and offer["version"].startswith("Postyard ")
    assert offer["serialization"] == "json" and offer["outbound"] is None
    assert offer["inbound"]["stages"] == ["data"] and offer["filter"] is None
    sends(yard)
    request, = scanner.asked("data")
    assert request.headers.get_all("X-MTA-Hooks-Registration") == ["r-1"]
    one, = request.headers.get_all("X-MTA-Hooks-Request-Id")
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", one)
    assert request.headers.get_all("Content-Type") == ["application/json"]
    assert "Transfer-Encoding" not in request.headers and "Expect" not in request.headers
    yard.stop()
    assert scanner.deleted == ["r-1"]


def test_without_a_registration_the_failure_policy_speaks(yard, scanner):
    """DR-13, DR-22: credentials that are not taken; never seen in the log (SE-18)."""
    scanner.token = "another-token-altogether-0000000001"
    hooked(yard, scanner.hook("data"))
    told = yard.wait("hook_not_registered")
    assert "401 INVALID_CREDENTIALS" in told["text"]
    sends(yard, code=451)
    assert not scanner.requests and len(scanner.offers) == 0
    assert "cG9zdHlhcmQtc3RvcnktdG9rZW4" not in yard.log.read_text()


def test_a_suspended_registration_is_not_used(yard, scanner):
    """DR-13"""
    scanner.status = "suspended"
    hooked(yard, scanner.hook("data", **{"on-failure": {"data": "accept"}}))
    yard.wait("hook_suspended")
    sends(yard)
    assert not scanner.requests
    assert "suspended" in yard.wait("filter_failed")["text"]


def test_a_scanner_with_another_certificate_is_not_trusted(yard, scanner):
    """SE-17: by an authority that is not ours to ask."""
    hook = scanner.hook("data")
    del hook["tls"]
    hooked(yard, hook)
    yard.wait("hook_not_registered")
    sends(yard, code=451)
    assert not scanner.discoveries


def test_a_lost_registration_is_got_again_within_the_same_call(yard, scanner):
    """DR-19"""
    registered(yard, scanner)
    scanner.forgets()
    sends(yard)
    lost, found = scanner.asked("data")
    assert lost.headers["X-MTA-Hooks-Registration"] == "r-1"
    assert found.headers["X-MTA-Hooks-Registration"] == "r-2"
    assert lost.headers["X-MTA-Hooks-Request-Id"] == found.headers["X-MTA-Hooks-Request-Id"]
    assert lost.bytes == found.bytes
    sends(yard)
    assert len(scanner.offers) == 2


def test_a_registration_that_is_lost_again_is_not_got_a_third_time(yard, scanner):
    """DR-20"""
    scanner.says(data=lambda r: (404, {}))
    registered(yard, scanner)
    sends(yard, code=451)
    assert len(scanner.asked("data")) == 2 and len(scanner.offers) == 2


def test_what_a_new_registration_agrees_on_is_looked_at_again(yard, scanner):
    """Lost in the middle of a call: the new one has not that stage any more."""
    registered(yard, scanner, scanner.hook("mail", "data", **{"require-all-stages": False}))
    scanner.stages = ["mail"]
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        scanner.forgets()
        client.sends(stuffed(MESSAGE))
        client.hears(250)
        client.quits()
    assert len(scanner.asked("data")) == 1 and len(scanner.offers) == 2


def test_messages_that_are_too_large_for_a_scanner_shun_it_for_nobody(yard, scanner):
    scanner.message_max = 2000
    registered(yard, scanner, scanner.hook("data", breaker={"failures": 2, "pause": "1h"}))
    for _ in range(3):
        sends(yard, MESSAGE + "All of it.\r\n" * 300, code=451)
    assert not scanner.requests
    assert "larger than the 2000 bytes" in yard.wait("filter_failed")["text"]
    metrics = urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=10).read().decode()
    for line in ('filter_unasked_total{filter="scan"} 3', 'filter_asked_total{filter="scan"} 0',
                 "filters_unasked_total 0", "delivery_connections_total 0"):
        assert f"\npostyard_{line}\n" in metrics, line
    sends(yard)
    assert len(scanner.asked("data")) == 1


def test_registrations_are_renewed(yard, scanner):
    """DR-12"""
    scanner.life_s = 2
    registered(yard, scanner)
    scanner.wait_for(lambda: len(scanner.offers) >= 2)
    yard.wait("hook_registered", text="r-2")
    sends(yard)
    assert scanner.asked("data")[0].headers["X-MTA-Hooks-Registration"] != "r-1"


# ---- calls ----

def test_what_may_pass_is_sent_again_as_it_was(yard, scanner):
    """DR-15, DR-24"""
    scanner.says(data=[(503, {}), (429, {}), SILENCE])
    registered(yard, scanner)
    sends(yard)
    first, second, third = scanner.asked("data")
    assert first.bytes == second.bytes == third.bytes
    assert len({r.headers["X-MTA-Hooks-Request-Id"] for r in (first, second, third)}) == 1
    assert second.at - first.at >= 0.1 and third.at - second.at >= 0.2


def test_a_scanner_may_say_when_to_come_again(yard, scanner):
    """DR-16"""
    scanner.says(data=[(503, {"Retry-After": "1"}), SILENCE])
    registered(yard, scanner)
    sends(yard)
    first, second = scanner.asked("data")
    assert second.at - first.at >= 1


def test_what_is_refused_is_not_sent_again(yard, scanner):
    """DR-22, DR-23"""
    scanner.says(data=[(413, {}), (401, {})])
    registered(yard, scanner)
    sends(yard, code=451)
    sends(yard, code=451)
    assert len(scanner.asked("data")) == 2 and len(scanner.offers) == 1


def test_only_what_was_confirmed_is_sent(yard, scanner):
    """DR-09"""
    scanner.properties = ["/stage", "/action", "/envelope"]
    registered(yard, scanner)
    sends(yard)
    request, = scanner.asked("data")
    assert set(request) == {"stage", "action", "envelope"}


def test_the_message_is_told_byte_for_byte(yard, scanner):
    """DR-31, DR-28, DR-64"""
    registered(yard, scanner)
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example> SIZE=10 SMTPUTF8", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends("From: ann@a.example\r\nSubject: gr\u00fc\u00df\r\n\r\n.. \u20ac\r\n.\r\n"
                     .encode())
        told = client.hears(250)
        client.quits()
    request, = scanner.asked("data")
    assert request.raw.endswith("Subject: gr\u00fc\u00df\r\n\r\n. \u20ac\r\n".encode())
    assert request["envelope"]["from"] == {"address": "ann@a.example",
                                           "parameters": {"SIZE": "10", "SMTPUTF8": ""}}
    assert request["queue"]["id"] in told
    assert request["client"]["ip"] == "127.0.0.1" and request["client"]["ehlo"] == "a.example"
    assert request["protocol"] == {"version": "1.0"}


def test_a_message_taken_apart(yard, scanner):
    """3.11"""
    registered(yard, scanner, scanner.hook(
        "data", properties=["/stage", "/action", "/message", "/server"]))
    sends(yard)
    message = scanner.asked("data")[0]["message"]
    assert message["subject"] == "invoice\tfor October"
    assert message["from"] == [{"name": None, "email": "ann@a.example"}]
    assert message["bodyValues"]["1"]["value"] == "Please pay.\r\n"
    assert message["textBody"][0]["partId"] == "1" and message["hasAttachment"] is False


def test_recipients_are_asked_about_as_they_come(yard, scanner):
    """DR-27, DR-30, DR-33"""
    scanner.says(rcpt=[sets(action="reject", response_code=451, response_message="later"), SILENCE])
    registered(yard, scanner, scanner.hook("mail", "rcpt"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<>", 250)
        assert client.says("RCPT TO:<ann@example.org>", 451).endswith("later")
        client.says("RCPT TO:<bob@example.org>", 250)
        client.quits()
    assert scanner.asked("mail")[0]["envelope"]["from"] == {"address": None, "parameters": {}}
    assert [[to["address"] for to in r["envelope"]["to"]] for r in scanner.asked("rcpt")] == [
        ["ann@example.org"], ["bob@example.org"]]


# ---- answers ----

def test_no_opinion_changes_nothing(yard, scanner):
    """DR-25, DR-26"""
    scanner.says(data=[SILENCE, {}, {"set": None, "add": None, "delete": None}])
    registered(yard, scanner)
    for _ in range(3):
        sends(yard)
    assert len(scanner.asked("data")) == 3
    assert all(behind_trace(m) == MESSAGE for m in delivered(yard, 3))


def test_a_rejection_in_the_drafts_words_and_in_the_scanners(yard, scanner):
    """DR-32, DR-34"""
    scanner.says(data=[REJECT, sets(action="reject", response={
        "code": 554, "enhancedCode": "5.7.1", "message": "not wanted at this site"}),
        sets(action="reject", response_code=250)])
    registered(yard, scanner)
    assert sends(yard, code=550).startswith("5.7.1")
    assert sends(yard, code=554) == "5.7.1 not wanted at this site"
    assert sends(yard, code=550).startswith("5.7.1")
    assert stored(yard) == 0


def test_discarded_mail_is_taken_and_gone(yard, scanner):
    """DR-35"""
    scanner.says(data=sets(action="discard"))
    registered(yard, scanner)
    sends(yard)
    assert stored(yard) == 0


def test_a_quarantine_outlives_a_later_scanner(yard, scanner, another):
    """DR-36, DR-37, K8"""
    scanner.says(data=sets(action="quarantine"))
    another.says(data=[SILENCE, sets(action="accept")])
    hooked(yard, scanner.hook("data"), another.hook("data", name="second"))
    yard.wait("hook_registered", name="scan")
    yard.wait("hook_registered", name="second")
    sends(yard)
    sends(yard)
    assert [r["action"] for r in another.asked("data")] == ["quarantine", "quarantine"]
    listed = json.loads(yard.with_config("queue", "list", "--json").stdout)
    assert listed["total"] == 2


def test_a_trusted_scanner_may_weaken(yard, scanner, another):
    """DR-37"""
    scanner.says(data=sets(action="quarantine"))
    another.says(data=sets(action="accept"))
    hooked(yard, scanner.hook("data"), another.hook("data", name="second", **{"may-weaken": True}))
    yard.wait("hook_registered", name="scan")
    yard.wait("hook_registered", name="second")
    answer = sends(yard)
    arrived(yard, identity_of(answer))


def test_a_client_is_sent_away(yard, scanner):
    """DR-38, DR-39"""
    scanner.says(ehlo=sets(action="disconnect"), connect=[sets(action="discard")])
    registered(yard, scanner, scanner.hook("connect", "ehlo"))
    from client import Client
    client = Client(yard.port)  # a discard at connect is malformed: the default action
    assert client.says("EHLO a.example", 421).startswith("4.7.0")
    client.hears_end()
    yard.wait("filter_failed", stage="connect")


def test_a_rejection_ends_the_chain(yard, scanner, another):
    """DR-41"""
    scanner.says(data=REJECT)
    hooked(yard, scanner.hook("data"), another.hook("data", name="second"))
    yard.wait("hook_registered", name="scan")
    yard.wait("hook_registered", name="second")
    sends(yard, code=550)
    assert not another.asked("data")


def test_each_scanner_sees_what_the_one_before_made(yard, scanner, another):
    """DR-42, DR-44"""
    scanner.says(data={"add": [
        {"path": "/message/headers", "value": {"name": "X-Seen", "value": "by one"}},
        {"path": "/envelope/to", "value": {"address": "carl@example.org", "parameters": {}}}]})
    hooked(yard, scanner.hook("data"), another.hook("data", name="second"))
    yard.wait("hook_registered", name="scan")
    yard.wait("hook_registered", name="second")
    answer = sends(yard)
    request, = another.asked("data")
    assert [to["address"] for to in request["envelope"]["to"]] == ["bob@example.org",
                                                                  "carl@example.org"]
    assert b"for October\r\nX-Seen: by one\r\n\r\n" in request.raw
    mail = arrived(yard, identity_of(answer))
    assert "\tfor October\r\nX-Seen: by one\r\n\r\nPlease" in behind_trace(mail)


def test_headers_nobody_touched_keep_their_bytes(yard, scanner):
    """DR-45"""
    message = "From:ann@a.example\r\nX-Odd :  kept \t\r\nSubject: invoice\r\n\r\nhi\r\n"
    scanner.says(data={"set": [{"path": "/message/subject", "value": "paid"}]})
    registered(yard, scanner)
    mail = arrived(yard, identity_of(sends(yard, message)))
    assert behind_trace(mail) == message.replace("Subject: invoice", "Subject: paid")


def test_a_message_is_replaced_and_its_envelope_too(yard, scanner):
    """DR-46, DR-53, W7"""
    scanner.says(data={
        "set": [{"path": "/rawMessage", "value": "RnJvbTogeEB5DQpTdWJqZWN0OiBuZXcNCg0KaGkNCg=="},
                {"path": "/envelope/from", "value": {"address": None}}],
        "add": [{"path": "/message/headers", "value": {"name": "X-A", "value": "lost"}}]})
    registered(yard, scanner)
    mail = arrived(yard, identity_of(sends(yard)))
    assert behind_trace(mail) == "From: x@y\r\nSubject: new\r\n\r\nhi\r\n"
    assert b"Return-Path: <>" in mail


def test_a_change_that_is_not_allowed_spoils_the_answer(yard, scanner):
    """DR-49, DR-55, K1"""
    scanner.says(data={"set": [{"path": "/envelope/from", "value": {"address": None}}],
                       "add": [{"path": "/message/headers", "value": {"name": "X", "value": "1"}}]})
    registered(yard, scanner, scanner.hook("data", allow=["/message/headers"]))
    mail = arrived(yard, identity_of(sends(yard)))
    assert behind_trace(mail) == MESSAGE
    told = yard.wait("filter_failed")
    assert re.search(r"request [0-9a-f]{32}", told["text"])


def test_a_malformed_answer_may_be_a_failure(yard, scanner):
    """DR-40 with on-malformed: failure"""
    scanner.says(data=sets(action="bogus"))
    registered(yard, scanner, scanner.hook("data", **{"on-malformed": "failure"}))
    sends(yard, code=451)


def test_injections_change_nothing(yard, scanner):
    """SE-01, SE-02, SE-03, SE-05"""
    header = {"path": "/message/headers"}
    scanner.says(data=[
        {"add": [header | {"value": {"name": "X", "value": "x\r\nBcc: e@evil.example"}}]},
        {"add": [header | {"value": {"name": "X Y", "value": "x"}}]},
        {"add": [{"path": "/envelope/to", "value": {"address": "a@b>\r\nRCPT TO:<c@d"}}]}])
    registered(yard, scanner)
    for _ in range(3):
        sends(yard)
    assert all(behind_trace(m) == MESSAGE for m in delivered(yard, 3))
    scanner.says(data=sets(action="reject", response={"code": 550, "message": "no\r\n250 ok"}))
    assert "\n" not in sends(yard, code=550)


def test_mail_that_the_filter_does_not_fit_is_not_told(yard, scanner):
    """DR-69"""
    registered(yard, scanner, scanner.hook("data", filter='{"envelopeFrom": "*@a.example"}'))
    sends(yard)
    sends(yard, sender="ann@b.example")
    assert len(scanner.asked("data")) == 1


def test_a_message_larger_than_the_scanner_takes(yard, scanner):
    """DR-70"""
    scanner.message_max = 100
    registered(yard, scanner)
    sends(yard, MESSAGE + "x" * 200 + "\r\n", code=451)
    assert "larger" in yard.wait("filter_failed")["text"]
    assert not scanner.asked("data")


def test_a_large_message_goes_there_in_pieces_and_comes_back(yard, scanner):
    """P7, P12"""
    scanner.says(data={"add": [{"path": "/message/headers", "value": {"name": "X-S", "value": "1"}}]})
    registered(yard, scanner)
    body = "".join(f"line {n:06}\r\n" for n in range(100_000))
    mail = arrived(yard, identity_of(sends(yard, MESSAGE + body)))
    request, = scanner.asked("data")
    assert request.raw.endswith((MESSAGE + body).encode())
    assert behind_trace(mail) == MESSAGE.replace("October\r\n", "October\r\nX-S: 1\r\n") + body


def test_a_reload_brings_another_scanner(yard, scanner, another):
    """3.8: whose files (here its authority) hold what they held keeps its registration."""
    registered(yard, scanner)
    yard.configure({"hooks": [scanner.hook("data"), another.hook("data", name="second")]})
    assert yard.with_config("reload").returncode == 0
    yard.wait("hook_registered", name="second")
    sends(yard)
    assert scanner.asked("data")[0].headers["X-MTA-Hooks-Registration"] == "r-1"
    assert len(another.asked("data")) == 1 and len(scanner.offers) == 1


def test_a_client_certificate_that_was_replaced_registers_anew(yard, certificates, tmp_path):
    """3.8, and finding it bad is no end of what there was: the reload is refused, with the line."""
    pair = {"certificate": tmp_path / "c.pem", "key": tmp_path / "c.key"}

    def shows(name):
        shutil.copy(certificates[name], pair["certificate"])
        shutil.copy(certificates[f"{name}_key"], pair["key"])

    shows("mx")
    with DraftScanner(certificates, clients=certificates["ca"]) as scanner:
        registered(yard, scanner, scanner.hook("data", tls={
            "ca": str(scanner.ca)} | {word: str(path) for word, path in pair.items()}))
        assert yard.with_config("reload").returncode == 0
        sends(yard)
        assert len(scanner.offers) == 1 and scanner.shown == {"mx.example.org"}
        pair["certificate"].write_text("nothing")
        refused = yard.with_config("reload")
        assert refused.returncode != 0
        assert "hooks.scan: tls.certificate: certificate file" in refused.stdout + refused.stderr
        shows("host")
        assert yard.with_config("reload").returncode == 0
        yard.wait("hook_registered", text="r-2")
        sends(yard)
        assert scanner.shown == {"mx.example.org", "host.example"}


# ---- other formats and revisions ----

def test_all_of_it_in_cbor(yard, scanner):
    """DR-65, DR-66"""
    scanner.format = "cbor"
    scanner.says(data=[{"set": [{"path": "/rawMessage", "value": b"A: b\r\n\r\nhi\r\n"}]},
                       {"set": [{"path": "/rawMessage", "value": "QTogYg0KDQpoYQ0K"}]}])
    registered(yard, scanner, scanner.hook("data", format="cbor"))
    sends(yard)
    sends(yard)
    request, _ = scanner.asked("data")
    assert request.headers["Content-Type"] == "application/cbor"
    assert isinstance(request["rawMessage"], bytes) and request.raw.endswith(MESSAGE.encode())
    assert [behind_trace(m) for m in delivered(yard, 2)] == ["A: b\r\n\r\nhi\r\n",
                                                              "A: b\r\n\r\nha\r\n"]


def test_a_format_that_the_scanner_does_not_speak(yard, scanner):
    """DR-02"""
    hooked(yard, scanner.hook("data", format="cbor", **{"on-failure": {"data": "accept"}}))
    assert "CBOR" in yard.wait("hook_not_registered")["text"]
    sends(yard)


def test_a_scanner_that_is_configured_and_not_discovered(yard, scanner):
    """3.4, DR-10: it confirms fewer stages, and is asked at those."""
    scanner.stages = ["data"]
    registered(yard, scanner, scanner.hook(
        "rcpt", "data", url=scanner.url + "register", discover=False,
        **{"require-all-stages": False}))
    sends(yard)
    assert not scanner.discoveries
    assert len(scanner.asked("data")) == 1 and not scanner.asked("rcpt")


def test_a_patch_of_draft_02(yard, scanner):
    """PT-02, PT-05, PT-07, PT-14"""
    scanner.says(data=lambda r: [
        {"op": "test", "path": "/action", "value": "accept"},
        {"op": "move", "from": "/message/headers/1", "path": "/message/headers/0"},
        {"op": "add", "path": "/message/headers/-", "value": {"name": "X-P", "value": "1"}}])
    registered(yard, scanner, scanner.hook("data", dialect="draft-02"))
    sends(yard)
    sent = behind_trace(delivered(yard, 1)[0])
    assert sent == ("Subject: invoice\r\n\tfor October\r\nFrom: ann@a.example\r\nX-P: 1\r\n\r\n"
                    "Please pay.\r\n")
    scanner.says(data=REJECT)
    sends(yard, code=550)
    scanner.says(data=lambda r: [{"op": "replace", "path": "/action", "value": "reject"},
                                 {"op": "test", "path": "/action", "value": "accept"}])
    sends(yard)


def test_a_message_too_large_to_be_taken_apart(yard, scanner):
    """P7: it is not held whole for that; its fields are told all the same."""
    registered(yard, scanner, scanner.hook("data", properties=["/stage", "/action", "/message"]))
    sends(yard, MESSAGE + "".join(f"line {n:06}\r\n" for n in range(700_000)))
    message = scanner.asked("data")[0]["message"]
    assert "bodyStructure" not in message and message["subject"] == "invoice\tfor October"
    assert message["headers"][0] == {"name": "From", "value": " ann@a.example"}

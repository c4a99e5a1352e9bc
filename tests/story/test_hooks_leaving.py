"""Hooks of the draft dialects that are asked about leaving mail. Ids are those of the conformance cases
(DR, PT); the table of them all is in tests/unit/delivery/filters_test.c."""

import pytest
from draft_scanner import DraftScanner
from test_hooks import hooked, sends, stored

NOWHERE = {"queue": {"route": {"nowhere": {"type": "reject",
                                           "reply": {"code": 550, "text": "5.1.1 nobody"}}},
                     "strategy": {"route": [
                         {"if": "rcpt_domain == 'nowhere.example'", "use": "nowhere"},
                         {"use": "local"}]}}}


@pytest.fixture
def scanner(certificates):
    with DraftScanner(certificates) as s:
        s.leaving = ["route", "delivery", "defer", "dsn"]
        yield s


def registered(yard, scanner, *stages, **more):
    hooked(yard, scanner.hook(*stages, **more), **NOWHERE)
    yard.wait("hook_registered")


def test_what_became_of_a_message_is_told_under_the_id_it_came_in_with(yard, scanner):
    """DR-56, DR-64"""
    registered(yard, scanner, "data", "delivery")
    sends(yard, sender="bob@example.org", recipients=("bob@example.org", "x@nowhere.example"))
    scanner.wait_for(lambda: len([r for r in scanner.requests if r["stage"] == "delivery"]) >= 2)
    came, = scanner.asked("data")
    of_it = [r for r in scanner.asked("delivery") if r["queue"]["id"] == came["queue"]["id"]]
    fates = {to["address"]: to for r in of_it for to in r["envelope"]["to"]}
    assert fates["bob@example.org"]["status"] == "delivered"
    assert fates["x@nowhere.example"]["status"] == "failed"
    assert fates["x@nowhere.example"]["lastResponse"]["code"] == 550
    assert of_it[0]["rawMessage"] and of_it[0]["action"] == "continue"


def test_a_failure_made_silent_is_never_told_of(yard, scanner):
    """DR-58"""
    scanner.says(delivery=lambda r: {"set": [
        {"path": "/envelope/to/0/status", "value": "failed-silent"}]}
        if r["envelope"]["to"][0]["status"] == "failed" else {})
    registered(yard, scanner, "delivery")
    sends(yard, sender="bob@example.org", recipients=("x@nowhere.example",))
    yard.wait("rcpt_filtered", name="scan", action="dropped")
    assert stored(yard) == 0 and not yard.seen("report_made")


def test_a_notice_may_be_changed_and_may_be_dropped(yard, scanner):
    """DR-62"""
    scanner.says(dsn=[{"add": [{"path": "/message/headers", "index": 0,
                                "value": {"name": "X-Scan", "value": "seen"}}]},
                      {"delete": [{"path": "/message"}]}])
    registered(yard, scanner, "dsn")
    sends(yard, sender="bob@example.org", recipients=("x@nowhere.example",))
    yard.wait("delivery_done", rcpt="bob@example.org")
    assert any(b"\r\nX-Scan: seen\r\n" in mail for mail in yard.mailbox("bob@example.org"))
    sends(yard, sender="bob@example.org", recipients=("x@nowhere.example",))
    yard.wait("report_dropped", name="scan")
    assert stored(yard) == 0 and len(yard.mailbox("bob@example.org")) == 1


def test_a_scanner_that_is_down_holds_up_nothing(yard, scanner):
    """DR-63"""
    scanner.says(delivery=(500, {}))
    registered(yard, scanner, "delivery", timeout="1s")
    sends(yard)
    yard.wait("delivery_done", rcpt="bob@example.org")
    yard.wait("filter_failed", name="scan", stage="delivery")


def test_the_way_of_a_recipient_is_chosen_by_name(yard, scanner):
    """PT-11: the strategy says nowhere, the hook says local"""
    scanner.says(route=[[{"op": "add", "path": "/envelope/to/0/route",
                          "value": {"route": "local"}}]])
    registered(yard, scanner, "route", dialect="draft-02")
    sends(yard, recipients=("y@nowhere.example",))
    yard.wait("filter_routed", name="scan", text="route local")
    yard.wait("delivery_done", rcpt="y@nowhere.example")

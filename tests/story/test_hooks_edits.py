"""What classic hooks change of a message, its envelope and its fate; and whom of several hooks one
hears. Ids are those of the conformance cases."""
import json

import pytest
from hooked import (MESSAGE, REJECT, scanner, another_scanner, hooked, arrived, behind_trace,
                    sends, stored)


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


def test_edits_where_they_say_nothing_are_told_to_who_looks_for_them(yard, scanner):
    """Q8: a scanner that says the same at each stage fills no log."""
    scanner.says(rcpt=edits({"type": "addHeader", "name": "X-A", "value": "1"}))
    hooked(yard, scanner.hook("rcpt"))
    sends(yard)
    aside = yard.wait("filter_aside", name="policy", stage="rcpt")
    assert aside["level"] == "debug" and "only at data" in aside["text"]
    assert not yard.seen("filter_note")


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

"""Retries, notices and expiry happen when the schedule says, and the sender is told as asked."""

from client import Client, sends_mail
from host import silent_port


def parts_of(report):
    """The text, the delivery status fields of each recipient, and the returned part."""
    import email
    import email.policy
    m = email.message_from_bytes(report, policy=email.policy.default)
    assert m.get_content_type() == "multipart/report", report
    text, status, returned = m.iter_parts()
    assert status.get_content_type() == "message/delivery-status"
    return m, status.get_payload(), returned


def test_a_host_that_is_away_gets_the_mail_when_it_is_back(yard, host):
    host.answers("RCPT", "451 4.3.0 not now", times=2)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    first, second = yard.wait("delivery_deferred", count=2, message=identity)
    assert first["code"] == 451 and first["text"].endswith("not now") and first["attempts"] == 1
    assert second["attempts"] == 2
    yard.wait("delivery_done", message=identity)
    assert len(host.wait_mail(1)) == 1


def test_a_refusal_is_told_to_the_sender(yard, host):
    host.answers("RCPT", "550 5.1.1 no such user")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", "nobody@hub.example",
                          "Subject: to nobody\r\n\r\nText.\r\n")
    failed = yard.wait("delivery_failed", message=identity)
    assert (failed["code"], failed["status"]) == (550, "5.1.1")
    made = yard.wait("report_made", name=identity)
    yard.wait("delivery_done", message=made["message"], rcpt="bob@example.org")

    [mail] = yard.mailbox("bob@example.org")
    assert mail.startswith(b"Return-Path: <>")
    report, (about_message, about_rcpt), returned = parts_of(mail)
    assert about_message["Reporting-MTA"] == "dns; mx.example.org"
    assert about_rcpt["Final-Recipient"] == "rfc822;nobody@hub.example"
    assert about_rcpt["Action"] == "failed" and about_rcpt["Status"] == "5.1.1"
    assert "550" in about_rcpt["Diagnostic-Code"]
    assert "Subject: to nobody" in returned.as_string()


def test_a_delay_is_told_and_then_the_mail_is_given_up(yard):
    yard.configure({"queue": {"schedule": {"remote": {
        "queue-name": "remote", "retry": ["1s"], "notify": ["1s"], "expire": "3s"}},
        "route": {"mx": {"type": "relay", "address": "127.0.0.1", "port": silent_port()}}}})
    yard.start()
    identity = sends_mail(yard, "bob@example.org", "b@away.example")
    delayed = yard.wait("delivery_delayed", message=identity)
    assert delayed["rcpt"] == "b@away.example"
    first = yard.wait("report_made", name=identity)
    failed = yard.wait("delivery_failed", message=identity)
    second = yard.wait("report_made", name=identity, since=yard.events.index(failed))
    for made in (first, second):
        yard.wait("delivery_done", message=made["message"])
    actions = [parts_of(mail)[1][1]["Action"] for mail in yard.mailbox("bob@example.org")]
    assert sorted(actions) == ["delayed", "failed"]


def test_success_is_told_where_it_was_asked_for(yard):
    """Q-099, Q-105, Q-106, Q-109."""
    yard.start()
    with Client(yard.port) as client:
        assert "DSN" in client.says("EHLO client.example", 250).split()
        client.says("MAIL FROM:<bob@example.org> RET=HDRS ENVID=A+2BB", 250)
        client.says("RCPT TO:<carol@example.org> NOTIFY=SUCCESS,FAILURE "
                    "ORCPT=rfc822;x+2By@z.example", 250)
        client.says("RCPT TO:<dave@example.org> NOTIFY=NEVER", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: asked\r\n\r\nText that is not returned.\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    yard.wait("delivery_done", count=2, message=identity)
    made = yard.wait("report_made", name=identity)
    yard.wait("delivery_done", message=made["message"])
    [mail] = yard.mailbox("bob@example.org")
    _, (about_message, *about), returned = parts_of(mail)
    assert about_message["Original-Envelope-Id"] == "A+B"
    assert [a["Action"] for a in about] == ["delivered"]
    assert about[0]["Original-Recipient"] == "rfc822;x+y@z.example"
    assert "Text that is not returned" not in returned.as_string()


def test_a_host_that_tells_itself_is_asked_to(yard, host):
    """DSN is passed on to a host that offers it, and not reported by us (RFC 3461 section 5.2.1;
    Q-099, Q-105, Q-106; PY-16)."""
    yard.relays(("hub.example", host)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<bob@example.org> RET=FULL ENVID=A+2BB", 250)
        client.says("RCPT TO:<b@hub.example> NOTIFY=SUCCESS ORCPT=rfc822;b+2Bc@hub.example", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: asked\r\n\r\nText.\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    yard.wait("delivery_done", message=identity)
    [taken] = host.wait_mail(1)
    assert "RET=FULL" in taken.mail_line and "ENVID=A+2BB" in taken.mail_line
    assert "NOTIFY=SUCCESS" in taken.rcpt_lines[0]
    assert "ORCPT=rfc822;b+2Bc@hub.example" in taken.rcpt_lines[0]
    assert yard.stop() == 0
    assert not yard.seen("report_made")


def test_a_report_that_cannot_be_delivered_ends_there(yard, host):
    host.answers("RCPT", "550 5.1.1 no such user")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "", "nobody@hub.example")
    yard.wait("delivery_failed", message=identity)
    yard.wait("double_bounce", message=identity)
    assert not yard.seen("report_made")


def test_rules_see_size_and_source_at_acceptance_and_mistakes_of_names_do_no_harm(yard, host):
    """PY-01: Q-017, Q-018. PY-46: a schedule that is computed and is none is the built-in `default`,
    with a warning (Q-019, Q-020)."""
    queues = ("remote", "large", "dsn", "default", "local")
    yard.configure({"queue": {
        "virtual": {name: {} for name in queues},
        "schedule": {name: {"queue-name": name, "retry": ["1s"], "expire": "30s"}
                     for name in queues if name != "default"},
        "strategy": {"schedule": [{"if": "source == 'dsn'", "use": "dsn"},
                                  {"if": "size > 1000000", "use": "large"},
                                  {"if": "matches('^odd-(.+)@', rcpt)", "then": "$1"},
                                  {"use": "remote"}]}}})
    yard.relays(("hub.example", host)).start()
    large = sends_mail(yard, "bob@hub.example", "b@hub.example",
                       "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 30000)
    assert yard.wait("delivery_done", message=large)["queue"] == "large"
    odd = sends_mail(yard, "bob@hub.example", "odd-none@hub.example")
    assert yard.wait("schedule_fallback", message=odd)["name"] == "none"
    assert yard.wait("delivery_done", message=odd)["queue"] == "default"
    host.answers("RCPT", "550 5.1.1 no such user", times=1)
    refused = sends_mail(yard, "bob@hub.example", "nobody@hub.example")
    made = yard.wait("report_made", name=refused)
    assert yard.wait("delivery_done", message=made["message"])["queue"] == "dsn"

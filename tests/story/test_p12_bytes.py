"""P12. Bytes in are bytes out."""

import pytest

import mixed
from client import Client, sends_mail

KEPT = [
    ("a line of 998 octets", b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n"),
    ("dots at line starts", b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n...\r\n"),
    ("8-bit octets", b"Subject: x\r\n\r\n" + bytes(range(128, 256)) + b"\r\n"),
    ("blanks at line ends", b"Subject: x  \r\n\r\nyes \t \r\n \r\n"),
    ("empty lines at the end", b"Subject: x\r\n\r\nyes\r\n\r\n\r\n\r\n"),
    ("odd header fields", b"x-Odd-CASE:no blank\r\nSubject:\r\n\tfolded\r\n \r\nEmpty:\r\n\r\nyes\r\n"),
    ("no header at all", b"just text\r\n"),
    ("controls", b"Subject: x\r\n\r\n\x01\x02\x1b\x7f\x0b\x0c\r\n"),
]


@pytest.mark.parametrize("what,message", KEPT, ids=[k[0] for k in KEPT])
def test_what_comes_in_goes_out_octet_for_octet(yard, host, what, message):
    yard.configure({"listeners": {"smtp": {"submission": False}}})
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example", message,
                          mail_words=" BODY=8BITMIME")
    yard.wait("delivery_done", message=identity)
    [taken] = host.wait_mail(1)
    trace = mixed.TRACE.match(taken.message)
    assert taken.message[trace.end():] == message


@pytest.mark.parametrize("message", [b" begins with a blank\r\nand goes on\r\n", b"\ttab\r\n",
                                     b" \r\n", b" Subject: x\r\n\r\nyes\r\n"])
@pytest.mark.parametrize("submission", [False, True])
def test_a_first_line_that_begins_with_a_blank_does_not_continue_our_received_field(
        yard, host, message, submission):
    yard.configure({"listeners": {"smtp": {"submission": submission}}})
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example", message)
    yard.wait("delivery_done", message=identity)
    [taken] = host.wait_mail(1)
    fields, body = taken.message.split(b"\r\n\r\n", 1)
    assert body == message
    assert fields.startswith(b"Received: ") and (b"\r\nDate: " in fields) == submission


def test_a_missing_last_line_end_is_added(yard, host):
    yard.configure({"listeners": {"smtp": {"submission": False}}})
    yard.relays(("hub.example", host)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<b@hub.example>", 250)
        client.sends(b"BDAT 17 LAST\r\nSubject: x\r\n\r\nend")
        client.hears(250)
    assert host.wait_mail(1)[0].message.endswith(b"\r\nSubject: x\r\n\r\nend\r\n")


def test_mail_without_date_from_one_of_us_gets_one_and_keeps_the_rest(yard, host):
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example", "Subject: x\r\n\r\nyes\r\n")
    yard.wait("delivery_done", message=identity)
    message = host.wait_mail(1)[0].message
    assert b"\r\nDate: " in message and b"\r\nMessage-ID: <" in message
    assert message.endswith(b"\r\nSubject: x\r\n\r\nyes\r\n")


@pytest.mark.parametrize("lacks,words,message", [
    ("8BITMIME", " BODY=8BITMIME", "Subject: x\r\n\r\nGrüße\r\n"),
    ("SMTPUTF8", " SMTPUTF8", "Subject: Grüße\r\n\r\nyes\r\n")])
def test_what_a_host_cannot_take_unchanged_goes_back_and_is_not_converted(yard, host, lacks, words,
                                                                         message):
    host.words = tuple(w for w in host.words if w not in (lacks, "SMTPUTF8"))
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", "b@hub.example", message, mail_words=words)
    failed = yard.wait("delivery_failed", message=identity)
    assert failed["status"].startswith("5.6.")
    made = yard.wait("report_made", name=identity)
    yard.wait("delivery_done", message=made["message"])
    assert not host.mail
    [report] = yard.mailbox("bob@example.org")
    assert message.split("\r\n\r\n")[1].strip().encode() in report


@pytest.mark.parametrize("trouble", [{"flaky": True}, {"crashes": 4}, {"reloads": 10},
                                     {"flaky": True, "crashes": 2, "reloads": 2}],
                         ids=["hosts that fail by chance", "kill -9", "reloads", "all of it"])
def test_trouble_loses_nothing_and_only_a_crash_doubles_anything(tmp_path, trouble):
    wrong, summary = mixed.run(tmp_path / "yard", 400, seed=2, **trouble)
    assert not wrong, (summary, wrong[:10])


def test_a_thousand_mixed_messages_arrive_as_they_were_none_lost_none_doubled(tmp_path):
    wrong, summary = mixed.run(tmp_path / "yard", 1000)
    assert not wrong, (summary, wrong[:10])

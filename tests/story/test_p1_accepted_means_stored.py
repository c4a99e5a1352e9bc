"""P1. Accepted means stored: what was answered 250 is there after any crash."""

import threading

from client import Client, sends_mail


def test_a_message_that_was_answered_250_survives_kill_9(yard, host):
    """Q-001, Q-003: the answer has the id, and what it stands for is stored."""
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example",
                          "Subject: keep me\r\n\r\nWord for word.\r\n")
    yard.wait("delivery_deferred", message=identity)

    yard.crash()
    host.recovers()
    yard.start()

    since = yard.mark()
    yard.wait("delivery_done", message=identity, rcpt="b@hub.example")
    [taken] = host.wait_mail(1)
    assert taken.message.endswith(b"\r\nSubject: keep me\r\n\r\nWord for word.\r\n")
    assert yard.stop() == 0
    assert len(host.mail) == 1
    assert not yard.seen("store_damaged", since=since)


def test_a_crash_right_after_each_250_loses_none_of_many(yard, host):
    host.answers("CONNECT", "421 4.3.2 closed for now")
    yard.relays(("hub.example", host)).start()
    sent = []
    for start in range(3):
        with Client(yard.port) as client:
            client.says("EHLO client.example", 250)
            for n in range(20):
                subject = f"{start}-{n}"
                client.sends_mail("a@client.example", f"b{subject}@hub.example",
                                  f"Subject: {subject}\r\n\r\n{subject}\r\n")
                sent.append(f"b{subject}@hub.example")
        yard.crash()
        yard.start()

    host.recovers()
    host.wait_mail(len(sent), seconds=40)
    yard.wait("delivery_done", count=len(sent))
    assert sorted(r for taken in host.mail for r in taken.recipients) == sorted(sent)


def test_a_message_without_its_end_is_not_there_after_a_crash(yard):
    """Q-004: nor is what was written of it (its bytes are garbage to the store: tests/unit/store)."""
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: half\r\n\r\nThe rest nev")
        yard.crash()
    yard.start()
    whole = sends_mail(yard, "a@client.example", "bob@example.org", "Subject: whole\r\n\r\nAll.\r\n")
    yard.wait("delivery_done", message=whole)
    [mail] = yard.mailbox("bob@example.org")
    assert b"Subject: whole" in mail


def test_a_crash_while_a_transaction_is_open_sends_it_again(yard, host):
    """The host has the message and its 250 was never heard: it may come twice, never not at all."""
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(10) and "250 2.0.0 taken", times=1)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    host.wait_heard("DATA")

    yard.crash()
    go_on.set()
    yard.start()
    yard.wait("delivery_done", message=identity)
    assert [t.recipients for t in host.wait_mail(1)] in ([["b@hub.example"]],
                                                         [["b@hub.example"]] * 2)

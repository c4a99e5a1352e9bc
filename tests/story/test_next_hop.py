"""How we speak to the next host, and what we make of its answers."""

import os
import threading

import pytest

from client import Client, sends_mail
from host import Host


def by_name(line):
    """450 for those whose name says so, 550 likewise, else 250."""
    for code in ("450", "550"):
        if f"<{code}" in line:
            return f"{code} {code[0]}.1.1 as you wish"
    return "250 2.1.5 ok"


def test_each_recipient_has_its_own_answer_and_only_who_must_waits(yard, host):
    host.answers("RCPT", by_name)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", ["450-a@hub.example", "550-b@hub.example",
                                                    "c@hub.example", "d@hub.example"])
    yard.wait("delivery_done", message=identity, rcpt="c@hub.example")
    yard.wait("delivery_done", message=identity, rcpt="d@hub.example")
    yard.wait("delivery_failed", message=identity, rcpt="550-b@hub.example")
    yard.wait("delivery_deferred", message=identity, rcpt="450-a@hub.example", count=2)
    host.recovers()
    yard.wait("delivery_done", message=identity, rcpt="450-a@hub.example")
    assert [t.recipients for t in host.mail] == [["c@hub.example", "d@hub.example"],
                                                 ["450-a@hub.example"]]


def test_lmtp_answers_for_each_recipient_after_the_message(yard):
    answers = {"b@example.org": "452 4.2.2 mailbox is full", "c@example.org": "550 5.7.1 no"}
    with Host(lmtp=True, words=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")) as store:
        store.answers("DOT", lambda rcpt: answers.get(rcpt, "250 2.1.5 kept"))
        yard.configure({"queue": {"route": {"local": {
            "type": "local", "deliver": "lmtp", "address": "127.0.0.1", "port": store.port,
            "path": None}}}}).start()
        identity = sends_mail(yard, "", [f"{n}@example.org" for n in "abcd"])
        yard.wait("delivery_failed", message=identity, rcpt="c@example.org", status="5.7.1")
        yard.wait("delivery_deferred", message=identity, rcpt="b@example.org", status="4.2.2")
        store.recovers()
        yard.wait("delivery_done", message=identity, rcpt="b@example.org")
        assert [t.recipients for t in store.mail] == [["a@example.org", "d@example.org"],
                                                      ["b@example.org"]]
        assert store.heard[0].startswith("LHLO ")


def test_a_host_that_takes_few_recipients_at_a_time_gets_the_others_next(yard, host):
    """452 for too many of them is no delay (RFC 5321 section 4.5.3.1.10)."""
    taken = []

    def three(line):
        if len(taken) % 3 == 0 and taken and taken[-1] != "full":
            taken.append("full")
            return "452 4.5.3 too many recipients"
        if taken and taken[-1] == "full":
            return "452 4.5.3 too many recipients"
        taken.append(line)
        return "250 2.1.5 ok"

    host.answers("MAIL", lambda line: taken.clear() or "250 2.1.0 ok")
    host.answers("RCPT", three)
    yard.configure({"queue": {"schedule": {"remote": {"retry": ["1h"], "expire": "1d"}}}})
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", [f"b{n}@hub.example" for n in range(8)])
    yard.wait("delivery_done", count=8, message=identity)
    assert sorted(len(t.recipients) for t in host.mail) == [2, 3, 3]


def test_a_host_that_knows_no_ehlo_is_greeted_the_old_way(yard, host):
    host.answers("EHLO", "502 5.5.1 what?")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert "HELO mx.example.org" in host.heard
    assert host.mail[0].mail_line == "MAIL FROM:<a@client.example>"


def test_a_host_without_extensions_gets_the_mail_command_by_command(yard, host):
    host.words = ()
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", ["b@hub.example", "c@hub.example"])
    yard.wait("delivery_done", count=2, message=identity)
    assert host.wait_mail(1)[0].mail_line == "MAIL FROM:<a@client.example>"


def test_a_message_that_a_host_has_no_room_for_is_not_sent_there(yard, host):
    host.words = ("PIPELINING", "SIZE 1000")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", "b@hub.example",
                          "Subject: big\r\n\r\n" + "0123456789\r\n" * 200)
    assert yard.wait("delivery_failed", message=identity)["status"] == "5.3.4"
    assert "DATA" not in host.heard


def test_messages_for_one_host_share_connections(yard, host):
    """Each loop, one a processor, keeps its own."""
    yard.relays(("hub.example", host)).start()
    for _ in range(10):
        identity = sends_mail(yard, "a@client.example", "b@hub.example")
        yard.wait("delivery_done", message=identity)
    assert len(host.mail) == 10 and host.connections <= min(os.cpu_count(), 9)


def test_a_connection_that_the_host_has_closed_meanwhile_costs_no_attempt(yard, host):
    yard.relays(("hub.example", host)).start()
    first = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=first)
    for s in list(host.open):
        s.shutdown(2)
    second = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=second)
    assert not yard.seen("delivery_deferred")


def test_a_queue_whose_host_hangs_does_not_delay_another_queue(yard, host, another_host):
    """P2. Two slots hang in one queue; the other queue's mail goes on."""
    go_on = threading.Event()
    host.answers("MAIL", lambda line: go_on.wait(20) and "250 2.1.0 ok")
    yard.configure({"queue": {
        "virtual": {"slow": {"concurrency": 2}, "remote": {"concurrency": 2}},
        "schedule": {"slow": {"queue-name": "slow", "retry": ["1s"], "expire": "30s"}},
        "strategy": {"schedule": [{"if": "rcpt_domain == 'slow.example'", "use": "slow"},
                                  {"use": "remote"}]}}})
    yard.relays(("slow.example", host), ("fast.example", another_host)).start()
    slow = [sends_mail(yard, "a@client.example", f"b{n}@slow.example") for n in range(10)]
    host.wait_heard("MAIL")
    fast = [sends_mail(yard, "a@client.example", f"b{n}@fast.example") for n in range(50)]
    for identity in fast:
        yard.wait("delivery_done", message=identity)
    assert not yard.seen("delivery_done", queue="slow")
    assert host.connections <= 2
    go_on.set()
    for identity in slow:
        yard.wait("delivery_done", message=identity)


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS"])
def test_who_does_not_want_to_hear_of_failures_does_not(yard, host, notify):
    host.answers("RCPT", "550 5.1.1 no such user")
    yard.relays(("hub.example", host)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<bob@example.org>", 250)
        client.says(f"RCPT TO:<b@hub.example> NOTIFY={notify}", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: x\r\n\r\nx\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    yard.wait("delivery_failed", message=identity)
    # Who does want to hear of it hears, and by then a report on the first would have been made.
    after = sends_mail(yard, "bob@example.org", "b@hub.example")
    yard.wait("report_made", name=after)
    assert yard.stop() == 0
    assert len(yard.seen("report_made")) == 1


def test_a_host_that_says_nothing_is_left_when_its_time_is_over(yard, host):
    go_on = threading.Event()
    host.answers("CONNECT", lambda line: go_on.wait(20) and "220 late")
    yard.configure({"queue": {"connection": {"default": {"timeout": {"greeting": "300ms"}}}}})
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)
    go_on.set()
    host.recovers()
    yard.wait("delivery_done", message=identity)

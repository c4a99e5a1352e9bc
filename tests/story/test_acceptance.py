"""What becomes of an envelope at the door: senders, recipients, and how many."""

import json

from client import Client, sends_mail
from host import Host


def shown(yard, identity):
    answer = yard.with_config("queue", "show", identity, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_domain_of_a_sender_is_small_and_its_local_part_as_it_was(yard, host):
    """Q-006."""
    yard.relays(("hub.example", host)).start()
    sends_mail(yard, "Bob@EXAMPLE.net", "b@hub.example")
    assert host.wait_mail(1)[0].sender == "Bob@example.net"


def test_recipients_keep_their_order_and_those_of_one_host_go_together(yard, host, another_host):
    """Q-007 by another way: no order of ours is needed to bring them together, so a report names them as
    the client did."""
    host.answers("RCPT", "450 4.2.0 not now")
    yard.configure({"queue": {"schedule": {"remote": {"retry": ["1h"], "expire": "1d"}}}})
    yard.relays(("z.example", host), ("a.example", another_host)).start()
    given = ["b@z.example", "c@a.example", "a@a.example"]
    identity = sends_mail(yard, "a@client.example", given)
    [together] = another_host.wait_mail(1)
    assert together.recipients == ["c@a.example", "a@a.example"]
    yard.wait("delivery_deferred", message=identity)
    assert [r["address"] for r in shown(yard, identity)["recipients"]] == given


def test_a_recipient_named_twice_gets_it_once(yard, host):
    """Q-011."""
    yard.relays(("hub.example", host)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        identity = client.sends_mail("a@client.example", ["b@hub.example", "b@HUB.example", "b@hub.example"],
                                     "Subject: once\r\n\r\nOnce.\r\n")
        client.quits()
    yard.wait("delivery_done", message=identity)
    [taken] = host.wait_mail(1)
    assert taken.recipients == ["b@hub.example"]


def test_a_session_may_bring_more_messages_than_ten(yard, host):
    """Q-009 is not kept: who sends a lot does so over one session. Its commands and its time are limited."""
    yard.relays(("hub.example", host)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        for n in range(12):
            client.sends_mail("a@client.example", f"b{n}@hub.example", "Subject: one of many\r\n\r\nx\r\n")
        client.quits()
    assert len(host.wait_mail(12)) == 12


def test_content_in_chunks_goes_out_with_its_exact_size(yard):
    """Q-085: no dot is doubled in it."""
    body = "Subject: chunks\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    with Host(words=("PIPELINING", "8BITMIME", "CHUNKING")) as host:
        yard.relays(("hub.example", host)).start()
        sends_mail(yard, "a@client.example", "b@hub.example", body)
        [taken] = host.wait_mail(1)
        assert taken.message.endswith(body.encode())
        [said] = [line for line in host.heard if line.startswith("BDAT")]
        assert said == f"BDAT {len(taken.message)} LAST"
        assert "DATA" not in host.heard

"""Limiters of arriving mail (queue.limiter.inbound): who brings too much is told to come later."""

from urllib.request import urlopen

from client import Client, sends_mail


def limited(yard, **limiters):
    limiters = {name.replace("_", "-"): limiter for name, limiter in limiters.items()}
    return yard.configure({"queue": {"limiter": {"inbound": limiters}}})


def test_a_pair_that_comes_too_often_waits_and_nobody_else(yard):
    """Q-097."""
    limited(yard, pair={"key": ["sender_domain", "rcpt"], "rate": "1/1h"}).start()
    first = sends_mail(yard, "ann@a.example", "bob@example.org")
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<amy@a.example>", 250)
        assert client.says("RCPT TO:<bob@example.org>", 452).startswith("4.4.5 ")
        client.says("RCPT TO:<bea@example.org>", 250)
        client.says("DATA", 354)
        second = client.sends(b"Subject: x\r\n\r\nx\r\n.\r\n").hears(250).split()[-1]
    third = sends_mail(yard, "ann@c.example", "bob@example.org")
    for identity in (first, second, third):
        yard.wait("delivery_done", message=identity)
    refused = yard.wait("arrival_limited")
    assert (refused["name"], refused["stage"]) == ("pair", "RCPT")
    assert (refused["sender"], refused["rcpt"]) == ("amy@a.example", "bob@example.org")
    assert len(yard.mailbox("bob@example.org")) == 2
    metrics = urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=10).read().decode()
    assert 'postyard_limiter_refused_total{way="inbound",limiter="pair"} 1\n' in metrics


def test_a_session_too_many_is_closed_and_one_that_ends_makes_room(yard):
    limited(yard, each={"key": ["remote_ip"], "concurrency": 2}).start()
    one, two = Client(yard.port), Client(yard.port)
    with Client(yard.port, source="127.0.0.2") as elsewhere:
        elsewhere.quits()
    with Client(yard.port, greeting=421) as late:
        late.hears_end()
    assert yard.wait("arrival_limited", name="each")["stage"] == "CONNECT"
    since = yard.mark()
    two.close()  # without goodbye
    yard.wait("session_closed", since=since)
    identity = sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done", message=identity)
    one.quits()


def test_a_reload_counts_on_and_takes_away_what_is_gone(yard):
    limited(yard, sender={"key": ["sender"], "rate": "1/1h"}).start()
    sends_mail(yard, "ann@a.example", "bob@example.org")
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<ann@a.example>", 452)
        limited(yard, other={"rate": "1000/1s"})
        assert yard.with_config("reload").returncode == 0
        client.says("MAIL FROM:<ann@a.example>", 452)
        limited(yard, sender=None)
        assert yard.with_config("reload").returncode == 0
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.quits()

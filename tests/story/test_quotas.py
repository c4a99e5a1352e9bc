"""Quotas: how much mail may wait (queue.quota)."""

import time
from urllib.request import urlopen

from client import Client, sends_mail
from yard import PATIENCE


def quotas(yard, **named):
    return yard.configure({"queue": {"quota": {n.replace("_", "-"): q for n, q in named.items()}}})


def refused(yard, sender, recipient, size=0):
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says(f"MAIL FROM:<{sender}>", 250)
        client.says(f"RCPT TO:<{recipient}>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * (size // 12) + b".\r\n")
        assert client.hears(452).startswith("4.3.1 ")
        client.says("NOOP", 250)


def metric(yard, name):
    text = urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=10).read().decode()
    return [int(line.split()[-1]) for line in text.splitlines() if line.startswith(f"postyard_{name}")]


def makes_room(yard, name, to=0):
    """What has ended makes room once that is on stable storage."""
    end = time.monotonic() + PATIENCE
    while metric(yard, name) != [to]:
        assert time.monotonic() < end, metric(yard, name)


def test_the_third_message_of_two_is_put_off_until_one_is_delivered(yard, host):
    """Q-095, and over a restart: what waits is counted again."""
    host.answers("RCPT", "450 4.2.0 not now")
    quotas(yard, two={"messages": 2})
    yard.relays(("hub.example", host)).start()
    for n in range(2):
        yard.wait("delivery_deferred", message=sends_mail(yard, "a@client.example", f"b{n}@hub.example"))
    refused(yard, "a@client.example", "b@hub.example")
    exceeded = yard.wait("quota_exceeded")
    assert (exceeded["name"], exceeded["type"]) == ("two", "Sender")
    assert metric(yard, 'quota_messages{quota="two"}') == [2]
    assert metric(yard, 'quota_refused_total{quota="two"}') == [1]
    assert yard.stop() == 0
    yard.start()
    refused(yard, "a@client.example", "b@hub.example")
    host.recovers()
    yard.wait("delivery_done", count=2)
    makes_room(yard, 'quota_messages{quota="two"}')
    third = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=third)
    assert len(host.wait_mail(3)) == 3


def test_two_quotas_of_one_domain_are_both_kept(yard, host):
    """Q-096; and another domain has room."""
    host.answers("RCPT", "450 4.2.0 not now")
    quotas(yard, few={"key": ["rcpt_domain"], "messages": 2},
           small={"key": ["rcpt_domain"], "size": "20KiB"})
    yard.relays(("hub.example", host), ("other.example", host)).start()
    sends_mail(yard, "a@client.example", "b@hub.example")
    refused(yard, "a@client.example", "c@hub.example", size=30_000)
    assert yard.wait("quota_exceeded")["name"] == "small"
    sends_mail(yard, "a@client.example", "c@hub.example")
    since = yard.mark()
    refused(yard, "a@client.example", "d@hub.example")
    assert yard.wait("quota_exceeded", since=since)["name"] == "few"
    sends_mail(yard, "a@client.example", "b@other.example")
    host.recovers()
    yard.wait("delivery_done", count=3)


def test_a_reload_brings_a_quota_that_counts_what_waits(yard, host):
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    first = sends_mail(yard, "ann@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=first)
    quotas(yard, each={"key": ["sender"], "messages": 1})
    assert yard.with_config("reload").returncode == 0
    yard.wait("quotas_counted")
    refused(yard, "Ann@client.example", "c@hub.example")
    sends_mail(yard, "amy@client.example", "b@hub.example")
    assert yard.with_config("queue", "cancel", first).returncode == 0
    yard.wait("rcpt_cancelled", message=first)
    makes_room(yard, 'quota_messages{quota="each"}', to=1)
    second = sends_mail(yard, "ann@client.example", "d@hub.example")
    host.recovers()
    yard.wait("delivery_done", message=second)

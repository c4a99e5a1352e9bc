"""What a sender may wish for: not before (FUTURERELEASE), by then (DELIVERBY), rather than others
(MT-PRIORITY). Q-052, Q-053, Q-054, Q-055 with seconds for hours, PY-15, PY-17, PY-18, PY-39."""

import json
import re
import time

from client import Client, sends_mail
from host import Host, silent_port
from test_operators import why
from test_schedule import parts_of

KEEPS_TIME = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 104857600", "DELIVERBY",
              "MT-PRIORITY")


def reports_to(yard, identity, count, address="bob@example.org"):
    """Status fields about the recipients, of all reports about a message, in order."""
    for made in yard.wait("report_made", count=count, name=identity)[:count] if count > 1 else [
            yard.wait("report_made", name=identity)]:
        yard.wait("delivery_done", message=made["message"])
    return [parts_of(mail)[1] for mail in yard.mailbox(address)]


def test_the_bounds_are_told_and_kept(yard):
    yard.configure({"server": {"limits": {"future-release": "1h", "deliver-by-min": "1m"}}})
    yard.start()
    with Client(yard.port) as client:
        offers = client.says("EHLO client.example", 250)
        found = re.search(r"FUTURERELEASE (\d+) (\S+)", offers)
        assert found[1] == "3600"
        last = time.mktime(time.strptime(found[2], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        assert abs(last - time.time() - 3600) < 60
        assert "DELIVERBY 60" in offers and "MT-PRIORITY" in offers
        client.says("MAIL FROM:<a@client.example> HOLDFOR=3601", 501)
        client.says("MAIL FROM:<a@client.example> BY=59;R", 501)
        client.says("MAIL FROM:<a@client.example> BY=60;R", 250)


def test_those_who_are_not_trusted_are_not_asked(yard):
    yard.configure({"server": {"trusted-networks": []}})
    yard.start()
    with Client(yard.port) as client:
        offers = client.says("EHLO client.example", 250)
        for word in ("FUTURERELEASE", "DELIVERBY", "MT-PRIORITY"):
            assert word not in offers
        client.says("MAIL FROM:<a@client.example> HOLDFOR=1", 555)
        client.says("MAIL FROM:<a@client.example> BY=60;N", 555)
        client.says("MAIL FROM:<a@client.example> MT-PRIORITY=9", 555)


def test_a_message_is_held_and_says_why_also_after_a_restart(yard, host):
    yard.relays(("hub.example", host)).start()
    began = time.time()
    identity = sends_mail(yard, "bob@example.org", "b@hub.example", mail_words=" HOLDFOR=4")
    [found] = why(yard, identity, "not-due")
    assert "FUTURERELEASE" in found["wait"]["text"]
    yard.crash()
    yard.start()
    [found] = why(yard, identity, "not-due")
    assert "FUTURERELEASE" in found["wait"]["text"]
    yard.wait("delivery_done", message=identity)
    assert time.time() - began >= 3.9
    assert "HOLDFOR" not in host.wait_mail(1)[0].mail_line


def test_time_and_rank_go_on_to_a_host_that_keeps_them(yard):
    with Host(words=KEEPS_TIME) as host:
        yard.relays(("hub.example", host)).start()
        sends_mail(yard, "bob@example.org", "b@hub.example", mail_words=" BY=600;R MT-PRIORITY=-4")
        sends_mail(yard, "bob@example.org", "c@hub.example", mail_words=" BY=-30;N")
        first, second = sorted((t.mail_line for t in host.wait_mail(2)), key=lambda l: "MT-P" not in l)
        assert re.search(r" BY=(59\d|600);R", first) and " MT-PRIORITY=-4" in first, first
        assert re.search(r" BY=-3\d;N", second) and "MT-PRIORITY" not in second, second
        assert yard.stop() == 0
        assert not yard.seen("report_made")


def test_a_traced_relay_is_told(yard):
    with Host(words=KEEPS_TIME) as host:
        yard.relays(("hub.example", host)).start()
        identity = sends_mail(yard, "bob@example.org", "b@hub.example", mail_words=" BY=600;RT")
        [(message, rcpt)] = reports_to(yard, identity, 1)
        assert rcpt["Action"] == "relayed" and "Deliver-By-Date" in message
        assert ";RT" in host.wait_mail(1)[0].mail_line


def test_mail_to_be_returned_goes_to_no_host_that_keeps_no_time(yard, host):
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", "b@hub.example", mail_words=" BY=600;R")
    [(_, rcpt)] = reports_to(yard, identity, 1)
    assert (rcpt["Action"], rcpt["Status"]) == ("failed", "5.3.3")
    assert host.mail == []


def test_mail_to_be_notified_of_goes_there_and_that_is_told(yard, host):
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "bob@example.org", "b@hub.example", mail_words=" BY=600;N")
    [(_, rcpt)] = reports_to(yard, identity, 1)
    assert rcpt["Action"] == "relayed"
    assert "BY=" not in host.wait_mail(1)[0].mail_line


def test_when_the_time_is_over_mail_is_returned_or_told_of(yard):
    """R: failed in time, whatever the schedule says. N: delayed once, and tried on (Q-054)."""
    yard.configure({"queue": {"schedule": {"remote": {
        "queue-name": "remote", "retry": ["1s"], "notify": ["1s"], "expire": "5s"}},
        "route": {"mx": {"type": "relay", "address": "127.0.0.1", "port": silent_port()}}}})
    yard.start()
    returned = sends_mail(yard, "bob@example.org", "r@away.example", mail_words=" BY=2;R")
    failed = yard.wait("delivery_failed", message=returned)
    told = sends_mail(yard, "carol@example.org", "n@away.example", mail_words=" BY=2;N")
    yard.wait("delivery_failed", message=told)
    accepted = [yard.wait("message_accepted", message=m) for m in (returned, told)]
    assert failed["attempts"] in (1, 2), failed
    delayed = yard.wait("delivery_delayed", message=told)
    assert len(yard.seen("delivery_delayed", message=told)) == 1
    assert accepted and delayed["rcpt"] == "n@away.example"
    for identity, count in ((returned, 1), (told, 2)):
        reports = yard.wait("report_made", count=count, name=identity)
        for made in reports if isinstance(reports, list) else [reports]:
            yard.wait("delivery_done", message=made["message"])
    statuses = [rcpt["Status"] for _, rcpt in (parts_of(m)[1] for m in yard.mailbox("bob@example.org"))]
    assert statuses[-1] == "5.4.7", statuses
    actions = [rcpt["Action"] for _, rcpt in (parts_of(m)[1] for m in yard.mailbox("carol@example.org"))]
    assert sorted(actions) == ["delayed", "failed"]

"""P2 and P3. Virtual queues: slots of their own, lanes, priorities, rates, holds, and reloads while
they are busy."""

import json
import threading
import time

from client import sends_mail
from test_operators import why


def queues(**named):
    """One schedule and one rule for each queue: mail to QUEUE.example waits in QUEUE."""
    rules = [{"if": f"rcpt_domain == '{name}.example'", "use": name} for name in named]
    return {"queue": {
        "virtual": named,
        "schedule": {name: {"queue-name": name, "retry": ["1s"], "expire": "60s"} for name in named},
        "strategy": {"schedule": rules + [{"use": "remote"}]}}}


def gauge(yard, name, queue):
    import urllib.request
    text = urllib.request.urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics").read().decode()
    for line in text.splitlines():
        if line.startswith(f"postyard_{name}{{") and f'"{queue}"' in line:
            return int(float(line.split()[-1]))
    return None


def reload(yard):
    told = yard.with_config("reload")
    assert told.returncode == 0, told.stderr


def held_at_dot(host):
    """All that arrive hang before the last reply, until set."""
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(20) and "250 2.0.0 taken")
    return go_on


def dots(host):
    return len([line for line in host.heard if line.upper() == "DATA"])


def test_a_queue_of_four_slots_has_four_connections_at_work(yard, host, another_host):
    """Q-027, Q-028: and another queue does not wait for it."""
    go_on = held_at_dot(host)
    yard.configure(queues(full={"concurrency": 4}, free={"concurrency": 4}))
    yard.relays(("full.example", host), ("free.example", another_host)).start()
    for n in range(12):
        sends_mail(yard, "a@client.example", f"b{n}@full.example")
    host.wait_heard("DATA", 4)
    identity = sends_mail(yard, "a@client.example", "c@free.example")
    yard.wait("delivery_done", message=identity, seconds=2)
    assert dots(host) == 4 and gauge(yard, "queue_running", "full") == 4
    go_on.set()
    host.wait_mail(12)


def test_a_slot_that_becomes_free_serves_the_next_at_once(yard, host):
    """Q-029, PY-43, with one slot and nothing else to do."""
    yard.configure(queues(one={"concurrency": 1})).relays(("one.example", host)).start()
    go_on = held_at_dot(host)
    for n in range(3):
        sends_mail(yard, "a@client.example", f"b{n}@one.example")
    host.wait_heard("DATA", 1)
    began = time.monotonic()
    go_on.set()
    host.wait_mail(3)
    assert time.monotonic() - began < 2


def test_a_reload_changes_slots_while_they_are_busy(yard, host):
    """Q-036: two become six at once, one cuts none; Q-037: a removed queue ends its work."""
    go_on = held_at_dot(host)
    yard.configure(queues(busy={"concurrency": 2})).relays(("busy.example", host)).start()
    for n in range(12):
        sends_mail(yard, "a@client.example", f"b{n}@busy.example")
    host.wait_heard("DATA", 2)
    yard.configure({"queue": {"virtual": {"busy": {"concurrency": 6}}}})
    reload(yard)
    host.wait_heard("DATA", 6)
    yard.configure({"queue": {"virtual": {"busy": {"concurrency": 1}}}})
    reload(yard)
    assert gauge(yard, "queue_running", "busy") == 6

    yard.configure({"queue": {"virtual": {"busy": None}, "schedule": {"busy": None},
                              "strategy": {"schedule": [{"use": "remote"}]}}})
    reload(yard)
    assert gauge(yard, "queue_slots", "busy") == 5  # PY-30: an orphan, served and seen
    go_on.set()
    yard.wait("delivery_done", count=12)
    assert len(host.mail) == 12 and not yard.seen("connection_failed")
    end = time.monotonic() + 10
    while gauge(yard, "queue_slots", "busy") is not None:  # and forgotten when it is empty
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_queue_that_is_held_keeps_its_mail_until_a_reload(yard, host):
    yard.configure(queues(kept={"concurrency": 4, "hold": True}))
    yard.relays(("kept.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@kept.example")
    found = why(yard, identity, "held")
    assert found[0]["wait"]["text"] == "virtual queue kept is held"
    yard.crash()  # it is stored like all mail
    yard.start()
    why(yard, identity, "held")
    yard.configure({"queue": {"virtual": {"kept": {"hold": False}}}})
    reload(yard)
    yard.wait("delivery_done", message=identity)
    assert len(host.mail) == 1 and not yard.seen("delivery_deferred")


def test_a_queue_with_a_rate_starts_so_many_and_spends_no_attempt(yard, host):
    yard.configure(queues(paced={"concurrency": 4, "rate": "2/1s"}))
    yard.relays(("paced.example", host)).start()
    began = time.monotonic()
    sent = [sends_mail(yard, "a@client.example", f"b{n}@paced.example") for n in range(9)]
    found = why(yard, sent[-1], "rate-limit")
    assert found[0]["wait"]["text"] == "the rate of virtual queue paced"
    assert found[0]["attempts"] == 0
    host.wait_mail(9)
    assert 3.4 < time.monotonic() - began < 8  # two at once, then one in half a second
    assert not yard.seen("delivery_deferred")


def test_a_small_tenant_does_not_wait_for_a_large_one(yard, host):
    """P3: lanes by the domain of the sender."""
    yard.configure(queues(fair={"concurrency": 1, "fair-by": "sender_domain"}))
    yard.relays(("fair.example", host)).start()
    go_on = held_at_dot(host)
    for n in range(40):
        sends_mail(yard, "a@large.example", f"b{n}@fair.example")
    for n in range(3):
        identity = sends_mail(yard, "a@small.example", f"c{n}@fair.example")
    shown = json.loads(yard.with_config("queue", "show", identity, "--json").stdout)
    assert "small.example" in json.dumps(shown)
    go_on.set()
    senders = [m.sender for m in host.wait_mail(43)]
    last = max(n for n, s in enumerate(senders) if "small" in s)
    assert last < 30, senders  # the turn that was under way has up to twenty messages

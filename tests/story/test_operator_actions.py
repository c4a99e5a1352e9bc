"""What operators do to queued mail: hold, release, retry, cancel, move, count; over restarts, and while
it is being delivered."""

import json
import threading
import time

from client import sends_mail
from yard import PATIENCE

FOR_AN_HOUR = {"queue": {"schedule": {"remote": {"queue-name": "remote", "retry": ["1h"],
                                                 "expire": "1d"}}}}


def asks(yard, *words, exit=0):
    """`postyard queue …`, its answer read."""
    told = yard.with_config("queue", *words, "--json", timeout=60)
    assert told.returncode == exit, (told.returncode, told.stdout, told.stderr)
    return json.loads(told.stdout) if exit == 0 and told.stdout else told.stderr


def waits(yard, identity, reason, seconds=PATIENCE):
    """What `queue why` says as soon as it says `reason` of all recipients."""
    end = time.monotonic() + seconds
    while True:
        found = asks(yard, "why", identity)["recipients"]
        if all(r.get("wait", {}).get("reason") == reason for r in found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def gone(yard, identity):
    """Waits until the message is stored no more."""
    end = time.monotonic() + PATIENCE
    while yard.with_config("queue", "show", identity).returncode == 0:
        assert time.monotonic() < end
        time.sleep(0.02)


def deferred(yard, host, *recipients, sender="a@client.example"):
    """A message that was refused for now, and waits for an hour."""
    host.answers("RCPT", "450 4.2.0 not now")
    identity = sends_mail(yard, sender, list(recipients))
    for rcpt in recipients:
        yard.wait("delivery_deferred", message=identity, rcpt=rcpt)
    waits(yard, identity, "not-due")
    host.recovers()
    return identity


def in_data(yard, host, *recipients):
    """A message whose content the host has and does not answer; and what lets it answer."""
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(PATIENCE) and "250 2.0.0 taken", times=1)
    identity = sends_mail(yard, "a@client.example", list(recipients))
    host.wait_heard("DATA")
    return identity, go_on


def test_held_mail_waits_over_a_crash_until_it_is_released(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    identity = deferred(yard, host, "b@hub.example")
    expires = asks(yard, "show", identity)["recipients"][0]["expires"]

    done = asks(yard, "hold", identity, "--reason", "looks odd")
    assert (done["done"], done["messages"]) == (1, 1)
    yard.wait("admin_action", name="hold", recipients=1)
    [held] = waits(yard, identity, "held")
    assert held["wait"]["text"] == "looks odd" and held["wait"]["by"]
    assert held["wait"]["until"] is None
    again = asks(yard, "hold", identity)
    assert (again["done"], again["unchanged"]) == (0, 1)
    assert asks(yard, "retry", identity)["held"] == 1  # it is not tried behind the hold's back

    yard.crash()
    yard.start()
    [held] = waits(yard, identity, "held")
    assert held["wait"]["text"] == "looks odd"
    assert asks(yard, "list", "--held")["total"] == 1
    assert asks(yard, "count")["held"] == 1

    assert asks(yard, "release", "--held")["done"] == 1
    [free] = waits(yard, identity, "not-due")
    assert free["expires"] > expires  # its clocks were moved by the time it was held
    assert asks(yard, "retry", identity)["done"] == 1
    yard.wait("delivery_done", message=identity)
    assert len(host.wait_mail(1)) == 1


def test_one_recipient_of_several_is_cancelled_and_its_sender_is_told(yard, host):
    """Q-139, Q-140: exactly that recipient; what is delivered stays delivered."""
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    host.answers("RCPT", lambda line: "250 2.1.5 ok" if "c@hub" in line else "450 4.2.0 not now")
    identity = sends_mail(yard, "bob@example.org",
                          ["ann@hub.example", "nn@hub.example", "c@hub.example"])
    yard.wait("delivery_deferred", message=identity, count=2)
    yard.wait("delivery_done", message=identity, rcpt="c@hub.example")
    done = asks(yard, "cancel", identity, "--rcpt", "nn@hub.example", "--reason", "sent in error")
    assert done["done"] == 1
    yard.wait("rcpt_cancelled", message=identity, rcpt="nn@hub.example")
    assert "wait for nothing" in asks(yard, "cancel", identity, "--rcpt", "c@hub.example", exit=1)
    left = {r["address"]: r["status"] for r in asks(yard, "show", identity)["recipients"]}
    assert left == {"ann@hub.example": "waiting", "nn@hub.example": "failed",
                    "c@hub.example": "delivered"}
    yard.wait("report_made")
    yard.wait("delivery_done", rcpt="bob@example.org")
    [report] = yard.mailbox("bob@example.org")
    assert b"sent in error" in report and b"nn@hub.example" in report
    assert b"Final-Recipient: rfc822;ann@hub.example" not in report
    host.recovers()
    asks(yard, "retry", identity)
    yard.wait("delivery_done", message=identity, rcpt="ann@hub.example")
    assert all("nn@hub" not in line.replace("ann@hub", "") for m in host.mail for line in m.rcpt_lines)


def test_a_silent_cancel_tells_nobody_and_the_message_is_gone(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    identity = deferred(yard, host, "b@hub.example", sender="bob@example.org")
    assert asks(yard, "cancel", "--sender", "@example.org", "--silent")["done"] == 1
    gone(yard, identity)
    assert "no such message" in asks(yard, "show", identity, exit=1)
    yard.stop()
    yard.start()
    assert asks(yard, "count")["recipients"] == 0
    assert not yard.seen("report_made")


def test_a_cancel_while_the_content_is_with_the_host_is_decided_by_its_answer(yard, host):
    """Q-142, Q-143: never both delivered and cancelled, and nothing comes back."""
    yard.relays(("hub.example", host)).start()
    identity, go_on = in_data(yard, host, "b@hub.example")
    asked = asks(yard, "cancel", identity)
    assert (asked["done"], asked["requested"]) == (0, 1)
    go_on.set()
    yard.wait("delivery_done", message=identity)
    gone(yard, identity)
    assert not yard.seen("rcpt_cancelled")


def test_a_cancel_during_an_attempt_that_fails_takes_effect_after_it(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(PATIENCE) and "451 4.3.0 busy", times=1)
    identity = sends_mail(yard, "", "b@hub.example")
    host.wait_heard("DATA")
    assert asks(yard, "cancel", identity, "--silent")["requested"] == 1
    go_on.set()
    yard.wait("delivery_deferred", message=identity)
    yard.wait("rcpt_cancelled", message=identity)
    assert not host.mail


def test_a_hold_during_an_attempt_holds_what_is_left(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    go_on = threading.Event()
    host.answers("RCPT", lambda line: "450 4.2.0 no" if "c@" in line else "250 2.1.5 ok")
    host.answers("DOT", lambda line: go_on.wait(PATIENCE) and "250 2.0.0 taken", times=1)
    identity = sends_mail(yard, "a@client.example", ["b@hub.example", "c@hub.example"])
    host.wait_heard("DATA")
    assert asks(yard, "hold", "--site", "to-hub-example")["requested"] == 2
    go_on.set()
    yard.wait("delivery_done", message=identity, rcpt="b@hub.example")
    end = time.monotonic() + PATIENCE
    while True:
        left = {r["address"]: r.get("wait", {}).get("reason")
                for r in asks(yard, "show", identity)["recipients"]}
        if left == {"b@hub.example": None, "c@hub.example": "held"}:
            break
        assert time.monotonic() < end, left


def test_a_dry_run_says_what_would_be_and_changes_nothing(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host), ("other.example", host)).start()
    hub = deferred(yard, host, "b@hub.example", "c@hub.example")
    other = deferred(yard, host, "b@other.example")
    before = asks(yard, "list")
    for words in (("hold",), ("cancel",), ("retry",), ("move", "--to-route", "mx"),
                  ("reschedule",)):
        would = asks(yard, *words, "--where", "rcpt_domain == 'hub.example' && queue_age >= 0s",
                     "--dry-run")
        assert (would["messages"], would["recipients"], would["done"]) == (1, 2, 2), words
    assert asks(yard, "list") == before
    assert not yard.seen("admin_action")
    assert hub != other


def test_mail_is_moved_to_another_queue_and_route_and_stays_there(yard, host, another_host):
    yard.configure(FOR_AN_HOUR)
    yard.configure({"queue": {"virtual": {"slow": {"concurrency": 1}, "remote": {"concurrency": 10}}}})
    yard.relays(("hub.example", host), ("spare.example", another_host)).start()
    identity = deferred(yard, host, "b@hub.example")
    moved = asks(yard, "move", identity, "--to-queue", "slow", "--to-route", "to-spare-example")
    assert moved["done"] == 1
    yard.crash()
    yard.start()
    [waiting] = waits(yard, identity, "not-due")
    assert waiting["queue"] == "slow" and waiting["route"] == "to-spare-example"
    assert asks(yard, "list", "--queue", "slow")["total"] == 1
    assert asks(yard, "list", "--queue", "remote")["total"] == 0
    asks(yard, "retry", "--queue", "slow")
    yard.wait("delivery_done", message=identity)
    assert len(another_host.wait_mail(1)) == 1 and not host.mail


def test_names_that_there_are_not_are_said_with_those_there_are(yard):
    yard.start()
    told = asks(yard, "move", "--all", "--to-queue", "fast", exit=64)
    assert "no virtual queue fast" in told and "remote" in told
    assert "no route out" in asks(yard, "move", "--all", "--to-route", "out", exit=64)
    assert "to_queue" in asks(yard, "move", "--all", exit=64)
    assert "say which" in asks(yard, "cancel", exit=64)
    assert "where:1:" in asks(yard, "cancel", "--where", "rcpt_domian == 'x'", exit=64)
    assert "hold" in yard.with_config("queue", "hoold").stderr


def test_a_retry_at_a_time_is_one_attempt_then_and_gives_no_more_time(yard, host):
    """Q-141, Q-056."""
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    identity = deferred(yard, host, "b@hub.example")
    [before] = asks(yard, "show", identity)["recipients"]
    assert asks(yard, "retry", identity, "--at", "1500ms")["done"] == 1
    [after] = asks(yard, "show", identity)["recipients"]
    assert after["expires"] == before["expires"] and after["attempts"] == 1
    yard.wait("delivery_done", message=identity)
    assert len(host.wait_mail(1)) == 1
    assert len(host.wait_heard("MAIL", 2)) == 2


def test_a_new_schedule_is_applied_at_once_when_asked(yard, host):
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    identity = deferred(yard, host, "b@hub.example")
    yard.configure({"queue": {"schedule": {"remote": {"retry": ["2s"]}}}})
    yard.signal(1)
    yard.wait("server_reloaded")
    assert asks(yard, "reschedule", "--queue", "remote")["done"] == 1
    yard.wait("delivery_done", message=identity)


def test_a_new_schedule_that_needs_a_look_up_is_looked_up(yard, host):
    """The list says which domains are slow; one in a store that is away is left as it is, and counted."""
    slow = yard.folder / "slow"
    slow.write_text("")
    yard.configure(FOR_AN_HOUR)
    yard.configure({
        "lookup": {"slow": {"type": "file", "path": str(slow)},
                   "away": {"type": "redis", "address": "127.0.0.1", "port": 1, "timeout": "100ms"}},
        "queue": {"virtual": {"slow": {"concurrency": 5}, "remote": {"concurrency": 10}},
                  "schedule": {"slow": {"queue-name": "slow", "retry": ["2h"], "expire": "1d"}},
                  "strategy": {"schedule": [
                      {"if": "key_exists('slow', rcpt_domain)", "use": "slow"},
                      {"if": "rcpt_domain == 'away.example' && key_exists('away', rcpt)", "use": "slow"},
                      {"use": "remote"}]}}})
    yard.relays(("hub.example", host), ("other.example", host), ("away.example", host)).start()
    hub, other, away = (deferred(yard, host, f"b@{name}.example") for name in ("hub", "other", "away"))
    slow.write_text("hub.example\n")
    asked = ("--where", "rcpt_domain != 'away.example'")
    end = time.monotonic() + PATIENCE
    while asks(yard, "list", "--queue", "slow")["total"] == 0:
        answer = asks(yard, "reschedule", *asked)
        assert (answer["done"], answer["unchanged"], answer["failed"]) == (2, 0, 0)
        assert time.monotonic() < end  # the file is read again within a second
    assert asks(yard, "show", hub)["recipients"][0]["queue"] == "slow"
    assert asks(yard, "show", other)["recipients"][0]["queue"] == "remote"
    [before] = asks(yard, "show", away)["recipients"]
    for more in (["--dry-run"], []):
        answer = yard.with_config("queue", "reschedule", away, "--json", *more)
        assert json.loads(answer.stdout)["failed"] == 1, answer
    [after] = asks(yard, "show", away)["recipients"]
    assert (after["queue"], after["wait"]["until"], after["attempts"]) == (
        before["queue"], before["wait"]["until"], before["attempts"])


def test_pages_are_pages(yard, host):
    """Q-144."""
    yard.configure(FOR_AN_HOUR)
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    ids = [sends_mail(yard, "a@client.example", f"b{n}@hub.example") for n in range(25)]
    page = asks(yard, "list", "--page", "2", "--limit", "10")
    assert page["total"] == 25 and [i["id"] for i in page["items"]] == sorted(ids)[10:20]
    chosen = asks(yard, "list", "--page", "3", "--limit", "10", "--where", "size > 0")
    assert chosen["total"] == 25 and len(chosen["items"]) == 5


def test_changes_over_tcp_need_the_token(yard, host):
    import urllib.error
    import urllib.request
    yard.configure({"admin": {"token": "a-token-of-some-length"}})
    yard.relays(("hub.example", host)).start()

    def post(headers):
        ask = urllib.request.Request(f"http://127.0.0.1:{yard.admin_port}/api/v1/queue/hold",
                                     data=b'{"all":true,"by":"a program"}', headers=headers)
        try:
            with urllib.request.urlopen(ask) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())
    status, told = post({})
    assert status == 401 and "token" in told["error"]
    status, told = post({"Authorization": "Bearer a-token-of-some-length"})
    assert status == 200 and told["action"] == "hold" and told["recipients"] == 0
    yard.wait("admin_action", name="hold", by="a program")


def test_a_paused_queue_takes_mail_and_tries_none_over_a_crash(yard, host):
    """Q-034, Q-035: acceptance goes on, what runs ends, nothing starts; resume starts at once."""
    yard.configure({"queue": {"virtual": {"remote": {"concurrency": 10}}}})
    yard.relays(("hub.example", host)).start()
    running, go_on = in_data(yard, host, "b@hub.example")
    paused = asks(yard, "pause", "maintenance", "--queue", "remote", "--reason", "their new cluster")
    assert paused["recipients"] == 1
    later = sends_mail(yard, "a@client.example", "c@hub.example")
    [waiting] = waits(yard, later, "paused")
    assert waiting["wait"]["text"] == "pause maintenance: their new cluster"
    assert waiting["wait"]["until"] is None
    local = sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done", message=local)  # another queue goes on
    go_on.set()
    yard.wait("delivery_done", message=running)
    gone(yard, running)
    gone(yard, local)

    yard.crash()
    yard.start()
    waits(yard, later, "paused")
    asks(yard, "retry", later)
    waits(yard, later, "paused")
    [listed] = asks(yard, "pauses")["items"]
    assert listed["name"] == "maintenance" and listed["queue"] == "remote" and listed["by"]
    assert "already" in asks(yard, "pause", "maintenance", "--all", exit=1)
    assert "maintenance" in asks(yard, "resume", "maintenence", exit=1)
    assert len(host.mail) == 1

    asks(yard, "resume", "maintenance")
    yard.wait("delivery_done", message=later)
    assert asks(yard, "pauses")["items"] == []
    yard.crash()
    yard.start()
    assert asks(yard, "pauses")["items"] == []


def test_a_paused_destination_and_a_paused_sender_leave_the_others_alone(yard, host, another_host):
    yard.relays(("hub.example", host), ("other.example", another_host)).start()
    asks(yard, "pause", "hub", "--site", "to-hub-example")
    asks(yard, "pause", "ann", "--sender", "ann@client.example")
    asks(yard, "pause", "big", "--where", "size > 1000")
    to_hub = sends_mail(yard, "a@client.example", "b@hub.example")
    from_ann = sends_mail(yard, "ann@client.example", "b@other.example")
    big = sends_mail(yard, "a@client.example", "b@other.example",
                     "Subject: big\r\n\r\n" + "x" * 900 + "\r\n" + "y" * 900 + "\r\n")
    other = sends_mail(yard, "a@client.example", "b@other.example")
    yard.wait("delivery_done", message=other)
    gone(yard, other)  # a crash before that may repeat it
    for identity in (to_hub, from_ann, big):
        waits(yard, identity, "paused")
    yard.crash()
    yard.start()
    for name, identity in (("hub", to_hub), ("ann", from_ann), ("big", big)):
        waits(yard, identity, "paused")
        asks(yard, "resume", name)
        yard.wait("delivery_done", message=identity)
    assert len(host.mail) == 1 and len(another_host.mail) == 3


def test_one_recipient_of_a_message_may_be_paused(yard, host):
    yard.relays(("hub.example", host)).start()
    asks(yard, "pause", "one", "--rcpt", "b@hub.example")
    identity = sends_mail(yard, "a@client.example", ["a@hub.example", "b@hub.example"])
    yard.wait("delivery_done", message=identity, rcpt="a@hub.example")
    asks(yard, "resume", "one")
    yard.wait("delivery_done", message=identity, rcpt="b@hub.example")
    assert len(host.mail) == 2


def test_a_pause_with_an_end_ends_by_itself(yard, host):
    yard.relays(("hub.example", host)).start()
    asks(yard, "pause", "short", "--all", "--for", "2s")
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    [waiting] = waits(yard, identity, "paused")
    assert waiting["wait"]["until"] is not None
    yard.wait("pause_over", name="short")
    yard.wait("delivery_done", message=identity)
    assert asks(yard, "pauses")["items"] == []
    assert "in the past" in asks(yard, "pause", "old", "--all", "--until",
                                 "2020-01-01T00:00:00.000Z", exit=64)

"""What filters say about queueing: schedule, queue, priority, hold, and values that expressions read
as meta.NAME."""

import json
import re

import pytest
from draft_scanner import DraftScanner
from scanner import Scanner
from test_hooks import hooked, sends

META = {"campaign": "string", "weight": "integer", "bulk": "boolean"}
BULK = {"virtual": {"bulk": {"concurrency": 4, "fair-by": "meta.campaign", "hold": True},
                    "other": {"concurrency": 4, "hold": True}},
        "schedule": {"bulk": {"queue-name": "bulk"}, "other": {"queue-name": "other"}},
        "strategy": {"schedule": [{"if": "meta.bulk", "use": "bulk"}, {"use": "other"}]}}


@pytest.fixture
def scanner():
    with Scanner() as s:
        yield s


def says(**policy):
    return {"action": "accept", "policy": policy}


def identity_of(answer):
    return re.search(r"[0-9a-f]{16}", answer)[0]


def shown(yard, identity):
    told = yard.with_config("queue", "show", identity, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def listed(yard, where):
    told = yard.with_config("queue", "list", "--json", "--where", where)
    assert told.returncode == 0, told.stderr
    return [m["id"] for m in json.loads(told.stdout)["items"]]


def ready(yard, scanner, **hook):
    return hooked(yard, scanner.hook("data", **{"dialect-extensions": True} | hook),
                  meta=META, queue=BULK)


def test_a_scanner_names_the_campaign_and_its_mail_shares_by_it(yard, scanner):
    """Lanes, rules and --where read what it gave, over a restart too."""
    ready(yard, scanner)
    scanner.says(data=[says(meta={"campaign": "spring", "bulk": True, "weight": 7}),
                       says(meta={"campaign": "autumn", "bulk": True}), {"action": "accept"}])
    spring, autumn, plain = (identity_of(sends(yard)) for _ in range(3))
    for _ in range(2):
        one = shown(yard, spring)
        assert one["meta"] == {"campaign": "spring", "weight": 7, "bulk": True}
        to, = one["recipients"]
        assert (to["queue"], to["lane"]) == ("bulk", "spring")
        assert shown(yard, autumn)["recipients"][0]["lane"] == "autumn"
        assert "meta" not in shown(yard, plain)
        assert shown(yard, plain)["recipients"][0]["queue"] == "other"
        assert listed(yard, "meta.campaign == 'spring'") == [spring]
        assert listed(yard, "meta.weight > 5 && meta.bulk") == [spring]
        assert "meta               campaign = spring" in yard.with_config("queue", "show", spring).stdout
        yard.stop()
        yard.start()
    told = yard.with_config("explain", "--to", "bob@example.org", "--meta", "campaign=x", "--meta", "bulk=true")
    assert "lane: x" in told.stdout and "meta.bulk" in told.stdout, told.stdout + told.stderr
    told = yard.with_config("explain", "--to", "bob@example.org", "--meta", "weight=heavy")
    assert told.returncode == 1 and "type integer" in told.stderr


def test_a_schedule_a_queue_and_a_priority_stand_before_the_strategy(yard, scanner):
    ready(yard, scanner)
    scanner.says(data=[says(schedule="bulk", priority=-4), says(queue="bulk"), says(schedule="other", queue="bulk")])
    by_schedule, by_queue, by_both = (shown(yard, identity_of(sends(yard))) for _ in range(3))
    assert (by_schedule["schedule"], by_schedule["priority"]) == ("bulk", -4)
    for one in by_schedule, by_queue, by_both:
        assert one["recipients"][0]["queue"] == "bulk"
    assert (by_both["schedule"], by_both["queue"]) == ("other", "bulk")


def test_a_choice_stays_after_a_temporary_failure(yard, scanner, host):
    ready(yard, scanner)
    yard.configure({"queue": {"virtual": {"busy": {"concurrency": 2}},
                              "schedule": {"busy": {"queue-name": "busy", "retry": ["1s"], "expire": "1m"}}}})
    yard.relays(("example.org", host))
    yard.stop()
    yard.start()
    scanner.says(data=[says(schedule="busy")])
    host.answers("DOT", lambda line: "451 4.3.0 not now")
    identity = identity_of(sends(yard))
    yard.wait("delivery_deferred", message=identity, count=2)
    assert shown(yard, identity)["recipients"][0]["queue"] == "busy"


def test_a_hold_is_an_operator_s_to_end_or_has_its_time(yard, scanner):
    ready(yard, scanner)
    yard.configure({"queue": {"virtual": {"other": {"hold": False}}}})
    yard.stop()
    yard.start()
    scanner.says(data=[says(hold=True), says(hold="1h")])
    held, later = (identity_of(sends(yard)) for _ in range(2))
    wait = shown(yard, held)["recipients"][0]["wait"]
    assert (wait["reason"], wait["by"], wait["text"]) == ("held", "policy", "a filter asked for it")
    assert shown(yard, later)["recipients"][0]["wait"]["reason"] == "not-due"
    told = yard.with_config("queue", "release", held)
    assert told.returncode == 0, told.stderr
    yard.wait("delivery_done", message=held)


@pytest.mark.parametrize("policy, word", [
    ({"meta": {"campain": "spring"}}, "meta.campain"), ({"meta": {"weight": "7"}}, "meta.weight"),
    ({"meta": {"campaign": 7}}, "meta.campaign"), ({"schedule": "gone"}, "schedule"),
    ({"queue": "gone"}, "queue"), ({"priority": 12}, "priority"), ({"hold": "often"}, "hold"),
    ({"hold": 5}, "hold")])
def test_what_there_is_not_is_refused_and_told(yard, scanner, policy, word):
    ready(yard, scanner)
    scanner.says(data=[says(**policy)])
    identity = identity_of(sends(yard))
    told = yard.wait("filter_policy_refused", message=identity)
    assert (told["name"], told["type"]) == ("policy", word)
    assert not {"meta", "schedule"} & shown(yard, identity).keys()


def test_without_the_operator_s_word_a_classic_answer_says_nothing_of_it(yard, scanner):
    ready(yard, scanner, **{"dialect-extensions": False})
    scanner.says(data=[says(meta={"campaign": "spring"})])
    assert "meta" not in shown(yard, identity_of(sends(yard)))


def test_a_draft_scanner_says_it_in_a_namespace_that_was_agreed_on(yard, certificates):
    at = "/ext/org.postyard.queueing"
    with DraftScanner(certificates) as scanner:
        scanner.properties.append(at)
        scanner.updates.append(at)
        hook = scanner.hook("data")
        hook |= {"allow": [at], "properties": ["/stage", "/action", at]}
        hooked(yard, hook, meta=META, queue=BULK)
        yard.wait("hook_registered")
        scanner.says(data=lambda request: {"set": [{"path": at + "/meta/campaign", "value": "spring"},
                                                   {"path": at + "/meta/bulk", "value": True}]})
        one = shown(yard, identity_of(sends(yard)))
        assert one["meta"] == {"campaign": "spring", "bulk": True}
        assert one["recipients"][0]["lane"] == "spring"
        asked, = scanner.asked("data")
        assert asked["ext"]["org.postyard.queueing"]["meta"] == {}

"""`postyard explain`: what the rules say about a message that need not exist (P5)."""

import hashlib
import json
import time

from client import Client
from yard import PATIENCE

MOVES = {
    "queue": {
        "virtual": {"remote": {"concurrency": 10}, "slow": {"concurrency": 5}},
        "schedule": {
            "remote": {"queue-name": "remote", "retry": ["1s"], "notify": ["1d"], "expire": "5d"},
            "slow": {"queue-name": "slow", "retry": ["4h"], "notify": ["1d"], "expire": "5d"},
        },
        "strategy": {
            "schedule": [
                {"if": "retry_num >= 1 && last_error == 'unexpected-reply'", "use": "slow"},
                {"use": "remote"},
            ],
        },
    },
}


def explained(yard, *words):
    answer = yard.with_config("explain", *words, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def moved(yard):
    """The queue of the one message, once the second result is stored."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = yard.with_config("queue", "list", "--json")
        found = json.loads(answer.stdout)["items"][0]["recipients"][0]
        if found["attempts"] == 2 or time.monotonic() > end:
            return found["queue"]


def test_each_rule_is_shown_with_its_place_and_what_it_read(yard):
    yard.configure(MOVES)
    answer = yard.with_config("explain", "--from", "a@b.example", "--to", "x@c.example")
    assert answer.returncode == 0, answer.stderr
    assert "schedule: remote" in answer.stdout
    assert "no " in answer.stdout and "retry_num >= 1" in answer.stdout
    assert "retry_num = 0" in answer.stdout
    assert "last_error = 'none'" in answer.stdout
    assert str(yard.file) in answer.stdout

    found = explained(yard, "--from", "a@b.example", "--to", "x@c.example")
    rules = found["recipients"][0]["decisions"]["schedule"]["rules"]
    assert [r["result"] for r in rules] == ["no", "yes"]
    file, line, _ = rules[0]["rule"].rsplit(":", 2)
    assert "retry_num >= 1" in "".join(open(file).readlines()[int(line) - 1:int(line) + 2])


def test_the_time_line_is_what_then_happens(yard, host):
    """The queues that explain foretells are those that a real message goes through."""
    host.answers("RCPT", "451 4.7.1 Not now")
    yard.relays(("hub.example", host)).configure(MOVES)
    yard.start()

    told = explained(yard, "--from", "a@b.example", "--to", "x@hub.example",
                     "--attempt", "3", "--last-reply", "451 4.7.1 Not now")
    recipient = told["recipients"][0]
    queues = [s["queue"] for s in recipient["timeline"] if s["what"] == "attempt"]
    assert queues[:4] == ["remote", "remote", "slow", "slow"]
    assert recipient["queue"] == "slow"
    assert [s["after_ms"] for s in recipient["timeline"][:3]] == [0, 1000, 1000 + 4 * 3600 * 1000]
    assert recipient["timeline"][-1]["what"] == "end"
    assert recipient["timeline"][-1]["after_ms"] == 5 * 86400 * 1000

    sent = yard.with_config("send", "--from", "a@b.example", "--to", "x@hub.example",
                            "--body", "hello")
    assert sent.returncode == 0, sent.stderr
    events = [yard.wait("delivery_deferred", attempts=n) for n in (1, 2)]
    assert [e["queue"] for e in events] == ["remote", "remote"]
    assert moved(yard) == "slow"


def test_several_recipients_and_mistakes(yard):
    yard.configure(MOVES)
    found = explained(yard, "--from", "<>", "--to", "x@c.example", "--to", "bob@example.org")
    assert [r["address"] for r in found["recipients"]] == ["x@c.example", "bob@example.org"]

    wrong = yard.with_config("explain", "--to", "x@c.example", "--last-error", "conection")
    assert wrong.returncode == 64
    assert "did you mean connection?" in wrong.stderr
    nobody = yard.with_config("explain", "--from", "a@b.example")
    assert nobody.returncode == 64
    assert "--to" in nobody.stderr


ASKS = {
    "lookup": {"routes": {"type": "file", "path": "routes"}},
    "queue": {
        "route": {"hub": {"type": "relay", "address": "192.0.2.1"}},
        "strategy": {"route": [{"if": "key_get('routes', rcpt_domain) == 'hub'", "use": "hub"},
                               {"use": "mx"}]},
    },
}


def test_answers_of_look_ups_are_part_of_the_decision(yard):
    (yard.folder / "routes").write_text("c.example hub\n")
    yard.configure(ASKS)
    words = ("--from", "a@b.example", "--to", "x@c.example")
    route = explained(yard, *words)["recipients"][0]["decisions"]["route"]
    assert route["needs"] == "key_get('routes', 'c.example')"
    shown = yard.with_config("explain", *words).stdout
    assert "--answer" in shown and "key_get('routes', 'c.example')" in shown

    for answer, name in (("hub", "hub"), ("other", "mx")):
        given = ("--answer", f"key_get('routes', 'c.example')={answer}")
        assert explained(yard, *words, *given)["recipients"][0]["decisions"]["route"]["name"] == name
    wrong = yard.with_config("explain", *words, "--answer", "key_gte('a', 'b')=c")
    assert wrong.returncode == 64 and "key_gte" in wrong.stderr


def test_why_names_the_lines_that_decide(yard, host):
    host.answers("RCPT", "451 4.7.1 Not now")
    yard.relays(("hub.example", host)).configure(MOVES)
    yard.start()
    sent = yard.with_config("send", "--from", "a@b.example", "--to", "x@hub.example",
                            "--body", "hello")
    assert sent.returncode == 0, sent.stderr
    message = yard.wait("delivery_deferred", attempts=2)["message"]
    assert moved(yard) == "slow"
    shown = yard.with_config("queue", "why", message).stdout
    assert f"schedule slow ({yard.file}:" in shown
    assert f"route to-hub-example ({yard.file}:" in shown
    assert "connection default (" in shown and "tls default (" in shown


SHARED = {
    "queue": {
        "virtual": {"remote": {"concurrency": 10, "fair-by": "sender_domain",
                               "weight": [{"if": "lane == 'large.example'", "then": "4"}, {"then": "1"}]}},
        "limiter": {"outbound": {
            "tenant": {"key": ["sender_domain", "rcpt_domain"], "rate": "20/1m"},
            "host": {"key": ["mx"], "concurrency": 5},
            "far": {"match": "mx == 'far.example'", "rate": "1/1h"},
            "others": {"match": "sender_domain == 'other.example'", "rate": "1/1h"},
            "off": {"enable": False, "rate": "1/1h"}},
            "inbound": {"client": {"key": ["remote_ip"], "concurrency": 9},
                        "pair": {"match": "helo_domain != 'inside.example'", "key": ["sender_domain", "rcpt"],
                                 "rate": "25/1h"}}},
    },
}


def test_lane_and_limits_are_told_with_their_lines(yard):
    yard.configure(SHARED)
    words = ("--from", "a@large.example", "--to", "x@c.example")
    to = explained(yard, *words)["recipients"][0]
    assert (to["lane"]["queue"], to["lane"]["name"], to["lane"]["weight"]) == ("remote", "large.example", 4)
    assert "fair-by" in line_of(yard, to["lane"]["fair_by"])
    limits = {each["name"]: each for each in to["limits"]}
    assert list(limits) == ["client", "pair", "tenant", "host", "far"]
    assert limits["client"]["key"] == {"remote_ip": None} and limits["client"]["counts"] == "sessions"
    assert limits["pair"]["key"] == {"sender_domain": "large.example", "rcpt": "x@c.example"}
    assert (limits["pair"]["way"], limits["tenant"]["way"]) == ("inbound", "outbound")
    assert limits["tenant"]["key"] == {"sender_domain": "large.example", "rcpt_domain": "c.example"}
    assert (limits["tenant"]["rate"], limits["tenant"]["counts"]) == ("20/1m", "messages")
    assert "tenant" in line_of(yard, limits["tenant"]["at"], 1)
    assert limits["host"]["key"] == {"mx": None} and limits["host"]["needs_host"]
    assert (limits["host"]["concurrency"], limits["host"]["counts"]) == (5, "connections")
    assert limits["far"]["needs_host"]

    shown = yard.with_config("explain", *words).stdout
    assert "lane: large.example, weight 4" in shown
    assert "rate 20/1m; counts messages of sender_domain large.example, rcpt_domain c.example" in shown
    assert "concurrency 5; counts connections of each mx" in shown

    near = explained(yard, *words, "--mx", "near.example", "--client-ip", "2001:db8::1:1", "--helo",
                     "inside.example")["recipients"][0]["limits"]
    assert [(each["name"], each["needs_host"]) for each in near] == [
        ("client", False), ("tenant", False), ("host", False)]
    assert near[0]["key"] == {"remote_ip": "2001:db8::"}
    assert near[2]["key"] == {"mx": "near.example"}
    ours = explained(yard, "--from", "<>", "--source", "dsn", "--to", "x@c.example")["recipients"][0]
    assert {each["way"] for each in ours["limits"]} == {"outbound"}
    local = yard.with_config("explain", "--from", "<>", "--source", "dsn", "--to", "bob@example.org")
    assert "lane: the one that queue local has for all" in local.stdout
    assert "none counts it" in local.stdout


QUOTAS = {
    "queue": {
        "quota": {
            "each-sender": {"key": ["sender"], "messages": 1, "size": "1MiB"},
            "far": {"match": "rcpt_domain == 'hub.example' && size > 1000", "key": ["rcpt_domain"], "messages": 50000},
            "mailbox": {"key": ["rcpt", "sender_domain"], "size": "3KiB"},
            "large": {"match": "size > 1000000", "messages": 10},
            "off": {"enable": False, "messages": 1}},
        "schedule": {"remote": {"retry": ["1h"], "expire": "5d"}}},
}


def test_quotas_are_told_with_their_lines(yard):
    """Q-096: what counts, by which values, for how long, and what is answered."""
    yard.configure(QUOTAS)
    words = ("--from", "A@b.example", "--to", "x@hub.example", "--to", "y@other.example")
    hub, other = (to["quotas"] for to in explained(yard, *words)["recipients"])
    assert [quota["name"] for quota in hub] == ["each-sender", "far", "mailbox"]
    assert [quota["name"] for quota in other] == ["each-sender", "mailbox"]
    sender, far, mailbox = hub
    assert (sender["messages"], sender["size"], sender["counts"]) == (1, 1 << 20, "message")
    assert sender["key"] == {"sender": "a@b.example"} and sender["fits"]
    assert "each-sender" in line_of(yard, sender["at"], 1)
    assert (far["messages"], far["counts"], far["key"]) == (50000, "domain", {"rcpt_domain": "hub.example"})
    assert "size" not in far
    assert (mailbox["counts"], mailbox["key"]) == ("recipient", {"rcpt": "x@hub.example", "sender_domain": "b.example"})
    assert not mailbox["fits"]  # 4 KiB, when nothing else is said
    assert {quota["full"][:9] for quota in hub} == {"452 4.3.1"}

    shown = yard.with_config("explain", *words).stdout
    assert "messages 1, size 1MiB; counts the message, until its last recipient has ended; by sender a@b.example)" in shown
    assert "messages 50000; counts the message once for the domain, " in shown
    assert "for this recipient, until that has ended; by rcpt y@other.example, sender_domain b.example)" in shown
    assert "has no room for this message even when nothing else waits" in shown
    assert "the end of data is answered 452 4.3.1 " in shown
    later = explained(yard, *words, "--attempt", "3")["recipients"][0]["quotas"]
    assert later == hub  # it was asked when the mail came in

    ours = ("--from", "<>", "--source", "dsn", "--to", "x@hub.example")
    assert explained(yard, *ours)["recipients"][0]["quotas"] == []  # reports are not counted
    assert "quota: none counts it" in yard.with_config("explain", *ours).stdout


def test_a_quota_whose_match_gives_no_value_is_left_out(yard):
    """Here a pattern that takes too many steps."""
    yard.configure({"queue": {"quota": {"odd": {"match": "matches('^((a+)+)+@', sender)", "messages": 5}}}})
    words = ("--from", "a" * 60 + "!@b.example", "--to", "x@c.example")
    to = explained(yard, *words)["recipients"][0]
    assert to["quotas"] == [] and to["quota_left_out"] == "odd"
    shown = yard.with_config("explain", *words).stdout
    assert "odd is left out: its match gives no value" in shown


def test_the_answer_that_is_told_is_the_answer_that_is_given(yard, host):
    host.answers("RCPT", "451 4.7.1 Not now")
    limits = {"limiter": {"inbound": {"one": {"match": "sender_domain == 'c.example'", "key": ["sender"],
                                              "rate": "1/1h"}}}}
    yard.relays(("hub.example", host)).configure({"queue": QUOTAS["queue"] | limits})
    yard.start()
    quota = explained(yard, "--from", "a@b.example", "--to", "x@hub.example", "--size", "200")
    limit = explained(yard, "--from", "a@c.example", "--to", "x@hub.example", "--size", "200")
    quota = quota["recipients"][0]["quotas"][0]["full"]
    limit = next(each for each in limit["recipients"][0]["limits"] if each["way"] == "inbound")["full"]
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        for answer in ("250 ", quota):
            client.says("MAIL FROM:<a@b.example>", 250)
            client.says("RCPT TO:<x@hub.example>", 250)
            client.says("DATA", 354)
            assert client.says_any("Subject: x\r\n\r\nx\r\n.").startswith(answer)
        client.says("MAIL FROM:<a@c.example>", 250)
        client.says("RSET", 250)
        assert client.says_any("MAIL FROM:<a@c.example>") == limit


def test_rules_ask_for_local_addresses_and_digests(yard):
    """is_local_address answers what RCPT would; hash what other programs make of the same bytes."""
    (yard.folder / "recipients").write_text("bob@example.org\n")
    (yard.folder / "aliases").write_text("info@example.org: bob@example.org\n")
    digest = hashlib.sha256(b"b.example").hexdigest()
    yard.configure({
        "server": {"local-recipients": str(yard.folder / "recipients"), "aliases": str(yard.folder / "aliases")},
        "queue": {"virtual": {"known": {"concurrency": 5}, "even": {"concurrency": 5}},
                  "schedule": {name: {"queue-name": name, "retry": ["1s"], "expire": "1h"} for name in ("known", "even")},
                  "strategy": {"schedule": [{"if": "is_local_address('*', rcpt)", "use": "known"},
                                            {"if": f"hash(sender_domain, 'sha256') == '{digest}'", "use": "even"},
                                            {"use": "remote"}]}}})
    for sender, to, queue in (("a@b.example", "bob@example.org", "known"),
                              ("a@b.example", "Info@Example.org", "known"),
                              ("a@b.example", "postmaster@example.org", "known"),
                              ("a@b.example", "nobody@example.org", "even"),
                              ("a@b.example", "bob@c.example", "even"),
                              ("a@c.example", "nobody@example.org", "remote")):
        found = explained(yard, "--from", sender, "--to", to)["recipients"][0]
        assert (to, found["queue"]) == (to, queue)
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@b.example>", 250)
        client.says("RCPT TO:<info@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: x\r\n\r\nx\r\n.\r\n")
        client.hears(250)
    assert yard.wait("delivery_done")["queue"] == "known"


def line_of(yard, place, before=0):
    """What stands at a place of the configuration file, or some lines before."""
    line = int(place.rsplit(":", 2)[1])
    return "".join(yard.file.read_text().splitlines()[line - 1 - before:line]).strip()

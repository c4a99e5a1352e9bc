"""`postyard explain`: what the rules say about a message that need not exist (P5)."""

import json
import time

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

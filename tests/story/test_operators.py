"""What operators do: start, stop, ask, look, and try again."""

import json
import threading
import time

from client import Client, sends_mail
from host import silent_port
from yard import PATIENCE, Yard

FOR_AN_HOUR = {"queue": {"schedule": {"remote": {"queue-name": "remote", "retry": ["1h"],
                                                 "expire": "1d"}}}}


def why(yard, identity, reason, seconds=PATIENCE):
    """What `queue why` says as soon as it says `reason` of all recipients."""
    end = time.monotonic() + seconds
    while True:
        answer = yard.with_config("queue", "why", identity, "--json")
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)["recipients"]
        if all(r["wait"]["reason"] == reason for r in found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_sigterm_says_421_to_idle_clients_and_lets_messages_end(yard):
    yard.start()
    idle = Client(yard.port)
    idle.says("EHLO idle.example", 250)
    busy = Client(yard.port)
    busy.says("EHLO busy.example", 250)
    busy.says("MAIL FROM:<a@client.example>", 250)
    busy.says("RCPT TO:<bob@example.org>", 250)
    busy.says("DATA", 354)
    busy.sends(b"Subject: last\r\n\r\nAlmost")

    yard.signal(15)
    idle.hears(421)
    idle.hears_end()
    busy.sends(b" done.\r\n.\r\n")
    identity = busy.hears(250).split()[-1]
    busy.hears(421)
    busy.hears_end()
    assert yard.ended() == 0
    yard.wait("server_stopping")
    yard.wait("server_stopped", code=0)

    yard.start()  # its mail was delivered before the end, or is now
    yard.wait("delivery_done", message=identity)
    assert len(yard.mailbox("bob@example.org")) == 1


def test_sigterm_lets_a_delivery_end(yard, host):
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(10) and "250 2.0.0 taken")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    host.wait_heard("DATA")
    yard.signal(15)
    yard.wait("server_stopping")
    go_on.set()
    assert yard.ended() == 0
    yard.wait("delivery_done", message=identity)
    assert len(host.mail) == 1


def test_a_second_sigterm_ends_at_once_and_loses_nothing(yard, host):
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(20) and "250 2.0.0 taken", times=1)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    host.wait_heard("DATA")
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        yard.signal(15)
        yard.wait("server_stopping")
        yard.signal(15)
        client.hears(421)
    assert yard.ended(10) == 0
    go_on.set()  # the first attempt may have been cut before its last dot: nobody waits any more
    host.recovers()
    yard.start()
    yard.wait("delivery_done", message=identity)


def test_a_second_server_on_the_same_store_names_the_first(yard, tmp_path):
    yard.start()
    second = Yard(tmp_path / "second", {"store": {"path": str(yard.folder / "store")}})
    assert second.start(ready=False).ended() == 1
    failed = second.wait("start_failed", name="store")
    assert str(yard.process.pid) in failed["text"]
    identity = sends_mail(yard, "a@client.example", "bob@example.org")  # the first is unharmed
    yard.wait("delivery_done", message=identity)


def test_an_address_in_use_stops_the_start_and_says_which(yard, tmp_path):
    yard.start()
    second = Yard(tmp_path / "second",
                  {"listeners": {"smtp": {"bind": [f"127.0.0.1:{yard.port}"]}}})
    assert second.start(ready=False).ended() == 1
    assert f"127.0.0.1:{yard.port}" in json.dumps(second.wait("start_failed"))


def test_check_lists_each_mistake_with_its_place(yard):
    yard.file.write_text("server:\n"
                         "  hostnam: mx.example.org\n"
                         "queue:\n"
                         "  schedule:\n"
                         "    remote: { queue-name: remote, retry: [2] }\n"
                         "  strategy:\n"
                         "    route: [ { if: \"rcpt_domian == 'x'\", use: mx }, { use: mx } ]\n")
    told = yard.with_config("check")
    assert told.returncode == 1
    said = told.stdout + told.stderr
    assert f"{yard.file}:2:3: " in said and "hostname" in said
    assert f"{yard.file}:5:" in said
    assert f"{yard.file}:7:" in said and "rcpt_domain" in said
    assert yard.start(ready=False).ended() == 1  # and it does not run with it


def test_check_is_content_with_what_the_manual_shows(yard):
    told = yard.with_config("check")
    assert told.returncode == 0, told.stdout + told.stderr
    assert yard.with_config("check", "--strict").returncode == 1  # there is a warning


def test_the_queue_says_why_mail_waits_and_tries_it_now(yard, host):
    host.answers("RCPT", "450 4.2.0 not now")
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)

    [waits] = why(yard, identity, "not-due")
    assert waits["address"] == "b@hub.example" and waits["queue"] == "remote"
    assert waits["attempts"] == 1
    listed = json.loads(yard.with_config("queue", "list", "--json").stdout)
    assert listed["total"] == 1 and listed["items"][0]["id"] == identity
    nothing = yard.with_config("queue", "list", "--json", "--where", "rcpt_domain == 'x.example'")
    assert json.loads(nothing.stdout)["total"] == 0

    host.recovers()
    assert yard.with_config("queue", "retry", identity).returncode == 0
    yard.wait("delivery_done", message=identity)
    yard.wait("admin_action", name="retry")
    assert len(host.wait_mail(1)) == 1


def test_mail_is_tried_again_by_expression(yard, host):
    host.answers("RCPT", "450 4.2.0 not now")
    yard.configure(FOR_AN_HOUR)
    yard.relays(("hub.example", host), ("other.example", host)).start()
    hub = sends_mail(yard, "a@client.example", "b@hub.example")
    other = sends_mail(yard, "a@client.example", "b@other.example")
    for identity in (hub, other):
        yard.wait("delivery_deferred", message=identity)
        why(yard, identity, "not-due")
    host.recovers()
    told = yard.with_config("queue", "retry", "--where", "rcpt_domain == 'hub.example'")
    assert told.returncode == 0, told.stderr
    yard.wait("delivery_done", message=hub)
    assert why(yard, other, "not-due")
    assert not yard.seen("delivery_done", message=other)


def test_a_destination_that_is_down_rests_and_mail_says_so(yard):
    yard.configure({"queue": {"connection": {"default": {"rest": ["1h"]}}}})
    away = type("Away", (), {"port": silent_port()})
    yard.relays(("hub.example", away)).start()
    for n in range(3):  # so many connections in a row
        identity = sends_mail(yard, "a@client.example", f"b{n}@hub.example")
        yard.wait("delivery_deferred", message=identity)
    yard.wait("site_rests")
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    [waits] = why(yard, identity, "backoff")
    assert waits["wait"]["until"] is not None
    first = waits["wait"]["since"]
    # Something else keeps it from now on: since then, not since it was due (P4).
    assert yard.with_config("queue", "pause", "now", "--all").returncode == 0
    [waits] = why(yard, identity, "paused")
    [pause] = json.loads(yard.with_config("queue", "pauses", "--json").stdout)["items"]
    assert waits["wait"]["since"] == pause["since"] > first


def test_send_follows_its_message_to_the_end(yard, host):
    host.answers("RCPT", "450 4.2.0 not now", times=1)
    yard.relays(("hub.example", host)).start()
    told = yard.with_config("send", "--to", "b@hub.example", "--subject", "hello",
                            "--body", "Hello.", "--follow")
    assert told.returncode == 0, told.stderr
    words = [line.split()[1] for line in told.stdout.splitlines()]
    assert words == ["accepted", "deferred", "delivered"], told.stdout
    [taken] = host.wait_mail(1)
    assert b"\r\nSubject: hello\r\n" in taken.message


def test_send_without_a_server_says_so_with_the_status_for_try_later(yard):
    told = yard.with_config("send", "--to", "bob@example.org", "--body", "Hello.")
    assert told.returncode == 75 and "serve" in told.stderr


def test_sendmail_takes_a_whole_message_from_standard_input(yard):
    yard.start()
    told = yard.command("sendmail", "-C", str(yard.file), "-t", "-i",
                        input="To: bob@example.org\nSubject: cron\n\n.\nDone.\n")
    assert told.returncode == 0, told.stderr
    yard.wait("delivery_done", rcpt="bob@example.org")
    [mail] = yard.mailbox("bob@example.org")
    assert mail.endswith(b"\r\n\r\n.\r\nDone.\r\n")


def test_health_and_metrics_are_there_to_be_read(yard):
    import urllib.request
    yard.start()
    sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done")

    def read(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{yard.admin_port}{path}") as answer:
            assert answer.status == 200
            return answer.read().decode()
    assert read("/healthz")
    assert "# TYPE" in read("/metrics")
    assert 'postyard_loop_long_turns_total{loop="queue",' in read("/metrics")


def test_mail_of_our_own_kinds_comes_through_the_socket_and_has_its_own_queue(yard, host):
    """Sources `report` and `autogenerated`: rules see them at acceptance (PY-01, Q-017), and about
    reports nothing is reported (Q-107)."""
    host.answers("RCPT", "550 5.1.1 no such user", times=1)
    yard.configure({"queue": {
        "virtual": {"report": {"concurrency": 5}, "remote": {}, "local": {}, "dsn": {}},
        "schedule": {"report": {"queue-name": "report", "retry": ["1s"], "expire": "30s"}},
        "strategy": {"schedule": [{"if": "source == 'report' || source == 'autogenerated'",
                                   "use": "report"}, {"use": "remote"}]}}})
    yard.relays(("hub.example", host)).start()
    sent = yard.with_config("send", "--source", "report", "--from", "reports@example.org", "--to",
                            "nobody@hub.example", "--body", "numbers")
    assert sent.returncode == 0, sent.stderr
    failed = yard.wait("delivery_failed", message=sent.stdout.strip())
    assert failed["queue"] == "report"
    yard.wait("double_bounce", message=sent.stdout.strip())
    sent = yard.with_config("send", "--source", "autogenerated", "--from", "", "--to",
                            "a@hub.example", "--to", "b@hub.example", "--body", "gone fishing")
    assert sent.returncode == 0, sent.stderr
    for done in yard.wait("delivery_done", count=2, message=sent.stdout.strip()):
        assert done["queue"] == "report"
    message = host.wait_mail(1)[0].message
    assert b"gone fishing" in message and b"Message-ID:" in message
    assert not yard.seen("report_made")

    wrong = yard.with_config("send", "--source", "dsn", "--to", "a@hub.example", "--body", "x")
    assert wrong.returncode == 1 and "report or autogenerated" in wrong.stderr
    wrong = yard.with_config("send", "--source", "report", "--follow", "--to", "a@hub.example")
    assert wrong.returncode == 64

"""Where mail goes and as whom: several hosts, credentials, addresses to connect from, programs."""

import os

import pytest

from client import sends_mail
from host import Host, silent_port

ANN = {"username": "ann", "secret": "tea for two"}


@pytest.fixture
def closed_host(certificates):
    """Takes mail from ann only, and has a certificate by the story's authority."""
    with Host(certificate=certificates["host"], key=certificates["host_key"],
              accounts={"ann": "tea for two"}) as h:
        yield h


def trusting(certificates):
    return {**os.environ, "SSL_CERT_FILE": str(certificates["ca"])}


@pytest.mark.parametrize("mechanisms, said", [
    (("PLAIN", "LOGIN"), "AUTH PLAIN "),
    (("LOGIN",), "AUTH LOGIN"),
    (("PLAIN", "SCRAM-SHA-256"), "AUTH SCRAM-SHA-256 "),
])
def test_a_relay_learns_who_we_are(yard, closed_host, certificates, mechanisms, said):
    """Q-074: the best mechanism that is offered, over verified TLS."""
    closed_host.mechanisms = mechanisms
    yard.relays(("hub.example", closed_host), auth=ANN).start(env=trusting(certificates))
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    [taken] = closed_host.wait_mail(1)
    assert taken.is_tls and taken.who == "ann"
    assert [line for line in closed_host.heard if line.startswith(said)]
    assert "tea" not in yard.log.read_text()


def test_a_password_that_is_wrong_is_told_once_and_later_again(yard, closed_host, certificates):
    """Q-074: after 535 no other mechanism; the mail waits for somebody to mend it."""
    closed_host.mechanisms = ("PLAIN", "LOGIN")
    yard.relays(("hub.example", closed_host), auth={**ANN, "secret": "coffee"})
    yard.start(env=trusting(certificates))
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    event = yard.wait("delivery_deferred", message=identity)
    assert event["code"] == 535
    assert not [line for line in closed_host.heard if line.startswith("AUTH LOGIN")]
    secret = yard.folder / "secret"
    secret.write_text("tea for two\n")
    yard.relays(("hub.example", closed_host), auth={**ANN, "secret": {"file": str(secret)}})
    yard.with_config("reload")
    yard.wait("delivery_done", message=identity)
    assert closed_host.wait_mail(1)[0].who == "ann"


def test_credentials_never_go_where_the_certificate_is_not_good(yard, closed_host):
    yard.relays(("hub.example", closed_host), auth=ANN).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert yard.wait("delivery_deferred", message=identity)["status"].startswith("4.7.")
    assert not [line for line in closed_host.heard if line.startswith("AUTH")]


def test_credentials_never_go_in_the_clear_unless_they_may(yard):
    with Host(accounts={"ann": "tea for two"}) as host:
        yard.relays(("hub.example", host), auth=ANN).start()
        refused = sends_mail(yard, "a@client.example", "b@hub.example")
        assert yard.wait("delivery_failed", message=refused)["status"] == "5.7.4"
        assert not [line for line in host.heard if line.startswith("AUTH")]
        yard.relays(("hub.example", host), **{"auth": ANN, "allow-plaintext-auth": True})
        yard.with_config("reload")
        taken = sends_mail(yard, "a@client.example", "b@hub.example")
        yard.wait("delivery_done", message=taken)
        assert host.wait_mail(1)[0].who == "ann"


def test_a_relay_of_several_hosts_is_served_by_those_that_are_there(yard, host, another_host):
    """PY-33: by priority, and by chance among equals; one that is away costs no attempt."""
    yard.relays(("hub.example", host), address=None, addresses=[
        {"address": "127.0.0.1", "port": silent_port()},
        {"address": "127.0.0.1", "port": host.port, "priority": 1, "weight": 3},
        {"address": "127.0.0.1", "port": another_host.port, "priority": 1}])
    yard.configure({"queue": {"route": {"to-hub-example": {"address": None, "port": None}},
                              "connection": {"default": {"idle": "0s"}}}}).start()
    for _ in range(40):
        sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", count=40)
    assert not yard.seen("delivery_deferred")
    assert host.mail and another_host.mail


def test_connections_come_from_the_addresses_that_are_configured(yard, host):
    """Q-068: each with its own name."""
    yard.relays(("hub.example", host)).configure({"queue": {
        "connection": {"default": {"source-ips": ["127.0.0.2", "127.0.0.3"], "idle": "0s"}},
        "source-ip": {"127.0.0.2": {"ehlo-hostname": "two.example.org"},
                      "127.0.0.3": {"ehlo-hostname": "three.example.org"}}}}).start()
    for _ in range(30):
        sends_mail(yard, "a@client.example", "b@hub.example")
    assert {(t.client, t.ehlo) for t in host.wait_mail(30)} == {
        ("127.0.0.2", "two.example.org"), ("127.0.0.3", "three.example.org")}


def test_an_address_that_this_machine_lacks_is_told_and_not_replaced(yard, host):
    yard.relays(("hub.example", host)).configure({"queue": {
        "connection": {"default": {"source-ips": ["192.0.2.77"]}}}})
    checked = yard.with_config("check")
    assert checked.returncode == 0 and "192.0.2.77 is no address" in checked.stdout + checked.stderr
    yard.start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert "192.0.2.77" in yard.wait("source_missing")["text"]
    assert yard.wait("delivery_deferred", message=identity)["status"] == "4.3.5"
    assert host.connections == 0


def test_mail_may_go_nowhere(yard, host):
    yard.configure({"queue": {
        "route": {"hole": {"type": "discard"},
                  "no": {"type": "reject", "reply": {"code": 554, "text": "5.7.1 not today"}},
                  "hub": {"type": "relay", "address": "127.0.0.1", "port": host.port}},
        "strategy": {"route": [{"if": "rcpt_domain == 'hole.example'", "use": "hole"},
                               {"if": "rcpt_domain == 'no.example'", "use": "no"},
                               {"use": "hub"}]}}}).start()
    identity = sends_mail(yard, "a@client.example", ["x@hole.example", "y@no.example"])
    assert yard.wait("delivery_done", message=identity)["rcpt"] == "x@hole.example"
    failed = yard.wait("delivery_failed", message=identity)
    assert (failed["rcpt"], failed["code"], failed["status"]) == ("y@no.example", 554, "5.7.1")
    [report] = host.wait_mail(1)
    assert b"not today" in report.message and b"hole.example" not in report.message


def test_a_program_takes_mail(yard, host):
    """It gets each address as one argument, whatever is in it, and its exit says what became of it."""
    program, seen = yard.folder / "take", yard.folder / "seen"
    seen.mkdir(mode=0o777)
    program.write_text(f"""#!/bin/sh
        cat > "{seen}/$1.eml"; printf '%s\\n' "$@" > "{seen}/$1.arguments"
        case $1 in again) test -e {seen}/twice || {{ touch {seen}/twice; echo busy; exit 75; }};; no) echo never; exit 77; esac
    """)
    program.chmod(0o755)
    yard.configure({"queue": {
        "route": {"program": {"type": "local", "deliver": "pipe",
                              "command": [str(program), "${rcpt_local}", "${sender}", "<${rcpt}>"]},
                  "hub": {"type": "relay", "address": "127.0.0.1", "port": host.port}},
        "strategy": {"route": [{"if": "source == 'dsn'", "use": "hub"}, {"use": "program"}]}}})
    yard.start()
    identity = sends_mail(yard, "a@client.example",
                          ["$reboot`id`@pipe.example", "again@pipe.example", "no@pipe.example"])
    deferred = yard.wait("delivery_deferred", message=identity)
    assert deferred["rcpt"] == "again@pipe.example" and "busy" in deferred["text"]
    failed = yard.wait("delivery_failed", message=identity)
    assert (failed["rcpt"], failed["status"]) == ("no@pipe.example", "5.7.0")
    yard.wait("delivery_done", message=identity, count=2)
    assert (seen / "$reboot`id`.arguments").read_text().split("\n")[:3] == [
        "$reboot`id`", "a@client.example", "<$reboot`id`@pipe.example>"]
    letter = (seen / "again.eml").read_bytes()
    assert letter.startswith(b"Return-Path: <a@client.example>\r\nDelivered-To: again@pipe.example\r\n")
    assert letter.endswith(b"\r\nHello.\r\n")
    [report] = host.wait_mail(1)
    assert b"EX_NOPERM" in report.message and b"never" in report.message


def test_a_program_that_is_not_there_is_told_by_check_and_tried_again(yard):
    yard.configure({"queue": {
        "route": {"program": {"type": "local", "deliver": "pipe", "command": ["/no/such/program"]}},
        "strategy": {"route": [{"use": "program"}]}}})
    checked = yard.with_config("check")
    assert "/no/such/program is no program" in checked.stdout + checked.stderr
    yard.start()
    identity = sends_mail(yard, "a@client.example", "b@pipe.example")
    assert "could not be run" in yard.wait("delivery_deferred", message=identity)["text"]


def test_a_program_that_does_not_end_is_ended(yard):
    yard.configure({"queue": {
        "route": {"program": {"type": "local", "deliver": "pipe", "command-timeout": "1s",
                              "command": ["/bin/sleep", "1000"]}},
        "strategy": {"route": [{"use": "program"}]}}}).start()
    identity = sends_mail(yard, "a@client.example", "b@pipe.example")
    assert "too long" in yard.wait("delivery_deferred", message=identity)["text"]


def test_one_message_goes_six_ways_and_each_end_is_told_once(yard, host, another_host, certificates):
    """Queue, route, connection and TLS are chosen for each recipient, and so is what becomes of it (PY-04, PY-07)."""
    with Host(certificate=certificates["host"], key=certificates["host_key"]) as closed:
        relay = {"type": "relay", "address": "127.0.0.1"}
        yard.configure({"queue": {
            "virtual": {"slow": {"concurrency": 1}},
            "schedule": {"slow": {"queue-name": "slow", "retry": ["1s"], "expire": "30s"}},
            "route": {"plain": {**relay, "port": host.port},
                      "closed": {**relay, "port": closed.port},
                      "other": {**relay, "port": another_host.port},
                      "program": {"type": "local", "deliver": "pipe",
                                  "command": ["/bin/sh", "-c", "echo gone away; exit 67"]},
                      "no": {"type": "reject", "reply": {"text": "5.7.1 not today"}}},
            "connection": {"second": {"source-ips": ["127.0.0.2"]}},
            "tls": {"must": {"starttls": "require", "allow-invalid-certs": True}},
            "strategy": {
                "schedule": [{"if": "rcpt_domain == 'other.example'", "use": "slow"},
                             {"if": "source == 'dsn'", "use": "dsn"}, {"use": "remote"}],
                "route": [{"if": f"rcpt_domain == '{name}.example'", "use": name}
                          for name in ("closed", "other", "program", "no")]
                + [{"if": "rcpt_domain == 'example.org'", "use": "local"}, {"use": "plain"}],
                "connection": [{"if": "rcpt_domain == 'other.example'", "use": "second"},
                               {"use": "default"}],
                "tls": [{"if": "rcpt_domain == 'closed.example'", "use": "must"},
                        {"use": "default"}]}}}).start()
        another_host.answers("RCPT", "450 4.2.0 not now", times=1)
        identity = sends_mail(yard, "a@client.example",
                              [f"x@{name}.example" for name in ("plain", "closed", "other",
                                                                "program", "no")]
                              + ["bob@example.org"])
        done = {e["rcpt"] for e in yard.wait("delivery_done", message=identity, count=4)}
        failed = {e["rcpt"]: e["status"]
                  for e in yard.wait("delivery_failed", message=identity, count=2)}
        assert done == {"x@plain.example", "x@closed.example", "x@other.example", "bob@example.org"}
        assert failed == {"x@program.example": "5.1.1", "x@no.example": "5.7.1"}
        [deferred] = yard.seen("delivery_deferred", message=identity)
        assert (deferred["rcpt"], deferred["queue"]) == ("x@other.example", "slow")

        assert closed.wait_mail(1)[0].is_tls and another_host.wait_mail(1)[0].client == "127.0.0.2"
        assert len(yard.mailbox("bob@example.org")) == 1
        told, count = b"", 1
        while told.count(b"Final-Recipient:") < 2:
            count += 1
            told = b"".join(mail.message for mail in host.wait_mail(count) if mail.sender == "")
        for name in ("plain", "closed", "other", "program", "no"):
            assert told.count(f"Final-Recipient: rfc822;x@{name}.example".encode()) == (
                name in ("program", "no"))

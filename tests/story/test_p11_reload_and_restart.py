"""P11. Reload and restart are quiet: a reload drops no session and no delivery."""

import socket
import threading

import pytest
from client import Client, sends_mail


def test_a_reload_in_the_middle_of_a_message_drops_neither_session_nor_delivery(yard, host):
    go_on = threading.Event()
    host.answers("DOT", lambda line: go_on.wait(20) and "250 2.0.0 taken", times=1)
    yard.relays(("hub.example", host)).start()
    outbound = sends_mail(yard, "a@client.example", "b@hub.example")
    host.wait_heard("DATA")  # a delivery hangs before its last reply

    with Client(yard.port) as client:  # and a client is in the middle of its message
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: half\r\n\r\nThe first half,")

        yard.configure({"server": {"limits": {"message-size": "2MiB"}}})
        told = yard.with_config("reload")
        assert told.returncode == 0, told.stderr
        yard.wait("server_reloaded", config=2)

        client.sends(b" the second half.\r\n.\r\n")
        inbound = client.hears(250).split()[-1]
        client.says("MAIL FROM:<a@client.example> SIZE=3000000", 552)  # the newest, at each MAIL
        client.quits()

    yard.wait("delivery_done", message=inbound, rcpt="bob@example.org")
    go_on.set()
    yard.wait("delivery_done", message=outbound, rcpt="b@hub.example")
    assert host.connections == 1 and len(host.mail) == 1
    assert not yard.seen("connection_failed")


def test_a_reload_holds_for_mail_that_waits(yard, host, another_host):
    """Its route was the wrong one: the next attempt takes the new one."""
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)
    yard.relays(("hub.example", another_host))
    assert yard.with_config("reload").returncode == 0
    yard.wait("delivery_done", message=identity)
    assert len(another_host.wait_mail(1)) == 1 and not host.mail


def test_a_reload_with_a_mistake_says_where_and_changes_nothing(yard):
    yard.start()
    before = yard.file.read_text()
    yard.configure({"server": {"limits": {"recipients": "many"}}})
    line = next(n for n, text in enumerate(yard.file.read_text().splitlines(), 1)
                if '"recipients"' in text)

    told = yard.with_config("reload")
    assert told.returncode == 1
    assert f":{line}:" in told.stdout + told.stderr
    yard.wait("reload_failed")
    assert not yard.seen("server_reloaded")

    yard.file.write_text(before)
    identity = sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done", message=identity)


def test_sighup_reloads_too(yard):
    import signal
    yard.start()
    yard.signal(signal.SIGHUP)
    yard.wait("server_reloaded", config=2)


def test_a_listener_that_a_reload_takes_away_finishes_its_sessions(yard):
    from ports import free_port
    other = free_port()
    yard.configure({"listeners": {"more": {"bind": [f"127.0.0.1:{other}"]}}}).start()
    with Client(other) as client:
        client.says("EHLO client.example", 250)
        yard.configure({"listeners": {"more": None}})
        assert yard.with_config("reload").returncode == 0
        yard.wait("listener_closed", listener="more")
        client.sends_mail("a@client.example", "bob@example.org", "Subject: last\r\n\r\nLast.\r\n")
        client.quits()
    try:
        Client(other)
    except ConnectionRefusedError:
        return
    raise AssertionError("the listener still listens")


def test_queued_mail_is_there_after_a_restart(yard, host):
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    identities = [sends_mail(yard, "a@client.example", f"b{n}@hub.example") for n in range(5)]
    for identity in identities:
        yard.wait("delivery_deferred", message=identity)
    assert yard.stop() == 0
    yard.wait("server_stopped")

    host.recovers()
    since = yard.mark()
    yard.start()
    assert yard.wait("queue_loaded", since=since)["count"] == 5
    for identity in identities:
        yard.wait("delivery_done", since=since, message=identity)
    assert len(host.wait_mail(5)) == 5


@pytest.mark.parametrize("what", ["admin", "listeners"])
def test_a_port_that_somebody_else_has_ends_the_start_with_a_word(yard, what):
    with socket.create_server(("127.0.0.1", {"admin": yard.admin_port, "listeners": yard.port}[what])):
        yard.start(ready=False)
        said = yard.wait("start_failed", name=what)
        assert "Address already in use" in said["text"]
        assert yard.ended() == 1

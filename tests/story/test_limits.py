"""Sizes, numbers, disk and descriptors: what is too much gets an answer, and the rest goes on."""

import re
import resource

from client import Client, sends_mail


def test_a_message_in_chunks_arrives_as_it_was(yard, host):
    yard.relays(("hub.example", host)).start()
    message = b"Subject: chunks\r\nFrom: a@client.example\r\n\r\n.dot\r\n" + b"x" * 998 + b"\r\n" + b"more\r\n" * 400
    with Client(yard.port) as client:
        assert "CHUNKING" in client.says("EHLO client.example", 250).split()
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<b@hub.example>", 250)
        for start in range(0, len(message), 1000):
            chunk = message[start:start + 1000]
            client.sends(b"BDAT %d\r\n" % len(chunk) + chunk)
            client.hears(250)
        identity = client.says("BDAT 0 LAST", 250).split()[-1]
        client.quits()
    yard.wait("delivery_done", message=identity)
    assert host.wait_mail(1)[0].message.endswith(message[message.index(b"From:"):])


def test_chunks_and_data_do_not_mix(yard):
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.sends(b"BDAT 4\r\nabcd")
        client.hears(250)
        client.says("DATA", 503)
        client.says("RSET", 250)


def test_a_message_that_is_too_large_is_refused_by_its_announced_size_and_by_its_bytes(yard):
    yard.configure({"server": {"limits": {"message-size": "64KiB"}}}).start()
    with Client(yard.port) as client:
        assert "SIZE 65536" in client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example> SIZE=65537", 552)
        client.says("MAIL FROM:<a@client.example> SIZE=65536", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: big\r\n\r\n" + b"0123456789\r\n" * 10_000 + b".\r\n")
        client.hears(552)
        identity = client.sends_mail("a@client.example", "bob@example.org",
                                     "Subject: small\r\n\r\nSmall.\r\n")
        client.quits()
    yard.wait("message_refused", code=552)
    yard.wait("delivery_done", message=identity)
    assert len(yard.mailbox("bob@example.org")) == 1


def test_recipients_beyond_the_limit_come_in_another_transaction(yard):
    """Q-010."""
    yard.configure({"server": {"limits": {"recipients": 100}}}).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        for n in range(100):
            client.says(f"RCPT TO:<bob{n}@example.org>", 250)
        assert client.says("RCPT TO:<one-more@example.org>", 452).startswith("4.5.3 ")
        client.says("DATA", 354)
        client.sends(b"Subject: many\r\n\r\nMany.\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    yard.wait("delivery_done", count=100, message=identity)


def test_a_message_that_goes_in_circles_is_refused(yard):
    """Q-008, for good: a loop does not end by waiting."""
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 51 +
                     b"Subject: round\r\n\r\nRound.\r\n.\r\n")
        assert client.hears(554).startswith("5.4.6 ")


def test_a_full_disk_puts_mail_off_and_keeps_what_is_there(yard, host):
    host.answers("RCPT", "450 4.2.0 not now")
    yard.relays(("hub.example", host)).start()
    before = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=before)
    yard.stop()

    since = yard.mark()
    yard.configure({"store": {"min-free": "900TiB"}}).start()
    yard.wait("store_low", since=since)
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        assert client.says("MAIL FROM:<a@client.example>", 452).startswith("4.3.1 ")
        client.says("NOOP", 250)
    host.recovers()
    yard.wait("delivery_done", since=since, message=before)


def test_a_disk_that_fills_up_loses_nothing_that_was_answered_250(yard, host, tmp_path):
    """A real one, of twelve megabytes."""
    import subprocess
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], check=True)
    try:
        host.answers("RCPT", "450 4.2.0 not now")
        yard.configure({"store": {"path": str(disk / "store"), "min-free": "2MiB"}})
        yard.relays(("hub.example", host)).start()
        accepted, refused = [], 0
        text = "Subject: fill\r\n\r\n" + "0123456789abcdef\r\n" * 12_000
        with Client(yard.port) as client:
            client.says("EHLO client.example", 250)
            for n in range(100):
                client.sends(b"MAIL FROM:<a@client.example>\r\n")
                answer = client.file.readline()
                if answer.startswith(b"452"):
                    refused += 1
                    break
                assert answer.startswith(b"250"), answer
                client.says(f"RCPT TO:<b{n}@hub.example>", 250)
                client.says("DATA", 354)
                client.sends(text.encode() + b".\r\n")
                answer = client.file.readline()
                if answer.startswith(b"250"):
                    accepted.append(f"b{n}@hub.example")
                else:
                    assert re.match(rb"45[12] ", answer), answer
                    refused += 1
                    break
        assert refused and accepted
        host.recovers()
        host.wait_mail(len(accepted), seconds=60)
        yard.wait("delivery_done", count=len(accepted))
        assert sorted(r for t in host.mail for r in t.recipients) == sorted(accepted)
        assert yard.stop() == 0
    finally:
        yard.close()
        subprocess.run(["umount", str(disk)], check=True)


def test_more_clients_than_descriptors_lose_no_mail(yard):
    """EMFILE: what there are descriptors for is served, the others wait or are told to come later."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    yard.start(preexec_fn=few)
    kept = sends_mail(yard, "a@client.example", "bob@example.org")
    clients = [Client(yard.port, greeting=None) for _ in range(150)]
    try:
        assert yard.wait_any("session_refused", "listener_rests")
        clients[0].hears(220)
        during = clients[0]
        during.says("EHLO client.example", 250)
        answer = during.says_any("MAIL FROM:<a@client.example>")
        assert answer[:3] in ("250", "452", "451"), answer
    finally:
        for client in clients:
            client.close()
    afterwards = sends_mail(yard, "a@client.example", "bob@example.org")
    for identity in (kept, afterwards):
        yard.wait("delivery_done", message=identity)
    assert yard.stop() == 0


def test_sessions_beyond_the_limit_are_told_to_come_later(yard):
    yard.configure({"server": {"limits": {"sessions": 3}}}).start()
    clients = [Client(yard.port) for _ in range(3)]
    with Client(yard.port, greeting=421) as late:
        late.hears_end()
    yard.wait("session_refused", code=421)
    clients.pop().quits()
    identity = sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done", message=identity)
    for client in clients:
        client.close()

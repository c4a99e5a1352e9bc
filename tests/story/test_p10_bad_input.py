"""P10. Bad input gets a clear answer, and nothing is lost."""

import pytest

from client import Client, sends_mail

ANSWERS = [  # what a client says after EHLO, and the answer
    ("FROBNICATE", 500, "an unknown command"),
    ("MAIL", 501, "a command without its argument"),
    ("MAIL FROM:a@client.example", 501, "a path without brackets"),
    ("MAIL FROM:<a@client.example", 501, "a path without its end"),
    ("MAIL FROM:<a b@client.example>", 501, "a blank in a path"),
    ("MAIL FROM:<a@client.example> SIZE=many", 501, "a number that is none"),
    ("MAIL FROM:<a@client.example> FROB=1", 555, "an unknown parameter (RFC 5321 4.1.1.11)"),
    ("RCPT TO:<bob@example.org>", 503, "RCPT before MAIL"),
    ("DATA", 503, "DATA before MAIL"),
    ("AUTH PLAIN AGEAYg==", 502, "a command that is not offered"),
    ("VRFY bob", 252, "a question we do not answer"),
    ("\xff\xfe\xfd", 500, "no command at all"),
]


@pytest.mark.parametrize("line,code,what", ANSWERS, ids=[a[2] for a in ANSWERS])
def test_a_client_hears_what_was_wrong_and_may_go_on(yard, line, code, what):
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.sends(line.encode("latin-1") + b"\r\n")
        client.hears(code)
        client.says("RSET", 250)
        identity = client.sends_mail("a@client.example", "bob@example.org",
                                     "Subject: still here\r\n\r\nYes.\r\n")
        client.quits()
    yard.wait("delivery_done", message=identity)


def test_a_line_without_end_is_refused_and_not_kept(yard):
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.sends(b"NOOP " + b"x" * 100_000 + b"\r\n")
        client.hears(500)
        client.says("NOOP", 250)


def test_after_a_chunk_of_unknown_size_nothing_can_be_understood(yard):
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("BDAT ten", 501)
        client.hears_end()


def test_a_bare_newline_does_not_end_a_message(yard):
    """SMTP smuggling: two messages for one of us, one for the other."""
    yard.start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: one\r\n\r\nOne.\n.\nMAIL FROM:<x@y.example>\r\n"
                     b"RCPT TO:<bob@example.org>\r\nDATA\r\nSubject: two\r\n\r\nTwo.\r\n.\r\n")
        client.hears(550)
        client.says("NOOP", 250)
    yard.wait("message_refused")
    assert not yard.seen("message_accepted")


def test_what_came_before_a_lost_connection_is_kept_and_the_rest_is_not(yard):
    yard.start()
    client = Client(yard.port)
    client.says("EHLO client.example", 250)
    kept = client.sends_mail("a@client.example", "bob@example.org", "Subject: one\r\n\r\nOne.\r\n")
    client.says("MAIL FROM:<a@client.example>", 250)
    client.says("RCPT TO:<bob@example.org>", 250)
    client.says("DATA", 354)
    client.sends(b"Subject: two\r\n\r\nTw")
    client.close()
    yard.wait("session_closed", count=1)
    yard.wait("delivery_done", message=kept)
    assert len(yard.mailbox("bob@example.org")) == 1


def test_a_client_that_says_nothing_is_told_so_and_left(yard):
    yard.configure({"server": {"limits": {"idle": "1s", "data": "1s"}}}).start()
    with Client(yard.port) as idle, Client(yard.port) as stuck:
        stuck.says("EHLO client.example", 250)
        stuck.says("MAIL FROM:<a@client.example>", 250)
        stuck.says("RCPT TO:<bob@example.org>", 250)
        stuck.says("DATA", 354)
        stuck.sends(b"Subject: and then")
        for client in (idle, stuck):
            client.hears(421)
            client.hears_end()
    assert not yard.seen("message_accepted")


def test_a_whole_session_at_once_is_answered_line_by_line(yard):
    yard.start()
    with Client(yard.port, greeting=None) as client:
        client.sends(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"
                     b"RCPT TO:<bob@example.org>\r\nDATA\r\nSubject: all\r\n\r\nAt once.\r\n.\r\n"
                     b"NONSENSE\r\nQUIT\r\n")
        for code in (220, 250, 250, 250, 354, 250, 500, 221):
            client.hears(code)
        client.hears_end()
    yard.wait("delivery_done", rcpt="bob@example.org")


NONSENSE = [
    ("CONNECT", "hello there"), ("CONNECT", "999 what"), ("EHLO", "25"), ("EHLO", "250-never\r\n251 x"),
    ("MAIL", "2xx yes"), ("RCPT", "\x00\x01\x02"), ("DATA", "250 not 354"), ("DOT", "354 again?"),
    ("DOT", "abc"), ("CONNECT", None), ("EHLO", None), ("RCPT", None), ("DATA", None), ("DOT", None),
]


@pytest.mark.parametrize("command,answer", NONSENSE)
def test_a_host_that_talks_nonsense_gets_the_mail_when_it_talks_sense(yard, host, command, answer):
    host.answers(command, answer, times=1)
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert len(host.wait_mail(1)) == 1

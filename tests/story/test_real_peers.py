"""Postyard among the mail servers and programs that people run."""

import re
import subprocess

import pytest

from client import Client, sends_mail, stuffed
from peers.dovecot import Dovecot
from peers.exim import Exim
from peers.postfix import Postfix

LETTER = (b"From: a@client.example\r\nTo: b@there.example\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n"
          b"Message-ID: <1@client.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
          b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
          b"Content-Transfer-Encoding: 8bit\r\n\r\n"
          b".one dot\r\n..two dots\r\nGr\xc3\xbc\xc3\x9fe\r\n" + b"x" * 998 + b"\r\n\r\n\r\nend\r\n")


@pytest.fixture
def postfix():
    with Postfix() as p:
        yield p


@pytest.fixture
def exim():
    with Exim() as p:
        yield p


@pytest.fixture
def dovecot():
    with Dovecot() as p:
        yield p


def gives(port, recipients, letter=LETTER, sender="a@client.example", words=" BODY=8BITMIME"):
    """The letter to any server; each waits for its replies."""
    with Client(port) as client:
        client.says("EHLO client.example", 250)
        client.says(f"MAIL FROM:<{sender}>{words}", 250)
        for recipient in recipients:
            client.says(f"RCPT TO:<{recipient}>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(letter))
        client.hears(250)
        client.says("QUIT", 221)


def body_of(mail):
    return mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


BODY = LETTER.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


# ---- next hop ----

def test_postfix_takes_what_we_send(yard, postfix):
    postfix.start()
    yard.relays(("postfix.test", postfix)).start()
    identity = sends_mail(yard, "a@client.example", [f"b{n}@postfix.test" for n in range(5)],
                          LETTER, mail_words=" BODY=8BITMIME")
    yard.wait("delivery_done", count=5, message=identity)
    found = postfix.wait_mail(5)
    assert all(body_of(mail) == BODY for mail in found)
    assert {re.search(rb"Delivered-To: (\S+)", mail)[1] for mail in found} == \
        {b"b%d@postfix.test" % n for n in range(5)}


def test_exim_takes_what_we_send(yard, exim):
    exim.start()
    yard.relays(("exim.test", exim)).start()
    identities = [sends_mail(yard, "a@client.example", "b@exim.test", LETTER,
                             mail_words=" BODY=8BITMIME") for _ in range(5)]
    for identity in identities:
        yard.wait("delivery_done", message=identity)
    found = exim.wait_mail(5)
    assert all(body_of(mail) == BODY for mail in found)
    assert {re.search(rb"id ([0-9a-f]{16})", mail)[1].decode() for mail in found} == \
        set(identities)


def test_postfix_takes_addresses_in_utf8(yard, postfix):
    postfix.start()
    yard.relays(("postfix.test", postfix)).start()
    identity = sends_mail(yard, "ana.lópez@client.example", "почта@postfix.test",
                          "Subject: Grüße\r\n\r\nyes\r\n", mail_words=" BODY=8BITMIME SMTPUTF8")
    yard.wait("delivery_done", message=identity)
    [mail] = postfix.wait_mail(1)
    assert "Delivered-To: почта@postfix.test".encode() in mail
    assert "\nSubject: Grüße\n".encode() in mail


def test_what_postfix_refuses_comes_back_to_its_sender(yard, postfix):
    postfix.start(virtual_mailbox_maps="inline:{{b@postfix.test=all/}}",
                  smtpd_reject_unlisted_recipient="yes")
    yard.relays(("postfix.test", postfix)).start()
    identity = sends_mail(yard, "bob@example.org", ["nobody@postfix.test", "b@postfix.test"],
                          LETTER, mail_words=" BODY=8BITMIME")
    yard.wait("delivery_done", message=identity, rcpt="b@postfix.test")
    failed = yard.wait("delivery_failed", message=identity, rcpt="nobody@postfix.test")
    assert (failed["code"], failed["status"]) == (550, "5.1.1")
    made = yard.wait("report_made", name=identity)
    yard.wait("delivery_done", message=made["message"], rcpt="bob@example.org")
    assert len(postfix.wait_mail(1)) == 1


def test_dovecot_takes_mail_for_its_users_and_no_other(yard, dovecot):
    dovecot.start(users=("alice@example.org", "bob@example.org", "admin@example.org"))
    yard.configure({"queue": {"route": {"local": {
        "type": "local", "deliver": "lmtp", "address": "127.0.0.1", "port": dovecot.port,
        "path": None}}}}).start()
    identity = sends_mail(yard, "admin@example.org",
                          ["alice@example.org", "nobody@example.org", "bob@example.org"], LETTER,
                          mail_words=" BODY=8BITMIME")
    yard.wait("delivery_done", count=2, message=identity)
    failed = yard.wait("delivery_failed", message=identity, rcpt="nobody@example.org")
    assert failed["code"] == 550
    for user in ("alice", "bob"):
        [mail] = dovecot.wait_mail(1, where=f"mail/{user}@example.org")
        assert body_of(mail) == BODY
    [report] = dovecot.wait_mail(1, where="mail/admin@example.org")
    assert b"nobody@example.org" in report


# ---- client ----

def test_postfix_gives_us_mail(yard, postfix):
    yard.start()
    postfix.start(relayhost=f"[127.0.0.1]:{yard.port}")
    gives(postfix.port, ["bob@example.org", "carol@example.org"])
    yard.wait("delivery_done", count=2)
    assert yard.wait("message_accepted")["helo"] == "postfix.test"
    for user in ("bob", "carol"):
        [mail] = yard.mailbox(f"{user}@example.org")
        assert body_of(mail) == BODY


def test_exim_learns_who_we_are(yard, exim):
    """Without credentials it takes nothing, with wrong ones neither; its PLAIN and its LOGIN say yes to us."""
    exim.start(user="ann", secret="tea for two")
    ways = {"no": {}, "bad": {"auth": {"username": "ann", "secret": "coffee"}},
            "good": {"auth": {"username": "ann", "secret": "tea for two"}}}
    yard.configure({"queue": {
        "route": {name: {"type": "relay", "address": "127.0.0.1", "port": exim.port,
                         **({"allow-plaintext-auth": True} if way else {}), **way}
                  for name, way in ways.items()},
        "strategy": {"route": [{"if": "sender == 'no@client.example'", "use": "no"},
                               {"if": "sender == 'bad@client.example'", "use": "bad"},
                               {"use": "good"}]}}}).start()
    bad = sends_mail(yard, "bad@client.example", "b@exim.test")
    assert yard.wait("delivery_deferred", message=bad)["code"] == 535
    no = sends_mail(yard, "no@client.example", "b@exim.test")
    assert yard.wait("delivery_failed", message=no)["code"] == 550
    good = sends_mail(yard, "a@client.example", "b@exim.test")
    yard.wait("delivery_done", message=good)
    exim.wait_mail(1)
    assert "A=plain:ann" in exim.said()


def test_exim_gives_us_mail(yard, exim):
    yard.start()
    exim.start(relayport=yard.port)
    gives(exim.port, ["bob@example.org", "carol@example.org"])
    yard.wait("delivery_done", count=2)
    assert yard.wait("message_accepted")["helo"] == "exim.test"
    for user in ("bob", "carol"):
        [mail] = yard.mailbox(f"{user}@example.org")
        assert body_of(mail) == BODY


def test_postfix_encrypts_when_we_offer_it(yard, postfix, certificates):
    yard.configure({"server": {"tls": {"certificate": str(certificates["mx"]),
                                       "key": str(certificates["mx_key"])}}}).start()
    postfix.start(relayhost=f"[127.0.0.1]:{yard.port}")
    gives(postfix.port, ["bob@example.org"])
    yard.wait("session_tls")
    yard.wait("delivery_done", rcpt="bob@example.org")


def test_postfix_waits_while_we_are_down_and_then_comes(yard, postfix):
    postfix.start(relayhost=f"[127.0.0.1]:{yard.port}")
    gives(postfix.port, ["bob@example.org"])
    yard.start()
    yard.wait("delivery_done", rcpt="bob@example.org", seconds=40)
    assert len(yard.mailbox("bob@example.org")) == 1


def test_mail_goes_through_us_from_one_to_the_other(yard, postfix, exim):
    """Postfix gives it to us, we give it to Exim, Exim puts it into a mailbox."""
    exim.start()
    yard.relays(("exim.test", exim)).start()
    postfix.start(relayhost=f"[127.0.0.1]:{yard.port}")
    for n in range(10):
        gives(postfix.port, [f"b{n}@exim.test"])
    found = exim.wait_mail(10)
    assert all(body_of(mail) == BODY for mail in found)
    yard.wait("delivery_done", count=10)


def test_smtp_source_sends_a_thousand_messages_over_many_connections(yard, postfix, host):
    yard.relays(("hub.example", host)).start()
    told = subprocess.run(
        ["chroot", str(postfix.root), "/usr/sbin/smtp-source", "-s", "20", "-m", "1000",
         "-l", "2000", "-N", "-f", "a@client.example", "-t", "b@hub.example",
         f"inet:127.0.0.1:{yard.port}"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    yard.wait("message_accepted", count=1000)
    yard.wait("delivery_done", count=1000, seconds=60)
    assert len(host.wait_mail(1000)) == 1000


def test_swaks_encrypts_pipelines_and_sends(yard, certificates):
    yard.configure({"server": {"tls": {"certificate": str(certificates["mx"]),
                                       "key": str(certificates["mx_key"])}}}).start()
    told = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{yard.port}", "--tls", "--pipeline",
         "--from", "a@client.example", "--to", "bob@example.org,carol@example.org",
         "--body", ".dot\nend"], capture_output=True, text=True, timeout=30)
    assert told.returncode == 0, told.stdout
    yard.wait("session_tls")
    yard.wait("delivery_done", count=2)


def test_msmtp_sends(yard):
    yard.start()
    told = subprocess.run(
        ["msmtp", "--host=127.0.0.1", f"--port={yard.port}", "--from=a@client.example",
         "--file=/dev/null", "--protocol=smtp", "bob@example.org"],
        input="To: bob@example.org\nSubject: hello\n\n.dot\nend\n", capture_output=True, text=True,
        timeout=30)
    assert told.returncode == 0, told.stderr
    yard.wait("delivery_done", rcpt="bob@example.org")
    [mail] = yard.mailbox("bob@example.org")
    assert mail.endswith(b"\r\n\r\n.dot\r\nend\r\n")

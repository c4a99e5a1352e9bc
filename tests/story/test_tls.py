"""STARTTLS, coming in and going out."""

import os

import pytest

from client import Client, sends_mail
from host import Host
from sink import Sink


@pytest.fixture
def tls_host(certificates):
    with Host(certificate=certificates["host"], key=certificates["host_key"]) as h:
        yield h


def test_a_client_may_encrypt(yard, certificates):
    yard.configure({"server": {"tls": {"certificate": str(certificates["mx"]),
                                       "key": str(certificates["mx_key"])}}}).start()
    with Client(yard.port) as client:
        assert "STARTTLS" in client.says("EHLO client.example", 250).split()
        client.starts_tls(trust=certificates["ca"])
        assert "STARTTLS" not in client.says("EHLO client.example", 250).split()
        identity = client.sends_mail("a@client.example", "bob@example.org",
                                     "Subject: closed\r\n\r\nClosed.\r\n")
        client.quits()
    assert yard.wait("session_tls")["tls"].startswith("TLSv1.")
    yard.wait("delivery_done", message=identity)
    [mail] = yard.mailbox("bob@example.org")
    assert b"with ESMTPS" in mail  # RFC 3848


def test_without_a_certificate_it_is_not_offered(yard):
    yard.start()
    with Client(yard.port) as client:
        assert "STARTTLS" not in client.says("EHLO client.example", 250).split()
        client.says("STARTTLS", 502)
        client.says("NOOP", 250)


def test_commands_sent_along_with_starttls_are_not_obeyed(yard, certificates):
    """RFC 3207 section 4.2: what a stranger has put behind STARTTLS must not count as encrypted."""
    yard.configure({"server": {"tls": {"certificate": str(certificates["mx"]),
                                       "key": str(certificates["mx_key"])}}}).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.sends(b"STARTTLS\r\nMAIL FROM:<evil@client.example>\r\n")
        client.hears(501)
    assert not yard.seen("session_tls")


def test_a_handshake_that_fails_ends_that_session_only(yard, certificates):
    yard.configure({"server": {"tls": {"certificate": str(certificates["mx"]),
                                       "key": str(certificates["mx_key"])}}}).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("STARTTLS", 220)
        client.sends(b"MAIL FROM:<a@client.example>\r\n")
        yard.wait("session_tls_failed")
    identity = sends_mail(yard, "a@client.example", "bob@example.org")
    yard.wait("delivery_done", message=identity)


def test_mail_goes_out_encrypted_where_it_can(yard, tls_host):
    """Nobody has asked for more: a certificate that cannot be verified will do."""
    yard.relays(("hub.example", tls_host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    [taken] = tls_host.wait_mail(1)
    assert taken.is_tls


def test_where_tls_is_required_a_host_without_it_gets_nothing(yard, host):
    """P8: never in the clear. That will not change by waiting, so the sender hears of it now."""
    yard.configure({"queue": {"tls": {"default": {"starttls": "require"}}}})
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert yard.wait("delivery_failed", message=identity)["status"] == "5.7.4"
    assert not host.mail and not any(line.startswith("MAIL") for line in host.heard)


def test_where_tls_is_required_an_unknown_authority_will_not_do(yard, tls_host):
    yard.configure({"queue": {"tls": {"default": {"starttls": "require"}}}})
    yard.relays(("hub.example", tls_host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)
    assert not tls_host.mail and not any(line.startswith("MAIL") for line in tls_host.heard)


def test_where_tls_is_required_a_verified_host_gets_it(yard, tls_host, certificates):
    yard.configure({"queue": {"tls": {"default": {"starttls": "require"}}}})
    yard.relays(("hub.example", tls_host))
    yard.start(env={**os.environ, "SSL_CERT_FILE": str(certificates["ca"])})
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert tls_host.wait_mail(1)[0].is_tls


def test_a_host_whose_tls_is_broken_gets_it_in_the_clear_if_nobody_minds(yard, host):
    host.words = (*host.words, "STARTTLS")  # and speaks none: it answers 500
    yard.relays(("hub.example", host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert not host.wait_mail(1)[0].is_tls


def test_mail_is_never_sent_over_a_connection_with_less_than_it_wants(yard, tls_host):
    """Two messages for one host, one of which must have verified TLS: the other's connection stays its own."""
    yard.configure({"queue": {
        "tls": {"default": {}, "strict": {"starttls": "require"}},
        "strategy": {"tls": [{"if": "sender_domain == 'strict.example'", "use": "strict"},
                             {"use": "default"}]}}})
    yard.relays(("hub.example", tls_host)).start()
    # Several: connections are kept for each thread, and each shall have one to be tempted by.
    for _ in range(8):
        yard.wait("delivery_done", message=sends_mail(yard, "a@client.example", "b@hub.example"))
    for _ in range(4):
        sends_mail(yard, "a@strict.example", "b@hub.example")
    yard.wait("delivery_deferred", count=3, sender="a@strict.example")
    assert {t.sender for t in tls_host.mail} == {"a@client.example"}


# ---- what is done where less is asked than verified TLS ----

@pytest.fixture
def broken_host(tmp_path):
    """A sink that offers STARTTLS and then speaks none."""
    with Sink(tmp_path / "sink", "broken-tls") as sink:
        yield sink


CAREFUL = {"queue": {
    "tls": {"careful": {"starttls": "if-offered"}},
    "strategy": {"tls": [{"if": "retry_num > 0 && last_error == 'tls'", "use": "invalid-tls"},
                         {"use": "careful"}]}}}


def test_a_host_without_tls_gets_it_in_the_clear_at_once(yard, host):
    """Q-115, also for the careful: EHLO is said once."""
    yard.relays(("hub.example", host)).configure(CAREFUL).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert not host.wait_mail(1)[0].is_tls
    assert len([line for line in host.heard if line.startswith("EHLO")]) == 1


def test_where_tls_is_required_all_hosts_are_asked_before_the_sender_hears(yard, host, another_host):
    """Q-116."""
    yard.configure({"queue": {"tls": {"default": {"starttls": "require"}}}})
    yard.relays(("hub.example", host)).configure({"queue": {"route": {"to-hub-example": {
        "address": None, "port": None,
        "addresses": [{"address": "127.0.0.1", "port": host.port},
                      {"address": "127.0.0.1", "port": another_host.port, "priority": 1}]}}}})
    yard.start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert yard.wait("delivery_failed", message=identity)["status"] == "5.7.4"
    assert host.connections == another_host.connections == 1
    assert not host.mail and not another_host.mail


def test_a_broken_handshake_is_tried_again_by_the_careful(yard, broken_host):
    """Q-117: nothing in the clear in this attempt; the next one uses invalid-tls, and so the clear."""
    yard.relays(("hub.example", broken_host)).configure(CAREFUL).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    first = yard.wait("delivery_deferred", message=identity)
    assert first["status"] == "4.7.5" and first["text"].startswith("TLS: ")
    assert not broken_host.messages()
    yard.wait("delivery_done", message=identity)
    assert len(yard.seen("delivery_deferred", message=identity)) == 1
    assert len(broken_host.wait_messages(1)) == 1


def test_a_broken_handshake_does_not_delay_mail_that_nobody_minds(yard, broken_host):
    """Q-117 as it is here without a word in the configuration: optional means optional."""
    yard.relays(("hub.example", broken_host)).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_done", message=identity)
    assert yard.seen("tls_failed") and not yard.seen("delivery_deferred")


def test_a_certificate_by_nobody_is_tried_again_by_the_careful(yard, tls_host):
    """Q-118: the second time it will do, and is encrypted."""
    yard.relays(("hub.example", tls_host)).configure(CAREFUL).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert yard.wait("delivery_deferred", message=identity)["status"] == "4.7.5"
    assert not [line for line in tls_host.heard if line.startswith("MAIL")]
    yard.wait("delivery_done", message=identity)
    assert tls_host.wait_mail(1)[0].is_tls

"""Classic hooks that fail, take their time or lead astray, and clients and servers that leave
meanwhile. Ids are those of the conformance cases."""
import signal
import socket
import threading
import time
import urllib.request

import pytest
from client import Client, stuffed
from hooked import (MESSAGE, REJECT, scanner, another_scanner, hooked, greeted, arrived, sends,
                    stored)
from ports import free_port
from scanner import ACCEPT, Scanner
from yard import PATIENCE


def test_a_failing_scanner_puts_mail_off(yard, scanner):
    """CL-50"""
    scanner.says(data=(500, b"oops"))
    hooked(yard, scanner.hook("data"))
    assert sends(yard, code=451).startswith("4.3.5")
    yard.wait("filter_failed", name="policy", stage="data", action="tempfail")
    assert stored(yard) == 0


def test_a_failing_scanner_may_be_passed_over(yard, scanner, another_scanner):
    """CL-51"""
    scanner.says(data=(500, b"oops"))
    hooked(yard, scanner.hook(name="a", **{"tempfail-on-error": False}), another_scanner.hook(name="b"))
    identity = sends(yard).split()[-1]
    assert len(another_scanner.requests) == 1
    arrived(yard, identity)


@pytest.mark.parametrize("stage, policy, code", [
    ("connect", "tempfail", 451), ("ehlo", "reject", 550), ("mail", "tempfail", 451),
    ("rcpt", "reject", 550), ("data", "reject", 550), ("data", "accept", 250)])
def test_each_stage_has_its_own_word_for_failures(yard, stage, policy, code):
    hook = {"name": "gone", "url": f"http://127.0.0.1:{free_port()}/", "stages": [stage],
            "timeout": "2s", "on-failure": {stage: policy}}
    hooked(yard, hook)
    with Client(yard.port, greeting=code if stage == "connect" else 220) as client:
        if stage == "connect":
            client.hears_end()
            return
        client.says("EHLO a.example", code if stage == "ehlo" else 250)
        if stage == "ehlo":
            return
        client.says("MAIL FROM:<ann@a.example>", code if stage == "mail" else 250)
        if stage == "mail":
            return
        client.says("RCPT TO:<bob@example.org>", code if stage == "rcpt" else 250)
        if stage == "rcpt":
            return
        client.says("DATA", 354)
        client.sends(stuffed(MESSAGE)).hears(code)


def test_a_scanner_that_takes_too_long_is_not_waited_for(yard, scanner):
    """CL-52"""
    scanner.says(data=lambda r: (time.sleep(3), ACCEPT)[1])
    hooked(yard, scanner.hook("data", timeout="500ms"))
    began = time.monotonic()
    sends(yard, code=451)
    assert time.monotonic() - began < 2.5
    yard.wait("filter_failed", reason="TIMEOUT")


@pytest.mark.parametrize("answer", [(204, b""), (200, b"")])
def test_no_words_are_no_objection(yard, scanner, answer):
    """CL-53"""
    scanner.says(data=answer)
    hooked(yard, scanner.hook("data"))
    arrived(yard, sends(yard).split()[-1])


def test_an_answer_in_drops_is_cut_off_at_the_deadline(yard):
    """SE-13"""
    with socket.create_server(("127.0.0.1", 0)) as door:
        def drip():
            peer, _ = door.accept()
            try:
                peer.recv(65536)
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b" " * 100:
                    peer.send(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                pass
        threading.Thread(target=drip, daemon=True).start()
        hooked(yard, {"name": "slow", "url": f"http://127.0.0.1:{door.getsockname()[1]}/",
                      "stages": ["data"], "timeout": "1s"})
        began = time.monotonic()
        sends(yard, code=451)
        assert time.monotonic() - began < 3
        yard.wait("filter_failed", name="slow", reason="TIMEOUT")


def test_a_scanner_that_says_nothing_takes_nothing_else_with_it(yard, scanner):
    """SE-14: the gate bounds how many wait for it, the breaker soon lets nobody wait, and sessions
    whose mail it is not asked about go on."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as door:
        hooked(yard, {"name": "mute", "url": f"http://127.0.0.1:{door.getsockname()[1]}/",
                      "stages": ["mail"], "timeout": "2s", "concurrency": 10, "queue": 40,
                      "breaker": {"failures": 5, "pause": "1m"},
                      "enable": "sender_domain == 'mute.example'"},
               scanner.hook("mail"), server={"limits": {"sessions-per-address": 1000}})
        clients = [Client(yard.port) for _ in range(200)]
        for c in clients:
            c.says("EHLO a.example", 250)
            c.sends(b"MAIL FROM:<ann@mute.example>\r\n")
        with greeted(yard) as other:
            began = time.monotonic()
            other.says("MAIL FROM:<bob@other.example>", 250)
            assert time.monotonic() - began < 1
        for c in clients:
            c.hears(451)
        began = time.monotonic()
        clients[0].says("MAIL FROM:<ann@mute.example>", 451)
        assert time.monotonic() - began < 1
        for c in clients:
            c.close()
        yard.wait("filter_shunned", name="mute")


def test_a_scanner_is_known_by_its_certificate(yard, certificates):
    """SE-17"""
    with Scanner(certificate=certificates["mx"], key=certificates["mx_key"]) as scanner:
        hook = scanner.hook("data", tls={"ca": str(certificates["ca"])})
        hooked(yard, hook)
        sends(yard)
        assert len(scanner.requests) == 1
        # Without its authority it is nobody; unless anybody will do.
        yard.configure({"hooks": [{k: v for k, v in hook.items() if k != "tls"}]})
        assert yard.with_config("reload").returncode == 0
        sends(yard, code=451)
        yard.wait("filter_failed", reason="TLS")
        assert len(scanner.requests) == 1
        yard.configure({"hooks": [hook | {"tls": {"allow-invalid-certs": True}}]})
        assert yard.with_config("reload").returncode == 0
        sends(yard)
        assert len(scanner.requests) == 2


@pytest.mark.parametrize("status", [302, 307])
def test_a_scanner_cannot_send_us_elsewhere(yard, scanner, another_scanner, status):
    """SE-15, Q17"""
    scanner.says(data=(status, b"", {"Location": another_scanner.url}))
    hooked(yard, scanner.hook("data"))
    sends(yard, code=451)
    assert not another_scanner.requests


def test_metrics_count_what_each_filter_did(yard, scanner):
    scanner.says(data=[ACCEPT, REJECT, (500, b"")])
    hooked(yard, scanner.hook("data"))
    for code in (250, 503, 451):
        sends(yard, code=code)
    with urllib.request.urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    for name, count in (("asked_total", 3), ("answered_total", 2), ("acted_total", 1),
                        ("failed_total", 1), ("seconds_count", 3), ("working", 0)):
        assert f'postyard_filter_{name}{{filter="policy"}} {count}\n' in text, name


def test_a_client_that_leaves_while_its_mail_is_judged_leaves_nothing(yard, scanner):
    """SE-19"""
    go_on = threading.Event()
    scanner.says(data=lambda r: (go_on.wait(PATIENCE), ACCEPT)[1])
    hooked(yard, scanner.hook("data", timeout="20s"))
    client = greeted(yard)
    client.says("MAIL FROM:<ann@a.example>", 250)
    client.says("RCPT TO:<bob@example.org>", 250)
    client.says("DATA", 354)
    client.sends(stuffed(MESSAGE))
    scanner.wait_asked("data")
    client.close()
    go_on.set()
    yard.wait("session_closed")
    assert stored(yard) == 0 and not yard.seen("message_accepted")


def test_a_client_that_has_said_all_and_only_listens_is_served(yard, scanner):
    """As `nc` does it: all commands at once, then one way is closed."""
    scanner.says(data=lambda r: (time.sleep(0.3), ACCEPT)[1])
    hooked(yard, scanner.hook("data"))
    with greeted(yard) as client:
        client.sends(b"MAIL FROM:<ann@a.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
        for code in (250, 250, 354):
            client.hears(code)
        client.sends(stuffed(MESSAGE) + b"QUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        identity = client.hears(250).split()[-1]
        client.hears(221)
    arrived(yard, identity)


def test_a_stop_does_not_wait_for_a_scanner_that_says_nothing(yard, scanner):
    """P11, P1: what was not answered is not stored, and the client hears 421 or the end."""
    go_on = threading.Event()
    scanner.says(mail=lambda r: (go_on.wait(PATIENCE), ACCEPT)[1])
    hooked(yard, scanner.hook("mail", timeout="60s"))
    client = greeted(yard)
    client.sends(b"MAIL FROM:<ann@a.example>\r\n")
    scanner.wait_asked("mail")
    yard.signal(signal.SIGTERM)
    yard.wait("server_stopping")
    yard.signal(signal.SIGTERM)  # a second one: now
    assert yard.ended() == 0
    go_on.set()
    client.close()


def test_a_reload_changes_whom_the_next_mail_is_shown(yard, scanner, another_scanner):
    hooked(yard, scanner.hook("mail", name="a"))
    with greeted(yard) as client:
        client.says("MAIL FROM:<ann@a.example>", 250)
        yard.configure({"hooks": [another_scanner.hook("mail", "rcpt", name="b")]})
        assert yard.with_config("reload").returncode == 0
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("RSET", 250)
        client.says("MAIL FROM:<ann@a.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.quits()
    assert len(scanner.requests) == 1
    assert [r["context"]["stage"] for r in another_scanner.requests] == ["mail", "rcpt"]

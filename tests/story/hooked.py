"""hooked: a server with hooks, and mail through it: what the stories of hooks begin with."""
import json

import pytest
from client import Client, stuffed
from scanner import Scanner

MESSAGE = "From: ann@a.example\r\nSubject: invoice\r\n\tfor October\r\n\r\nPlease pay.\r\n"
REJECT = {"action": "reject"}


@pytest.fixture
def scanner():
    with Scanner() as s:
        yield s


@pytest.fixture
def another_scanner():
    with Scanner() as s:
        yield s


def hooked(yard, *hooks, **more):
    return yard.configure({"hooks": list(hooks)} | more).start()


def greeted(yard, name="a.example"):
    client = Client(yard.port)
    client.says(f"EHLO {name}", 250)
    return client


def arrived(yard, identity, address="bob@example.org"):
    """The one message that has come to a local mailbox, without our trace."""
    yard.wait("delivery_done", message=identity)
    mail = yard.mailbox(address)
    assert len(mail) == 1
    return mail[0]


def behind_trace(mail):
    """Without Return-Path, Delivered-To, Received and what a submission lacked."""
    lines = mail.decode("latin-1").split("\r\n")
    own = ("Return-Path:", "Delivered-To:", "Received:", "Date:", "Message-ID:")
    while lines[0].startswith(own + (" ", "\t")):
        lines.pop(0)
    return "\r\n".join(lines)


def sends(yard, message=MESSAGE, sender="ann@a.example", recipients=("bob@example.org",), code=250):
    """One transaction up to the answer to the end of data."""
    with greeted(yard) as client:
        client.says(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            client.says(f"RCPT TO:<{recipient}>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(message))
        answer = client.hears(code)
        client.quits()
    return answer


def stored(yard):
    """How many messages are queued."""
    told = yard.with_config("queue", "list", "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["total"]

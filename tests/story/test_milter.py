"""Filters that speak the milter protocol: what they hear, what they may do, what is done when they fail,
and that Postfix does the same with the same answers."""

import re
import time

import pytest

from client import Client, sends_mail, stuffed
from peers import milter
from peers.milter import Milter, hostile
from peers.opendkim import OpenDKIM
from peers.postfix import Postfix
from peers.rspamd import Rspamd
from ports import free_port
from scanner import Scanner

LETTER = (b"From: a@client.example\r\nTo: bob@example.org,\r\n\tcarol@example.org\r\n"
          b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n"
          b"X-A: 1\r\nSubject: tea\r\nX-A: 2\r\nX-A:3\r\n\r\nHello.\r\n.dot\r\n")


def milters(yard, *entries, **more):
    """Each entry: a filter, or its keys."""
    made = []
    for n, entry in enumerate(entries):
        keys = entry if isinstance(entry, dict) else {"address": entry.address}
        made.append({"name": f"filter-{n}", "connect-timeout": "1s", "timeout": "2s",
                     "message-timeout": "5s", **more, **keys})
    return yard.configure({"milters": made})


def gives(port, letter=LETTER, recipients=("bob@example.org",), sender="a@client.example"):
    """A message to any server; the reply to its end, of whatever kind."""
    with Client(port) as client:
        client.says("EHLO client.example", 250)
        client.says(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            client.says(f"RCPT TO:<{recipient}>", 250)
        client.says("DATA", 354)
        client.sends(stuffed(letter))
        return client.file.readline().decode().rstrip()


def header_of(mail):
    """Its fields without those that the servers add, as (name, value with its folds)."""
    head = mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0] + b"\n"
    fields = re.findall(rb"^([^\s:]+):((?:.*\n)(?:[ \t].*\n)*)", head, re.M)
    return [(name, value) for name, value in fields
            if name not in (b"Return-Path", b"Delivered-To", b"X-Original-To") and
            not (name == b"Received" and (b"mx.example.org" in value or b"postfix.test" in value))]


def body_of(mail):
    return mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


# ---- what it hears ----

def test_it_hears_the_whole_conversation(yard):
    with Milter() as f:
        milters(yard, f).start()
        identity = sends_mail(yard, "a@client.example", ["bob@example.org", "carol@example.org"],
                              LETTER, mail_words=" BODY=8BITMIME")
        f.wait_command("Q")
        [session] = f.sessions
        assert session.letters() == "OCHMRRTLLLLLLLLNBEQ"
        assert f.commands("H") == [[b"client.example"]]
        assert f.commands("M") == [[b"<a@client.example>", b"BODY=8BITMIME"]]
        assert f.commands("R") == [[b"<bob@example.org>"], [b"<carol@example.org>"]]
        assert f.commands("L")[1] == [b"To", b"bob@example.org,\n\tcarol@example.org"]
        assert f.commands("L")[7] == [b"X-A", b"3"]
        assert f.commands("B") == [b"Hello.\r\n.dot\r\n"]
        connect = session.macros["C"][0]
        assert connect["j"] == "mx.example.org" and connect["{client_addr}"] == "127.0.0.1"
        assert session.macros["R"][1]["{rcpt_addr}"] == "carol@example.org"
        assert session.macros["E"][0]["i"] == identity
        yard.wait("delivery_done", count=2, message=identity)


def test_one_connection_hears_all_messages_of_a_client(yard):
    with Milter() as f:
        milters(yard, f).start()
        with Client(yard.port) as client:
            client.says("EHLO client.example", 250)
            client.sends_mail("a@client.example", "bob@example.org", LETTER)
            client.says("MAIL FROM:<b@client.example>", 250)
            client.says("RSET", 250)
            client.sends_mail("c@client.example", "bob@example.org", LETTER)
            client.quits()
        f.wait_command("Q")
        [session] = f.sessions
        assert re.sub("L+", "L", session.letters()) == "OCHMRTLNBEMAMRTLNBEQ"


def test_a_large_message_goes_in_pieces(yard):
    letter = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"0123456789" * 7 + b"\r\n") * 40_000
    with Milter(path=yard.folder / "filter.sock") as f:
        milters(yard, f).start()
        identity = sends_mail(yard, "a@client.example", "bob@example.org", letter)
        yard.wait("delivery_done", message=identity)
        pieces = f.commands("B")
        assert b"".join(pieces) == letter.split(b"\r\n\r\n", 1)[1]
        assert max(map(len, pieces)) == 65535


# ---- what it may do ----

EDITS = {
    "add": [milter.add("X-New", "v")],
    "add-folded": [milter.add("X-New", "a\n\tb\n c")],
    "insert-0": [milter.insert(0, "X-New", "v")],
    "insert-1": [milter.insert(1, "X-New", "v")],
    "insert-2": [milter.insert(2, "X-New", "v")],
    "insert-6": [milter.insert(6, "X-New", "v")],
    "insert-last": [milter.insert(9, "X-New", "v")],
    "insert-beyond": [milter.insert(1000, "X-New", "v")],
    "insert-1-twice": [milter.insert(1, "X-New", "1"), milter.insert(1, "X-New", "2")],
    "change-1": [milter.change(1, "X-A", "v")],
    "change-0": [milter.change(0, "X-A", "v")],
    "change-2": [milter.change(2, "x-a", "v")],
    "change-3": [milter.change(3, "X-A", "v")],
    "change-beyond": [milter.change(4, "X-A", "v")],
    "change-absent": [milter.change(1, "X-B", "v")],
    "delete-1": [milter.change(1, "X-A", "")],
    "delete-3": [milter.change(3, "X-A", "")],
    "delete-beyond": [milter.change(9, "X-A", "")],
    "delete-1-1": [milter.change(1, "X-A", ""), milter.change(1, "X-A", "")],
    "delete-downwards": [milter.change(n, "X-A", "") for n in (3, 2, 1)],
    "delete-folded": [milter.change(1, "To", "")],
    "change-folded": [milter.change(1, "To", "x@example.org,\n\ty@example.org")],
    "delete-then-add": [milter.change(1, "Subject", ""), milter.add("Subject", "coffee")],
    "insert-then-change": [milter.insert(1, "X-A", "0"), milter.change(1, "X-A", "v")],
    "add-empty": [milter.add("X-New", "")],
    "body": [milter.body(b"New.\r\n"), milter.body(b"Words.\r\n")],
    "body-bare-lf": [milter.body(b"New.\nWords.\n")],
    "body-and-field": [milter.body(b"New.\r\n"), milter.add("X-New", "v")],
    "recipient": [milter.add_rcpt("<carol@example.org>")],
}
STEPS = {"": 0, "leading-space": milter.LEADING_SPACE}


@pytest.fixture(scope="module")
def filtered_postfix():
    """Postfix and the filter that it asks, for all edits."""
    with Milter() as f, Milter(steps=milter.LEADING_SPACE) as leading:
        with Postfix() as p, Postfix() as q:
            for server, asked in ((p, f), (q, leading)):
                server.start(domain="example.org", smtpd_milters=asked.address,
                             milter_protocol="6", milter_default_action="tempfail")
            yield {"": (p, f), "leading-space": (q, leading)}


def of_postfix(postfix, mark):
    """What it has put into mailboxes of the message with this mark."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = [mail for mail in postfix.wait_mail(0) if mark in mail]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(postfix.said()[-3000:])


@pytest.mark.parametrize("steps", STEPS)
def test_edits_have_the_effect_that_they_have_in_postfix(yard, filtered_postfix, steps):
    postfix, theirs = filtered_postfix[steps]
    differ = {}
    with Milter(steps=STEPS[steps]) as ours:
        milters(yard, ours).start()
        for name, edits in EDITS.items():
            mark = f"X-Mark: {name}.{steps}.".encode()
            letter = mark + b"\r\n" + LETTER
            for f in (theirs, ours):
                f.answers("E", *edits, milter.CONTINUE)
            assert gives(postfix.port, letter).startswith("250")
            assert gives(yard.port, letter).startswith("250"), name
            identity = yard.wait("message_accepted", since=0, count=len(differ) + 1)[-1]["message"]
            yard.wait("delivery_done", message=identity)
            [mail] = [m for m in yard.mailbox("bob@example.org") if mark in m]
            peer = of_postfix(postfix, mark)[0]
            differ[name] = [(header_of(mail), body_of(mail)), (header_of(peer), body_of(peer))]
    wrong = {name: [[part for part in one[0] if part not in other[0]] + [one[1]]
                    for one, other in (both, both[::-1])]
             for name, both in differ.items() if both[0] != both[1]}
    assert not wrong


def test_it_changes_the_envelope(yard):
    with Milter() as f:
        f.answers("E", milter.change_sender("<z@client.example>"), milter.delete_rcpt("<bob@example.org>"),
                  milter.add_rcpt("<dave@example.org>"),
                  milter.add_rcpt("<eve@example.org>", "NOTIFY=NEVER"), milter.CONTINUE)
        milters(yard, f).start()
        identity = sends_mail(yard, "a@client.example", ["bob@example.org", "carol@example.org"],
                              LETTER)
        yard.wait("delivery_done", count=3, message=identity)
        assert not yard.mailbox("bob@example.org")
        for user in ("carol", "dave", "eve"):
            [mail] = yard.mailbox(f"{user}@example.org")
            assert b"Return-Path: <z@client.example>" in mail


def test_quarantine_holds_the_message(yard):
    with Milter() as f:
        f.answers("E", milter.quarantine("looks odd"), milter.CONTINUE)
        milters(yard, f).start()
        identity = sends_mail(yard, "a@client.example", "bob@example.org", LETTER)
        shown = yard.with_config("queue", "list", "--json")
        assert identity in shown.stdout and "held" in shown.stdout
        assert not yard.mailbox("bob@example.org")
        assert yard.with_config("queue", "release", identity).returncode == 0
        yard.wait("delivery_done", message=identity)


VERDICTS = [
    ("C", milter.REJECT, "CONNECT", "5"), ("C", milter.TEMPFAIL, "CONNECT", "4"),
    ("H", milter.REJECT, "EHLO", "550 5.7.1"),
    ("M", milter.REJECT, "MAIL", "550 5.7.1 Command rejected"),
    ("M", milter.TEMPFAIL, "MAIL", "451 4.7.1 Service unavailable - try again later"),
    ("M", milter.reply("553 5.1.8 not you"), "MAIL", "553 5.1.8 not you"),
    ("R", milter.REJECT, "RCPT", "550 5.7.1 Command rejected"),
    ("R", milter.reply("450 4.2.1 100%% full"), "RCPT", "450 4.2.1 100% full"),
    ("T", milter.REJECT, "DOT", "550 5.7.1 Command rejected"),
    ("L", milter.REJECT, "DOT", "550 5.7.1 Command rejected"),
    ("N", milter.TEMPFAIL, "DOT", "451 4.7.1"),
    ("B", milter.reply("550-5.7.1 spam\r\n550 5.7.1 really"), "DOT", "550 5.7.1 spam really"),
    ("E", milter.REJECT, "DOT", "550 5.7.1 Command rejected"),
    ("E", milter.DISCARD, "DOT", "250"),
]


@pytest.mark.parametrize("letter,answer,stage,said", VERDICTS,
                         ids=lambda v: v.decode("latin-1")[:12] if isinstance(v, bytes) else v)
def test_the_client_hears_its_verdict(yard, letter, answer, stage, said):
    with Milter() as f:
        f.answers(letter, answer)
        milters(yard, f).start()
        heard = refused(yard.port)
        assert heard[-1][0] == stage and heard[-1][1].startswith(said), heard
        assert not yard.seen("message_accepted") or answer == milter.DISCARD


def refused(port):
    """A conversation until somebody is refused or the message is taken: [(stage, reply)]."""
    heard = []
    with Client(port, greeting=None) as client:
        def hear(stage):
            while True:
                line = client.file.readline().decode()
                if line[3:4] != "-":
                    break
            heard.append((stage, line.rstrip()))
            return line[:1] in ("2", "3")

        if not hear("CONNECT"):
            return heard
        for stage, line in (("EHLO", "EHLO client.example"), ("MAIL", "MAIL FROM:<a@client.example>"),
                            ("RCPT", "RCPT TO:<bob@example.org>"), ("DATA", "DATA")):
            client.sends(line.encode() + b"\r\n")
            if not hear(stage):
                return heard
        client.sends(stuffed(LETTER))
        hear("DOT")
    return heard


# ---- among other filters ----

def test_filters_work_on_what_those_before_them_left(yard):
    """Milters first, then hooks, unless an order says otherwise."""
    with Milter() as f, Milter() as late, Scanner() as scanner:
        f.answers("E", milter.add("X-First", "1"), milter.delete_rcpt("<carol@example.org>"),
                  milter.CONTINUE)
        scanner.says(data={"action": "accept", "modifications": [
            {"type": "addHeader", "name": "X-Second", "value": "2"}]})
        milters(yard, f, {"address": late.address, "order": 1})
        yard.configure({"hooks": [scanner.hook("data")]}).start()
        identity = sends_mail(yard, "a@client.example", ["bob@example.org", "carol@example.org"],
                              LETTER)
        yard.wait("delivery_done", message=identity, rcpt="bob@example.org")
        assert not yard.mailbox("carol@example.org")
        [request] = scanner.asked("data")
        assert ["X-First", " 1\r\n"] in [list(h) for h in request["message"]["headers"]]
        assert [to["address"] for to in request["envelope"]["to"]] == ["bob@example.org"]
        names = [name for name, _ in late.commands("L")]
        assert (names[0], names[-1]) == (b"X-Second", b"X-First")
        [mail] = yard.mailbox("bob@example.org")
        assert [name for name, _ in header_of(mail)] == names


def test_it_cannot_take_what_we_refuse_nor_make_a_relay_of_us(yard):
    with Milter() as f:
        f.answers("R", milter.ACCEPT).answers("E", milter.add_rcpt("<x@elsewhere.example>"),
                                              milter.CONTINUE)
        milters(yard, f)
        yard.configure({"server": {"trusted-networks": ["192.0.2.0/24"]}}).start()
        with Client(yard.port) as client:
            client.says("EHLO client.example", 250)
            client.says("MAIL FROM:<a@client.example>", 250)
            client.says("RCPT TO:<x@elsewhere.example>", 550)
            assert not f.commands("R")
        f.answers("R", milter.CONTINUE)
        identity = sends_mail(yard, "a@client.example", "bob@example.org", LETTER)
        yard.wait("delivery_done", message=identity, rcpt="bob@example.org")
        assert not yard.seen("delivery_deferred") and not yard.seen("delivery_failed")


def test_one_in_shadow_is_asked_and_not_obeyed(yard):
    with Milter() as f:
        f.answers("E", milter.REJECT)
        milters(yard, {"address": f.address, "shadow": True}).start()
        yard.wait("delivery_done", message=sends_mail(yard, "a@client.example", "bob@example.org",
                                                      LETTER))
        yard.wait("filter_acted", name="filter-0")


def test_a_reload_in_the_middle_of_a_session(yard):
    """The next message goes to the new filter, which is told of the session from its beginning."""
    with Milter() as old, Milter() as new:
        milters(yard, old).start()
        with Client(yard.port) as client:
            client.says("EHLO client.example", 250)
            client.sends_mail("a@client.example", "bob@example.org", LETTER)
            milters(yard, new)
            assert yard.with_config("reload").returncode == 0
            client.sends_mail("b@client.example", "bob@example.org", LETTER)
            client.quits()
        assert old.wait_command("Q") == [] and len(old.commands("E")) == 1
        new.wait_command("Q")
        assert re.sub("L+", "L", new.sessions[0].letters()) == "OCHMRTLNBEQ"


def test_its_host_is_found_by_name(yard):
    with Milter() as f:
        milters(yard, {"address": f"inet:localhost:{f.port}"}).start()
        assert gives(yard.port).startswith("250")
        f.wait_command("E")


# ---- what is done when it fails ----

@pytest.mark.parametrize("policy,code", [("accept", "250"), ("tempfail", "4"), ("reject", "5"),
                                         ("quarantine", "250")])
def test_a_filter_that_is_not_there(yard, policy, code):
    with Milter() as f:
        pass  # and is gone
    milters(yard, {"address": f.address, "on-failure": policy, "stages": ["data"]}).start()
    heard = refused(yard.port)
    assert heard[-1][0] == "DOT" and heard[-1][1].startswith(code)
    if policy == "accept":
        yard.wait("delivery_done")
    if policy == "quarantine":
        assert "held" in yard.with_config("queue", "list", "--json").stdout


@pytest.mark.parametrize("how", milter.HOSTILE)
def test_a_filter(yard, how):
    """Whoever must not suffer from it gets the mail unchanged; whoever relies on it is told to come
    again; and both within the times that are set."""
    lenient = free_port()
    with hostile(how) as f:
        yard.configure({"listeners": {"lenient": {"bind": [f"127.0.0.1:{lenient}"]}}})
        keys = {"address": f.address, "connect-timeout": "500ms", "timeout": "500ms",
                "message-timeout": "700ms", "stage-timeout": "1s"}
        milters(yard, {**keys, "name": "strict", "enable": "listener == 'smtp'"},
                {**keys, "name": "lenient", "enable": "listener == 'lenient'",
                 "on-failure": "accept"}).start()
        assert refused(yard.port)[-1][1].startswith("4"), how
        assert not yard.seen("message_accepted")
        assert refused(lenient)[-1][1].startswith("250"), how
        yard.wait("delivery_done")
        for mail in yard.mailbox("bob@example.org"):
            assert header_of(mail) == header_of(LETTER)
            assert body_of(mail) == body_of(LETTER)


# ---- filters that people run ----

@pytest.fixture
def opendkim():
    with OpenDKIM() as p:
        yield p


@pytest.fixture
def rspamd():
    with Rspamd() as p:
        yield p


def field(mail, name):
    found = [value for n, value in header_of(mail) if n.lower() == name.lower()]
    assert len(found) == 1, mail
    return re.sub(rb"\s+", b" ", found[0]).strip()


def test_opendkim_signs_and_verifies(yard, opendkim):
    """What one signs another finds unchanged, after a way through us twice; Postfix agrees."""
    opendkim.start("s", "client.example")
    with OpenDKIM() as verifier, Postfix() as postfix:
        verifier.start("v", key_of=opendkim)
        milters(yard, opendkim).start()
        assert gives(yard.port).startswith("250")
        yard.wait("delivery_done")
        [signed] = yard.mailbox("bob@example.org")
        assert b"d=client.example; s=one;" in field(signed, b"DKIM-Signature")
        yard.stop()
        milters(yard, verifier).start()
        onward = b"\r\n".join(b"%s:%s" % (n, v.rstrip(b"\n").replace(b"\n", b"\r\n"))
                              for n, v in header_of(signed)) + b"\r\n\r\n" + \
            body_of(signed).replace(b"\n", b"\r\n")
        since = yard.mark()
        assert gives(yard.port, onward, ["carol@example.org"]).startswith("250")
        yard.wait("delivery_done", since=since)
        [verified] = yard.mailbox("carol@example.org")
        postfix.start(domain="example.org", smtpd_milters=verifier.address)
        assert gives(postfix.port, onward, ["carol@example.org"]).startswith("250")
        [theirs] = postfix.wait_mail(1)
        assert b"dkim=pass" in field(verified, b"Authentication-Results")
        assert header_of(verified) == header_of(theirs)


GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
SPAM = b"YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def test_rspamd_judges_as_it_does_for_postfix(yard, rspamd):
    rspamd.start()
    milters(yard, rspamd, timeout="20s", **{"message-timeout": "20s"}).start()
    corpus = {b"clean": LETTER, b"marked": LETTER + SPAM + b"\r\n", b"refused": LETTER + GTUBE + b"\r\n"}
    with Postfix() as postfix:
        postfix.start(domain="example.org", smtpd_milters=rspamd.address, milter_protocol="6")
        for name, letter in corpus.items():
            letter = b"X-Mark: " + name + b".\r\n" + letter
            ours, theirs = gives(yard.port, letter), gives(postfix.port, letter)
            assert ours[:3] == theirs[:3] == ("554" if name == b"refused" else "250"), (ours, theirs)
            if name == b"refused":
                assert ours == theirs
                continue
            peer = of_postfix(postfix, b"X-Mark: " + name)[0]
            yard.wait("delivery_done", count=1 + (name == b"marked"))
            [mail] = [m for m in yard.mailbox("bob@example.org") if b"X-Mark: " + name in m]
            # Its own come in any order.
            assert sorted(header_of(mail)) == sorted(header_of(peer))
            assert (b"\r\nX-Spam-Level: *\r\n" in mail) == (name == b"clean")
            assert (b"\r\nX-Spam: Yes\r\n" in mail) == (name == b"marked")

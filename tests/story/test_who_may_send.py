"""For whom mail is taken, and from whom."""

import pytest

from client import Client, sends_mail

STRANGERS = {"server": {"trusted-networks": ["192.0.2.0/24"]}}


def test_a_stranger_may_send_to_us_and_not_through_us(yard):
    yard.configure(STRANGERS).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("RCPT TO:<c@elsewhere.example>", 550)
        for trick in ("c%elsewhere.example@example.net", "@example.org:c@elsewhere.example",
                      '"c@elsewhere.example"@example.net'):
            client.says(f"RCPT TO:<{trick}>", 550)
        client.says("DATA", 354)
        client.sends(b"Subject: hello\r\n\r\nHello.\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    refused = yard.wait("rcpt_refused", rcpt="c@elsewhere.example")
    assert refused["status"] == "5.7.1"
    yard.wait("delivery_done", message=identity, rcpt="bob@example.org")
    assert yard.wait("message_accepted", message=identity)["recipients"] == 1


def test_a_sender_of_ours_gives_a_stranger_no_rights(yard):
    yard.configure(STRANGERS).start()
    with Client(yard.port) as client:
        client.says("EHLO mx.example.org", 250)
        client.says("MAIL FROM:<bob@example.org>", 250)
        client.says("RCPT TO:<c@elsewhere.example>", 550)


def test_aliases_lead_to_mailboxes_and_to_other_hosts(yard, host):
    (yard.folder / "aliases").write_text(
        "# who is who\n"
        "sales: bob@example.org,\n"
        "  carol@example.org\n"
        "away@example.org: dave@hub.example\n"
        "all: sales, erin@example.org\n")
    yard.configure({"server": {"aliases": str(yard.folder / "aliases")}})
    yard.relays(("hub.example", host)).start()
    sales = sends_mail(yard, "a@client.example", "all@example.org")
    away = sends_mail(yard, "a@client.example", "away@example.org")

    done = yard.wait("delivery_done", count=3, message=sales)
    assert sorted(e["rcpt"] for e in done) == [f"{n}@example.org" for n in ("bob", "carol", "erin")]
    yard.wait("delivery_done", message=away, rcpt="dave@hub.example")
    [taken] = host.wait_mail(1)
    assert taken.recipients == ["dave@hub.example"]
    # the sender knows the address he wrote to, and no other.
    assert taken.rcpt_lines == ["RCPT TO:<dave@hub.example> ORCPT=rfc822;away@example.org"]


@pytest.mark.parametrize("who", ["postmaster@example.org", "Postmaster", "abuse@example.org",
                                 "mailer-daemon@example.org", "PostMaster@Example.ORG"])
def test_the_postmaster_hears_what_is_meant_for_it(yard, who):
    (yard.folder / "people").write_text("admin@example.org\n")
    yard.configure(merge_local(yard)).configure(STRANGERS).start()
    identity = sends_mail(yard, "a@client.example", who)
    yard.wait("delivery_done", message=identity, rcpt="admin@example.org")


def test_only_local_recipients_that_exist_are_taken(yard):
    (yard.folder / "people").write_text("bob@example.org # the first\nadmin@example.org\n")
    yard.configure(merge_local(yard)).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        assert client.says("RCPT TO:<nobody@example.org>", 550).startswith("5.1.1 ")
        client.says("RCPT TO:<Bob@Example.Org>", 250)
    yard.wait("rcpt_refused", rcpt="nobody@example.org", status="5.1.1")


def merge_local(yard):
    return {"server": {"local-recipients": str(yard.folder / "people")}}


def test_a_domain_of_ours_may_be_named_in_utf8(yard):
    yard.configure({"server": {"local-domains": ["example.org", "xn--bcher-kva.example"]}}).start()
    identity = sends_mail(yard, "a@client.example", "ann@bücher.example", mail_words=" SMTPUTF8")
    done = yard.wait("delivery_done", message=identity)
    assert done["queue"] == "local"


def test_a_tag_leads_to_the_same_person_unless_the_whole_is_named(yard):
    names = yard.folder / "names"
    names.write_text("ann@example.org\nbob+own@example.org\n")
    yard.configure({"server": {"local-recipients": str(names)}}).start()
    with Client(yard.port) as client:
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<a@client.example>", 250)
        client.says("RCPT TO:<ann+books@example.org>", 250)
        client.says("RCPT TO:<bob+own@example.org>", 250)
        client.says("RCPT TO:<bob+other@example.org>", 550)
        client.says("DATA", 354)
        client.sends(b"Subject: x\r\n\r\nx\r\n.\r\n")
        identity = client.hears(250).split()[-1]
    yard.wait("delivery_done", count=2, message=identity)
    assert len(yard.mailbox("ann+books@example.org")) == 1

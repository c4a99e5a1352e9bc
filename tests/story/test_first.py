"""Mail comes in, waits, and goes on."""

from client import Client, sends_mail


def test_a_message_for_us_lands_in_its_mailbox(yard):
    yard.start()
    with Client(yard.port) as client:
        assert client.greeting.startswith("mx.example.org ")
        client.says("EHLO client.example", 250)
        client.says("MAIL FROM:<alice@client.example>", 250)
        client.says("RCPT TO:<bob@example.org>", 250)
        client.says("DATA", 354)
        client.sends(b"Subject: dots\r\n\r\n..one dot\r\n...two dots\r\n.\r\n")
        identity = client.hears(250).split()[-1]
        client.quits()

    accepted = yard.wait("message_accepted", message=identity)
    assert accepted["sender"] == "alice@client.example" and accepted["recipients"] == 1
    yard.wait("delivery_done", message=identity, rcpt="bob@example.org")
    [mail] = yard.mailbox("bob@example.org")
    assert mail.startswith(b"Return-Path: <alice@client.example>\r\n")
    assert mail.endswith(b"\r\n\r\n.one dot\r\n..two dots\r\n")


def test_a_message_for_others_goes_to_their_host(yard, host):
    yard.relays(("hub.example", host)).start()
    message = "Subject: hello\r\nFrom: a@client.example\r\n\r\nHello.\r\n"
    identity = sends_mail(yard, "a@client.example", ["b@hub.example", "c@hub.example"], message)

    yard.wait("delivery_done", count=2, message=identity)
    [taken] = host.wait_mail(1)
    assert taken.sender == "a@client.example"
    assert taken.recipients == ["b@hub.example", "c@hub.example"]
    assert taken.message.endswith(b"\r\n" + message.encode()[message.index("From"):])

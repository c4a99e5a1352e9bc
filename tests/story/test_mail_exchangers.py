"""Where mail for a domain goes: a real name server with one zone for each case (RFC 5321 section 5)."""

import pytest

from client import sends_mail
from host import Host
from peers.nsd import Nsd
from ports import free_port

ZONES = {
    "two.test": "@ MX 10 first\n@ MX 20 second\nfirst A 127.0.0.11\nsecond A 127.0.0.12",
    "homes.test": "@ MX 10 host\nhost A 127.0.0.11\nhost A 127.0.0.12",
    "null.test": "@ MX 0 .",
    "alias.test": "@ MX 10 nick\nnick CNAME real\nreal A 127.0.0.12",
    "moved.test": "old CNAME new\nnew MX 10 host\nhost A 127.0.0.12",
    "implicit.test": "@ A 127.0.0.12",
    "six.test": "@ MX 10 host\nhost AAAA ::1\nhost A 127.0.0.12",
    "sixonly.test": "@ MX 10 host\nhost AAAA ::1",
    "ours.test": "@ MX 10 mx.example.org.",
    "backup.test": "@ MX 10 main\n@ MX 20 mx.example.org.\n@ MX 30 third\n"
                   "main A 127.0.0.11\nthird A 127.0.0.12",
    "nowhere.test": "@ MX 10 gone",
    "empty.test": "@ TXT \"nothing here takes mail\"",
    "example.org": "mx A 127.0.0.1",
}


@pytest.fixture(scope="module")
def names():
    with Nsd() as nsd:
        yield nsd.start(ZONES)


class World:
    """Postyard that asks `names`, and hosts at 127.0.0.11, 127.0.0.12 and ::1, all on one port."""

    def __init__(self, yard, names):
        self.port = free_port()
        self.yard = yard.configure({
            "server": {"local-domains": ["home.example"]},
            "resolver": {"servers": [f"127.0.0.1:{names.port}"], "timeout": "5s"},
            "queue": {"route": {"mx": {"type": "mx", "port": self.port, "allow-loopback": True}}}})
        self.hosts = {}

    def host(self, address):
        if ":" in address:
            self.hosts[address] = Host6(address, self.port)
        else:
            self.hosts[address] = Host(address=address, port=self.port)
        return self.hosts[address]


class Host6(Host):
    def __init__(self, address, port):
        import socket
        made = socket.create_server
        try:
            socket.create_server = lambda at, **more: made(at, family=socket.AF_INET6, **more)
            super().__init__(address=address, port=port)
        finally:
            socket.create_server = made


@pytest.fixture
def world(yard, names):
    w = World(yard, names)
    yield w
    for host in w.hosts.values():
        host.close()


def test_the_best_host_gets_it(world):
    first, second = world.host("127.0.0.11"), world.host("127.0.0.12")
    identity = sends_mail(world.yard.start(), "a@client.example", "b@two.test")
    done = world.yard.wait("delivery_done", message=identity)
    assert done["host"] == "first.two.test"
    assert len(first.mail) == 1 and not second.connections


def test_when_it_is_away_the_next_one_does(world):
    second = world.host("127.0.0.12")
    identity = sends_mail(world.yard.start(), "a@client.example", "b@two.test")
    done = world.yard.wait("delivery_done", message=identity)
    assert done["host"] == "second.two.test" and len(second.mail) == 1
    assert not world.yard.seen("delivery_deferred")


def test_when_it_is_busy_the_next_one_does(world):
    first, second = world.host("127.0.0.11"), world.host("127.0.0.12")
    first.answers("CONNECT", "421 4.3.2 too busy")
    identity = sends_mail(world.yard.start(), "a@client.example", "b@two.test")
    world.yard.wait("delivery_done", message=identity, host="second.two.test")
    assert len(second.mail) == 1


def test_all_addresses_of_a_host_are_tried(world):
    second = world.host("127.0.0.12")
    identity = sends_mail(world.yard.start(), "a@client.example", "b@homes.test")
    world.yard.wait("delivery_done", message=identity)
    assert len(second.mail) == 1


def test_a_domain_without_mail_says_so_and_is_not_tried(world):
    """Null MX (RFC 7505)."""
    identity = sends_mail(world.yard.start(), "b@home.example", "b@null.test")
    failed = world.yard.wait("delivery_failed", message=identity)
    assert failed["status"] == "5.1.10"
    world.yard.wait("report_made", name=identity)


@pytest.mark.parametrize("domain", ["alias.test", "old.moved.test", "implicit.test"])
def test_names_lead_where_they_lead(world, domain):
    """An alias behind an MX, an alias before it, and an address instead of it."""
    there = world.host("127.0.0.12")
    identity = sends_mail(world.yard.start(), "a@client.example", f"b@{domain}")
    world.yard.wait("delivery_done", message=identity)
    assert there.mail[0].recipients == [f"b@{domain}"]


@pytest.mark.parametrize("order,expected", [("ipv4_then_ipv6", "127.0.0.12"),
                                            ("ipv6_then_ipv4", "::1"), ("ipv4_only", "127.0.0.12"),
                                            ("ipv6_only", "::1")])
def test_the_families_have_the_order_that_was_asked_for(world, order, expected):
    world.yard.configure({"queue": {"route": {"mx": {"ip-lookup": order}}}})
    for address in ("127.0.0.12", "::1"):
        world.host(address)
    identity = sends_mail(world.yard.start(), "a@client.example", "b@six.test")
    world.yard.wait("delivery_done", message=identity)
    assert {a: len(h.mail) for a, h in world.hosts.items()} == \
        {a: int(a == expected) for a in world.hosts}


def test_the_other_family_is_tried_when_the_first_is_away(world):
    there = world.host("::1")
    identity = sends_mail(world.yard.start(), "a@client.example", "b@six.test")
    world.yard.wait("delivery_done", message=identity)
    assert len(there.mail) == 1


def test_a_host_without_addresses_of_the_only_family_does_not_count(world):
    world.yard.configure({"queue": {"route": {"mx": {"ip-lookup": "ipv4_only"}}}})
    identity = sends_mail(world.yard.start(), "b@home.example", "b@sixonly.test")
    assert world.yard.wait("delivery_failed", message=identity)["host"]


def test_mail_that_would_come_back_to_us_is_refused(world):
    identity = sends_mail(world.yard.start(), "b@home.example", "b@ours.test")
    failed = world.yard.wait("delivery_failed", message=identity)
    assert failed["status"] == "5.4.6"


def test_a_backup_host_tries_only_better_ones(world):
    """We are the second: mail goes to the first or waits, and never to the third."""
    third = world.host("127.0.0.12")
    yard = world.yard.start()
    identity = sends_mail(yard, "a@client.example", "b@backup.test")
    yard.wait("delivery_deferred", message=identity)
    main = world.host("127.0.0.11")
    yard.wait("delivery_done", message=identity)
    assert len(main.mail) == 1 and not third.connections


@pytest.mark.parametrize("domain", ["nowhere.test", "empty.test", "unknown.two.test"])
def test_a_domain_that_leads_nowhere_is_given_up(world, domain):
    identity = sends_mail(world.yard.start(), "b@home.example", f"b@{domain}")
    failed = world.yard.wait("delivery_failed", message=identity)
    assert failed["status"] in ("5.1.2", "5.4.4")


def test_a_domain_that_nobody_answers_for_is_tried_again(world):
    """The name server refuses: that says nothing about the domain."""
    identity = sends_mail(world.yard.start(), "b@home.example", "b@not-served.example")
    world.yard.wait("delivery_deferred", message=identity)


def test_a_mail_exchanger_on_this_machine_is_not_believed(world):
    """Who points an MX at 127.0.0.1 would have us talk to ourselves, or to what listens only here."""
    world.yard.configure({"queue": {"route": {"mx": {"allow-loopback": False}}}})
    there = world.host("127.0.0.11")
    identity = sends_mail(world.yard.start(), "b@home.example", "b@two.test")
    world.yard.wait("delivery_failed", message=identity)
    assert not there.connections

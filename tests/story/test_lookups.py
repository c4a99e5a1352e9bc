"""Strategies that ask: files, Redis, SQLite, PostgreSQL and the domain name system, with real
servers on the other side; and what becomes of mail while they do not answer (PY-46)."""

import sqlite3
import time
from urllib.request import urlopen

import pytest

from client import Client, sends_mail
from host import Host
from peers.nsd import Nsd
from peers.stores import PostgreSQL, Redis


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def postgresql():
    with PostgreSQL() as server:
        server.says("CREATE TABLE routes (domain text PRIMARY KEY, hub text NOT NULL, n int);"
                    "INSERT INTO routes VALUES ('hub.example', 'hub', 7), ('it''s.example', 'hub', 8);"
                    "CREATE TABLE seen (domain text)")
        yield server


def asks(yard, host, condition, store=None, **more):
    """Mail goes to `host` where `condition` holds, to a port where nobody is otherwise."""
    return yard.configure({
        "lookup": store or {},
        "queue": {
            "route": {"hub": {"type": "relay", "address": "127.0.0.1", "port": host.port},
                      "nowhere": {"type": "relay", "address": "127.0.0.1", "port": 1}},
            "strategy": {"route": [{"if": condition, "use": "hub"}, {"use": "nowhere"}]}}, **more})


def by_redis(redis, **more):
    return {"routes": {"type": "redis", "address": "127.0.0.1", "port": redis.port,
                       "password": redis.password, "database": "3", "prefix": "route:",
                       "timeout": "1s", **more}}


def by_postgresql(server, **more):
    return {"routes": {"type": "postgresql", "address": "127.0.0.1", "port": server.port,
                       "username": server.user, "password": server.password,
                       "database": "postgres", "timeout": "1s", **more}}


def goes_to(yard, host, recipient="b@hub.example", count=1):
    identity = sends_mail(yard, "a@client.example", recipient)
    yard.wait("delivery_done", message=identity)
    assert len(host.wait_mail(count)) == count
    return identity


# ---- files ----

def test_a_file_of_keys_is_asked_and_read_again_when_it_changes(yard, host):
    keys = yard.folder / "routes"
    keys.write_text("# where mail goes\nhub.example hub\nother.example\n")
    yard.configure({
        "lookup": {"routes": {"type": "file", "path": str(keys)}},
        "queue": {
            "route": {"hub": {"type": "relay", "address": "127.0.0.1", "port": host.port},
                      "nowhere": {"type": "relay", "address": "127.0.0.1", "port": 1}},
            "strategy": {"route": [
                {"if": "key_exists('routes', rcpt_domain)", "then": "key_get('routes', rcpt_domain)"},
                {"use": "nowhere"}]}}}).start()
    goes_to(yard, host)

    mark = yard.mark()
    keys.write_text("hub.example hub\nnew.example hub\n")
    yard.wait("lookup_file_read", since=mark, name="routes")
    goes_to(yard, host, "b@new.example", count=2)

    # A mistake leaves what was read before in place, and is told.
    mark = yard.mark()
    keys.write_text("hub.example hub\nhub.example nowhere\n")
    assert ":2: " in yard.wait("lookup_file_bad", since=mark)["text"]
    goes_to(yard, host, "c@new.example", count=3)

    # A key without a value names no route: the job waits, its time and attempts untouched (PY-46).
    mark = yard.mark()
    keys.write_text("other.example\n")
    yard.wait("lookup_file_read", since=mark)
    identity = sends_mail(yard, "a@client.example", "d@other.example")
    waits = yard.wait("job_waits", message=identity)
    assert waits["reason"] == "strategy"
    assert not yard.seen("delivery_deferred", message=identity)


def test_check_shows_the_line_of_a_file_that_is_wrong(yard):
    keys = yard.folder / "routes"
    keys.write_bytes(b"good.example hub\nbad\xff.example hub\n")
    yard.configure({"lookup": {"routes": {"type": "file", "path": str(keys)}}})
    said = yard.with_config("check")
    assert said.returncode == 1
    assert "routes:2:1: the line is not UTF-8" in said.stdout + said.stderr


# ---- Redis ----

def test_redis_says_where_mail_goes_and_counts(yard, host, redis):
    redis.says("-n", "3", "SET", "route:hub.example", "hub")
    asks(yard, host, "key_get('routes', rcpt_domain) == 'hub' && "
                     "counter_incr('routes', 'n:' + rcpt, 2) > 0 && "
                     "key_set('routes', 'seen', sender)", by_redis(redis)).start()
    goes_to(yard, host)
    assert redis.says("-n", "3", "GET", "route:seen") == "a@client.example"
    # At acceptance, and again while preparing; each of them once for all its strategies.
    assert redis.says("-n", "3", "GET", "route:n:b@hub.example") == "4"
    metrics = urlopen(f"http://127.0.0.1:{yard.admin_port}/metrics", timeout=10).read().decode()
    assert "\npostyard_lookups_total 6\n" in metrics
    assert "postyard_lookups_cached_total 1\n" in metrics


def test_mail_waits_while_redis_is_down_and_goes_when_it_is_back(yard, host, redis):
    """PY-46 in place of Q-136: never another route; nothing is lost, no attempt is spent."""
    redis.says("-n", "3", "SET", "route:hub.example", "hub")
    asks(yard, host, "key_exists('routes', rcpt_domain)",
         by_redis(redis, cache={"ttl": "0s", "negative-ttl": "0s"})).start()
    redis.stop()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    away = yard.wait("lookup_away", name="routes")
    assert "refused" in away["text"]
    assert yard.wait("job_waits", message=identity)["reason"] == "strategy"
    waits = yard.wait("delivery_waits", message=identity)
    assert "key_exists('routes', 'hub.example')" in waits["text"]
    why = yard.with_config("queue", "why", identity).stdout
    assert "strategy" in why and "routes" in why

    redis.start()
    redis.says("-n", "3", "SET", "route:hub.example", "hub")
    # A minute is the rule; an operator need not wait for it.
    deadline = time.monotonic() + 40
    while not yard.seen("delivery_done", message=identity) and time.monotonic() < deadline:
        yard.with_config("queue", "retry", identity)
        time.sleep(0.5)
    assert len(host.wait_mail(1)) == 1
    yard.wait("lookup_back", name="routes")
    assert not yard.seen("delivery_deferred", message=identity)


def test_a_redis_that_says_nothing_costs_one_time_out_and_not_one_for_each_message(yard, host,
                                                                                redis):
    """Q-094's like for strategies: mail is taken all the same, under `default`."""
    asks(yard, host, "key_exists('routes', rcpt_domain)", by_redis(redis)).configure(
        {"queue": {"strategy": {"schedule": [
            {"if": "key_exists('routes', sender_domain)", "use": "local"}, {"use": "remote"}]}}})
    yard.start()
    goes_nowhere = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=goes_nowhere)
    redis.pause()
    client = Client(yard.port)
    client.says("EHLO client.example", 250)
    began = time.monotonic()
    for n in range(5):
        client.sends_mail(f"a@{n}.example", f"b@{n}.hub.example", "Subject: x\r\n\r\nx\r\n")
    assert time.monotonic() - began < 5, "one time-out of 1 s, a probe or two, and no more"
    yard.wait("lookup_away", name="routes")
    told = yard.wait("schedule_fallback")
    assert "key_exists('routes'" in told["text"]
    assert len(yard.seen("schedule_fallback")) == 1, "once a minute"
    redis.go_on()


def test_a_wrong_type_in_redis_is_a_failed_look_up_of_that_key_only(yard, host, redis):
    redis.says("-n", "3", "LPUSH", "route:list.example", "x")
    redis.says("-n", "3", "SET", "route:hub.example", "hub")
    asks(yard, host, "key_get('routes', rcpt_domain) == 'hub'", by_redis(redis)).start()
    identity = sends_mail(yard, "a@client.example", "b@list.example")
    assert "WRONGTYPE" in yard.wait("delivery_waits", message=identity)["text"]
    goes_to(yard, host)
    assert not yard.seen("lookup_away")


def test_redis_that_wants_another_password_is_told_as_such(yard, host, redis):
    asks(yard, host, "key_exists('routes', rcpt_domain)", by_redis(redis, password="no")).start()
    sends_mail(yard, "a@client.example", "b@hub.example")
    assert "AUTH" in yard.wait("lookup_away")["text"]


# ---- SQL ----

def test_sqlite_answers_by_statement_and_by_key(yard, host):
    path = yard.folder / "routes.db"
    db = sqlite3.connect(path)
    db.executescript("CREATE TABLE routes (domain TEXT PRIMARY KEY, hub TEXT, n INTEGER);"
                     "INSERT INTO routes VALUES ('hub.example', 'hub', 7);"
                     "CREATE TABLE seen (domain TEXT)")
    asks(yard, host,
         "key_get('routes', rcpt_domain) == 'hub' && key_exists('routes', rcpt_domain) && "
         "sql_query('routes', 'SELECT hub, n FROM routes WHERE domain = ?1', [rcpt_domain])[1] == 7 "
         "&& sql_query('routes', 'INSERT INTO seen VALUES (?1)', rcpt_domain) == 1",
         {"routes": {"type": "sqlite", "path": str(path),
                     "query": "SELECT hub FROM routes WHERE domain = ?1"}}).start()
    goes_to(yard, host)
    assert ("hub.example",) in db.execute("SELECT domain FROM seen").fetchall()

    # Somebody holds the database: the look-up takes its time-out, and the mail waits.
    db.execute("BEGIN EXCLUSIVE")
    identity = sends_mail(yard, "a@client.example", "c@hub.example")
    yard.wait("delivery_waits", message=identity)
    db.rollback()
    assert not yard.seen("delivery_deferred", message=identity)


def test_postgresql_answers_by_statement_and_by_key(yard, host, postgresql):
    asks(yard, host,
         "key_get('routes', rcpt_domain) == 'hub' && "
         "sql_query('routes', 'SELECT hub, n FROM routes WHERE domain = $1 AND n = $2', "
         "[rcpt_domain, 8])[1] == 8 && "
         "sql_query('routes', 'INSERT INTO seen VALUES ($1)', [rcpt_domain]) == 1",
         by_postgresql(postgresql, query="SELECT hub FROM routes WHERE domain = $1")).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)  # n is 7: to where nobody is
    yard.configure({"queue": {"strategy": {"route": [
        {"if": "sql_query('routes', 'SELECT n FROM routes WHERE domain = $1', rcpt_domain) == 7 && "
               "sql_query('routes', 'INSERT INTO seen VALUES ($1)', [rcpt_domain]) == 1",
         "use": "hub"}, {"use": "nowhere"}]}}})
    assert yard.with_config("reload").returncode == 0
    goes_to(yard, host)
    assert "hub.example" in postgresql.says("SELECT domain FROM seen")


def test_a_statement_in_error_or_too_slow_waits_and_others_are_answered(yard, host, postgresql):
    asks(yard, host,
         "sql_query('routes', if_then(rcpt == 'bad@hub.example', 'SELECT 1 FROM nothing', "
         "if_then(rcpt == 'slow@hub.example', 'SELECT pg_sleep(9)', "
         "'SELECT 1'))) == 1", by_postgresql(postgresql)).start()
    bad = sends_mail(yard, "a@client.example", "bad@hub.example")
    assert "nothing" in yard.wait("delivery_waits", message=bad)["text"]
    goes_to(yard, host)
    slow = sends_mail(yard, "a@client.example", "slow@hub.example")
    assert "time" in yard.wait("delivery_waits", message=slow)["text"]
    assert not yard.seen("delivery_deferred")


def test_postgresql_that_is_away_or_restarted(yard, host):
    with PostgreSQL() as server:
        asks(yard, host, "sql_query('routes', 'SELECT 1') == 1",
             by_postgresql(server, cache={"ttl": "0s"})).start()
        goes_to(yard, host)
        server.stop()
        server.start()
        # The idle connection is dead; a question that only reads is asked again over a new one.
        goes_to(yard, host, "c@hub.example", count=2)
        assert not yard.seen("lookup_away")
        server.stop()
        identity = sends_mail(yard, "a@client.example", "d@hub.example")
        assert yard.wait("lookup_away")["name"] == "routes"
        assert yard.wait("job_waits", message=identity)["reason"] == "strategy"


def test_local_sockets_do_as_well_and_a_password_out_of_a_file(yard, host, redis, postgresql):
    redis.says("-n", "3", "SET", "route:hub.example", "hub")
    secret = yard.folder / "secret"
    secret.write_text(redis.password + "\n")
    there = by_redis(redis, socket=str(redis.folder / "socket"), password={"file": str(secret)})
    there["tables"] = by_postgresql(postgresql, socket=str(postgresql.folder))["routes"]
    for store in there.values():
        del store["address"]
    del there["routes"]["port"]
    asks(yard, host, "key_exists('routes', rcpt_domain) && "
                     "sql_query('tables', 'SELECT hub FROM routes WHERE domain = $1', rcpt_domain) "
                     "== 'hub'", there).start()
    goes_to(yard, host)


# ---- names ----

def test_the_domain_name_system_is_asked(yard, host):
    with Nsd() as names:
        names.start({"list.test": "listed.hub.example A 127.0.0.2\n"
                                  "text TXT \"to hub\"\n@ MX 10 one\n@ MX 20 two"})
        asks(yard, host,
             "count(dns_query(rcpt_domain + '.list.test', 'ipv4')) == 1 && "
             "dns_query('text.list.test', 'txt')[0] == 'to hub' && "
             "dns_query('list.test', 'mx') == ['one.list.test', 'two.list.test'] && "
             "count(dns_query('none.list.test', 'ip')) == 0",
             resolver={"servers": [f"127.0.0.1:{names.port}"], "timeout": "2s"}).start()
        goes_to(yard, host, "b@listed.hub.example")
        names.end()
        identity = sends_mail(yard, "a@client.example", "b@fresh.hub.example")
        assert "dns_query" in yard.wait("delivery_waits", message=identity)["text"]


# ---- configuration ----

@pytest.mark.parametrize("condition, says", [
    ("key_get('rutes', rcpt) == 'x'", "there is no lookup.rutes"),
    ("key_get('*', rcpt) == 'x'", "there is no lookup.default"),
    ("sql_query('routes', 'SELECT 1') == 1", "of type file and cannot be asked sql_query"),
    ("key_set('routes', rcpt, 'x')", "of type file and cannot be asked key_set"),
])
def test_check_refuses_a_store_that_is_not_there_or_cannot_do_it(yard, host, condition, says):
    (yard.folder / "keys").write_text("a b\n")
    asks(yard, host, condition, {"routes": {"type": "file", "path": str(yard.folder / "keys")}})
    said = yard.with_config("check")
    assert said.returncode == 1
    assert says in said.stdout + said.stderr
    if "rutes" in condition:
        assert "did you mean routes?" in said.stdout + said.stderr


def test_a_store_that_is_computed_and_not_there_is_a_failed_look_up(yard, host):
    asks(yard, host, "key_get('to-' + rcpt_domain, rcpt) == 'x'").start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    assert "no such store" in yard.wait("delivery_waits", message=identity)["text"]


def test_acceptance_is_not_held_by_slow_look_ups(yard, host, postgresql):
    """Five seconds in all, however many recipients there are; then PY-46: `default` keeps them."""
    asks(yard, host, "rcpt_domain == 'hub.example'", by_postgresql(postgresql, timeout="2s"))
    yard.configure({"queue": {"strategy": {"schedule": [
        {"if": "sql_query('routes', 'SELECT pg_sleep(0.4)::text || $1', rcpt) != ''",
         "use": "remote"}, {"use": "remote"}]}}}).start()
    client = Client(yard.port)
    client.says("EHLO client.example", 250)
    began = time.monotonic()
    client.sends_mail("a@client.example", [f"b{n}@hub.example" for n in range(40)],
                      "Subject: x\r\n\r\nx\r\n")
    took = time.monotonic() - began
    assert 4 < took < 8, took
    assert yard.wait("schedule_fallback")["name"] == ""
    yard.wait("delivery_done", count=40)
    queues = {e["queue"] for e in yard.seen("delivery_done")}
    assert queues == {"remote", "default"}
    assert not yard.seen("lookup_away"), "it is slow, and answers"


def test_a_reload_gives_a_store_another_file(yard, host):
    old, new = yard.folder / "old", yard.folder / "new"
    old.write_text("other.example\n")
    new.write_text("hub.example\n")
    asks(yard, host, "key_exists('routes', rcpt_domain)",
         {"routes": {"type": "file", "path": str(old)}}).start()
    identity = sends_mail(yard, "a@client.example", "b@hub.example")
    yard.wait("delivery_deferred", message=identity)
    yard.configure({"lookup": {"routes": {"path": str(new)}}})
    assert yard.with_config("reload").returncode == 0
    yard.wait("delivery_done", message=identity)


def test_tls_that_cannot_be_decided_for_a_host_waits(yard, host, redis):
    """P8, PY-46: a late list that cannot ask never means less TLS; nobody is told of an attempt."""
    asks(yard, host, "rcpt_domain == 'hub.example'", by_redis(redis)).configure(
        {"queue": {"strategy": {"tls": [
            {"if": "mx != '' && key_get('routes', mx) == 'clear'", "use": "default"},
            {"use": "default"}]}}})
    yard.start()
    goes_to(yard, host)
    redis.says("-n", "3", "LPUSH", "route:127.0.0.1", "x")
    mark = yard.mark()
    time_of_cache = {"lookup": by_redis(redis, cache={"ttl": "0s", "negative-ttl": "0s"})}
    yard.configure(time_of_cache)
    assert yard.with_config("reload").returncode == 0
    identity = sends_mail(yard, "a@client.example", "c@hub.example")
    assert "WRONGTYPE" in yard.wait("delivery_waits", since=mark, message=identity)["text"]
    redis.says("-n", "3", "DEL", "route:127.0.0.1")
    assert len(host.wait_mail(1)) == 1
    assert not yard.seen("delivery_deferred", message=identity)

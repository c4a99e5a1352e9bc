"""Postyard itself, as a story meets it: a configuration, a process, and the events that it logs.

Stories match events (JSON lines on standard error), never prose, and wait for them with a deadline.
"""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from ports import free_port

TREE = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("POSTYARD", str(TREE / "build" / "postyard"))
PATIENCE = float(os.environ.get("STORY_PATIENCE", "20"))  # seconds for anything that must happen


def merged(base, change):
    """`change` laid over `base`: maps are joined, all else is replaced, None removes."""
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class Yard:
    """One Postyard. Its folder holds the configuration, the store, and the log of each start."""

    def __init__(self, folder, config=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.admin_port = free_port()
        self.file = self.folder / "postyard.yaml"
        self.mailboxes = self.folder / "mailboxes"
        self.log = self.folder / "log"
        self.process = None
        self.events = []
        self.lines = []  # what is not an event
        self.news = threading.Condition()
        self.config = {
            "server": {
                "hostname": "mx.example.org",
                "local-domains": ["example.org"],
                "postmaster": "admin@example.org",
                "trusted-networks": ["127.0.0.0/8"],
            },
            "listeners": {"smtp": {"bind": [f"127.0.0.1:{self.port}"]}},
            "admin": {"bind": [f"127.0.0.1:{self.admin_port}"],
                      "socket": str(self.folder / "admin.sock")},
            "store": {"path": str(self.folder / "store"), "segment-size": "1MiB",
                      "min-free": "1MiB"},
            "log": {"format": "json", "level": "debug"},
            "queue": {
                "schedule": {name: {"queue-name": name, "retry": ["1s"], "expire": "30s"}
                             for name in ("local", "remote", "dsn")},
                "route": {"local": {"type": "local", "deliver": "maildir",
                                    "path": str(self.mailboxes)}},
                "connection": {"default": {"rest": ["1s"]}},
            },
        }
        self.configure(config or {})

    # ---- configuration ----

    def configure(self, change):
        """Lays `change` over the configuration and writes the file (JSON is YAML too)."""
        self.config = merged(self.config, change)
        self.file.write_text(json.dumps(self.config, indent=2, ensure_ascii=False) + "\n")
        return self

    def relays(self, *pairs, **more):
        """Mail for each domain goes to the host named with it: ("hub.example", host)."""
        routes, rules = {}, []
        for domain, host in pairs:
            name = "to-" + domain.replace(".", "-")
            routes[name] = {"type": "relay", "address": "127.0.0.1", "port": host.port, **more}
            rules.append({"if": f"rcpt_domain == '{domain}'", "use": name})
        rules += [{"if": "is_local_domain('*', rcpt_domain)", "use": "local"}, {"use": "mx"}]
        return self.configure({"queue": {"route": routes, "strategy": {"route": rules}}})

    # ---- the process ----

    def start(self, *arguments, ready=True, **options):
        if self.is_up():
            raise AssertionError("it runs already")
        since = len(self.events)
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-c", str(self.file), *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
        self.reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        if ready:
            self.wait("server_ready", since=since)
        return self

    def _read(self, pipe):
        with open(self.log, "ab") as log:
            for raw in pipe:
                log.write(raw)
                log.flush()
                with self.news:
                    try:
                        self.events.append(json.loads(raw))
                    except ValueError:
                        self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                    self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, seconds=PATIENCE):
        """As an operator does: SIGTERM. Gives the exit status."""
        self.signal(signal.SIGTERM)
        return self.ended(seconds)

    def crash(self):
        """kill -9: nothing is said, nothing is finished."""
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self, seconds=PATIENCE):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._fail(f"does not end within {seconds} s")
        self.reader.join()
        return status

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def close(self):
        if self.is_up():
            self.process.kill()
            self.ended()

    def command(self, *words, timeout=PATIENCE, **options):
        """Another command of the same program with the same configuration."""
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=timeout,
                              **options)

    def with_config(self, *words, **options):
        return self.command(*words, "-c", str(self.file), **options)

    # ---- events ----

    def mark(self):
        """The place in the log to look from: wait(..., since=mark)."""
        with self.news:
            return len(self.events)

    def seen(self, event, since=0, **fields):
        with self.news:
            return [e for e in self.events[since:]
                    if matches(e.get("event"), event) and all(matches(e.get(k), v)
                                                      for k, v in fields.items())]

    def wait(self, event, since=0, count=None, seconds=PATIENCE, **fields):
        """The first such event, or the first `count` of them, as soon as they are logged."""
        end = time.monotonic() + seconds
        with self.news:
            while True:
                found = self.seen(event, since, **fields)
                if len(found) >= (count or 1):
                    return found[0] if count is None else found[:count]
                left = end - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    break
                self.news.wait(min(left, 0.2))
        wanted = " ".join([str(event), *(f"{k}={v}" for k, v in fields.items())])
        self._fail(f"no event: {wanted} (x{count or 1}, {len(found)} seen)")

    def wait_any(self, *events, **more):
        """The first of several events, whichever comes."""
        return self.wait(lambda name: name in events, **more)

    def _fail(self, why):
        with self.news:
            tail = "\n".join(self.lines[-10:] + [json.dumps(e) for e in self.events[-30:]])
        raise AssertionError(f"{why}\nthe log ends with:\n{tail}")

    # ---- mailboxes ----

    def mailbox(self, address):
        return [path.read_bytes() for path in sorted((self.mailboxes / address).glob("new/*"))]


def matches(value, wanted):
    return wanted(value) if callable(wanted) else value == wanted

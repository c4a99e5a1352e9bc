"""filters: Postyard and Postfix with a filter that takes everything (scanner.c), and the promises of
speed and memory that are made about filters.

The scanner speaks both protocols on two ports. As a hook it is asked at `data` and is sent the whole
message as JSON; as a milter it hears all of the message and answers only its end."""
import json
import os
import subprocess
import time

import memory
import mta
from load import BENCH

HOOK_PORT, MILTER_PORT, FILTERED_PORT = 26700, 26701, 26526
SLOW_CALLS, SLOW_S = 1000, 5


class Scanner:
    def __init__(self, delay_s=0):
        self.process = subprocess.Popen(
            [f"{BENCH}/bench-scanner", "--http", f"127.0.0.1:{HOOK_PORT}", "--milter",
             f"127.0.0.1:{MILTER_PORT}", "--delay-ms", str(delay_s * 1000)],
            stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        self.process.terminate()
        return json.loads(self.process.communicate()[0])


class PostyardHook(mta.Postyard):
    name = "postyard, hook"
    more = f"""hooks:
  - {{ name: scanner, url: "http://127.0.0.1:{HOOK_PORT}/", stages: [data] }}
"""


class PostyardMilter(mta.Postyard):
    name = "postyard, milter"
    more = f"""milters:
  - {{ name: scanner, address: "inet:127.0.0.1:{MILTER_PORT}" }}
"""


class PostyardSlow(mta.Postyard):
    """Asked about mail that comes to a listener of its own, and as many at a time as are to wait."""
    listeners = f'  filtered: {{ bind: ["127.0.0.1:{FILTERED_PORT}"] }}\n'
    more = f"""hooks:
  - name: scanner
    url: "http://127.0.0.1:{HOOK_PORT}/"
    stages: [data]
    enable: "listener == 'filtered'"
    concurrency: {SLOW_CALLS}
    connections: {SLOW_CALLS}
"""


class PostfixMilter(mta.PostfixTuned):
    name = "postfix, tuned, milter"
    settings = mta.PostfixTuned.settings + f"""smtpd_milters = inet:127.0.0.1:{MILTER_PORT}
milter_protocol = 6
milter_default_action = tempfail
"""


# The columns of `hook`, each with the program that must be asked for.
COLUMNS = {"postyard": mta.Postyard, "postyard-hook": PostyardHook,
           "postyard-milter": PostyardMilter, "postfix-milter": PostfixMilter}
KINDS = {**mta.ALL, **COLUMNS}


def columns(names):
    return [c for c in COLUMNS if any(n.split("-")[0] == c.split("-")[0] for n in names)]


def hooked(run, server, *words):
    """Starts the server, of which a filter may be asked from the first session on, and runs a case of
    throughput; with how many calls were answered."""
    with Scanner() as scanner:
        server.start()
        result = run(server, *words)
        told = scanner.end()
    result["calls"], result["scanner_connections"] = told["answered"], told["connections"]
    if type(server) is not mta.Postyard and told["answered"] == 0:
        raise RuntimeError(f"{server.name}: the filter was not asked")
    return result


def unrelated(load, seconds):
    """p99 of sessions that no filter is asked about, at an even rate; from when each was due."""
    tally = load(mta.SERVER_PORT, seconds, dict(sessions=50, each=0, size=4096, rate=100))
    return tally["latency_us"]["p99"], tally["refused"] + tally["lost"]


def slow(server, load, seconds):
    """1,000 calls that take five seconds each, all the time, and beside them other sessions; which
    were alone before, and then beside as many messages whose calls are answered at once."""
    calls = dict(sessions=SLOW_CALLS, each=0, size=4096, rate=SLOW_CALLS / SLOW_S)
    begin_s = 2 * SLOW_S  # until all of them wait
    result, refused = {}, 0

    def beside(delay_s):
        with Scanner(delay_s) as scanner:
            process = load(FILTERED_PORT, begin_s + seconds + 1, calls, wait=False)
            time.sleep(begin_s)
            p99_us, bad = unrelated(load, seconds)
            peak = memory.status_kib(server.pid, "VmHWM")
            tally = json.loads(process.communicate()[0])
            return p99_us, bad + tally["refused"] + tally["lost"], peak, scanner.end()

    result["slow_alone_p99_us"], refused = unrelated(load, seconds)
    result["slow_quick_p99_us"], bad, _, _ = beside(0)
    refused += bad
    time.sleep(2)
    before = memory.rss_kib(server.pid)
    memory.forget_peak(server.pid)
    result["slow_p99_us"], bad, peak, told = beside(SLOW_S)
    result.update(slow_waiting=told["waiting_max"], slow_more_kib=peak - before,
                  slow_delay=100 * (result["slow_p99_us"] / result["slow_alone_p99_us"] - 1),
                  slow_delay_quick=100 * (result["slow_p99_us"] / result["slow_quick_p99_us"] - 1),
                  refused=refused + bad)
    return result


def large(server, sink, size):
    """What a message that a hook is asked about adds at its peak, beyond what it is as JSON."""
    with Scanner() as scanner:
        result = memory.in_flight(server, sink, size)
        told = scanner.end()
    more = result.pop("flight_more_kib")
    result.update(hook_more_kib=more, hook_json_kib=told["body_max"] / 1024,
                  hook_over_kib=more - told["body_max"] / 1024)
    return result


def judge_hook(medians):
    """The promises of `hook`, from the medians of throughput of its columns: (text, whether kept)."""
    ours = medians.get("postyard-hook")
    rows = []
    if ours and medians.get("postyard"):
        share = ours / medians["postyard"]
        rows.append((f"{share:.2f} of what it is without, promised 0.5", share >= 0.5))
    if ours and medians.get("postfix-milter"):
        times = ours / medians["postfix-milter"]
        rows.append((f"{times:.1f} x Postfix with a milter, promised 2", times >= 2))
    return rows


def make(folder, name, case):
    special = {"hook-slow": PostyardSlow, "hook-large": PostyardHook,
               "queue": mta.PostyardQueueing}
    return special.get(case, KINDS[name])(os.path.join(folder, "mta"))

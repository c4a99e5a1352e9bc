"""`postyard simulate`: the real queue and delivery in virtual time, as an operator plays with it."""

import json
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
LONG = 180  # seconds of patience: a shared machine may be slow


def plays(yard, scenario, *words, folder, name="report"):
    """Plays a scenario; gives its JSON and text."""
    json_file = folder / f"{name}.json"
    answer = yard.command("simulate", "--scenario", str(scenario), "--json", str(json_file), *words,
                          timeout=LONG)
    assert answer.returncode == 0, answer.stderr
    return json.loads(json_file.read_text()), answer.stdout


def of(report, kind, name):
    return next(e for e in report[kind] if e["name"] == name)


def test_the_storm_of_bounces_stays_in_its_queue(yard, tmp_path):
    """P2: ordinary mail is as fast in the storm as before it."""
    report, text = plays(yard, SCENARIOS / "dsn-storm.yaml", "--duration", "14m", folder=tmp_path)
    ordinary, reports = of(report, "classes", "ordinary"), of(report, "classes", "(reports)")
    assert report["reports"] == 20000
    assert report["unstarted"] == 0
    assert reports["waiting"] > 19000
    assert ordinary["offered"] - ordinary["delivered"] < 100  # what is under way at the end
    storm = 10 * 60 * 1000 // report["sample_ms"]
    before, after = (max(ordinary["series"]["p50_us"][a:b]) for a, b in ((1, storm), (storm, -1)))
    assert after < 2 * before
    assert of(report, "queues", "dsn")["waited_ms"]["slow-limit"] > 0
    assert "ordinary" in text and "slow-limit" in text


def test_a_tarpit_holds_up_nobody_else(yard, tmp_path):
    """P2 and P3: neither in a queue of its own nor in one that it shares."""
    report, _ = plays(yard, SCENARIOS / "tarpit.yaml", "--duration", "55m", folder=tmp_path)
    others = of(report, "classes", "others")
    drips = 30 * 60 * 1000 // report["sample_ms"]
    p99 = others["series"]["p99_us"]
    assert others["offered"] - others["delivered"] < 100
    assert max(p99[drips:]) < 2 * max(p99[1:drips])
    assert of(report, "classes", "molasses")["waited_ms"]["no-slot"] > 0
    assert report["unstarted"] == 0


SMALL = """
duration: 5m
sample: 5s
destinations:
  good: { domains: ["d#.good.example"], count: 20, latency: [10ms, 100ms, 1s] }
  flaky: { domains: [flaky.example], behaviour: ["refuse:rcpt:451:4.7.1 Later@0.5"] }
  bad: { domains: [bad.example], behaviour: ["refuse:rcpt:550:5.1.1 No"] }
  busy: { domains: [busy.example], rate-max: 1/1s }
weather:
  - { name: outage, destination: good, from: 2m, until: 3m, network: refused }
traffic:
  mixed:
    rate: [5/s]
    to: ["5 a@d#.good.example", "a@flaky.example", "a@bad.example", "a@busy.example", "a@nowhere.example"]
    recipients: 2
  large: { burst: [3 at 1m], to: ["a@d1.good.example"], size: 300KiB }
"""


def test_the_same_seed_gives_the_same_report(yard, tmp_path):
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL)
    reports = []
    for name, words in (("a", ()), ("b", ()), ("c", ("--seed", "2"))):
        page = tmp_path / f"{name}.html"
        _, text = plays(yard, scenario, "-c", str(yard.file), "--html", str(page), *words,
                        folder=tmp_path, name=name)
        reports.append((text, (tmp_path / f"{name}.json").read_bytes(), page.read_bytes()))
    assert reports[0] == reports[1]
    assert reports[0][1] != reports[2][1]


def test_what_is_counted_adds_up(yard, tmp_path):
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL)
    yard.configure({"queue": {"schedule": {"remote": {"retry": ["10s"], "expire": "2m"}}}})
    report, _ = plays(yard, scenario, "-c", str(yard.file), folder=tmp_path)
    for row in report["classes"]:
        assert row["delivered"] + row["failed"] + row["waiting"] == row["offered"], row["name"]
        assert sum(row["series"]["offered"]) == row["offered"] or row["name"] == "(reports)"
        assert sum(row["series"]["delivered"]) == row["delivered"]
    mixed = of(report, "classes", "mixed")
    assert mixed["failed"] > 0 and mixed["retries"] > 0
    assert mixed["waited_ms"]["not-due"] > 0
    assert of(report, "classes", "large")["delivered"] == 3
    assert of(report, "destinations", "good")["messages"] > 0
    assert of(report, "destinations", "busy")["messages"] <= 5 * 60 + 2
    assert report["weather"] == [{"name": "outage", "destination": "good", "from_ms": 120000,
                                  "until_ms": 180000}]


def test_the_page_needs_nothing_else(yard, tmp_path):
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL + "description: '</script> & friends'\n")
    page = tmp_path / "page.html"
    plays(yard, scenario, "-c", str(yard.file), "--duration", "30s", "--html", str(page),
          folder=tmp_path)
    text = page.read_text()
    assert text.count("</script>") == 1
    assert "src=" not in text and "href=" not in text and "url(" not in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0


def test_mistakes_are_told_with_their_place(yard, tmp_path):
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL.replace("weather:", "wether:").replace("[5/s]", "[5]"))
    answer = yard.command("simulate", "--scenario", str(scenario))
    assert answer.returncode == 1
    assert "small.yaml:9:1" in answer.stderr and "weather" in answer.stderr
    nothing = yard.command("simulate")
    assert nothing.returncode == 64 and "--scenario" in nothing.stderr


LOCAL = {
    "server": {"local-domains": ["boxes.example", "tickets.example", "lmtp.example", "spare.example"]},
    "queue": {
        "route": {
            "boxes": {"type": "local", "deliver": "maildir", "path": "/nowhere/boxes"},
            "tickets": {"type": "local", "deliver": "pipe", "command": ["/usr/bin/false"], "command-timeout": "30s"},
            "lmtp": {"type": "local", "address": "127.0.0.1", "port": 24},
            "spare": {"type": "local", "deliver": "maildir", "path": "/nowhere/spare"},
            "mx": {"type": "mx"}},
        "schedule": {"local": {"retry": ["10s"], "expire": "1d", "queue-name": "local"},
                     "remote": {"retry": ["10s"], "expire": "1d", "queue-name": "remote"}},
        "strategy": {"route": [{"if": f"rcpt_domain == '{name}.example'", "use": name}
                               for name in ("boxes", "tickets", "lmtp", "spare")] + [{"use": "mx"}]}},
}

WRONG = """
duration: 10m
sample: 10s
destinations:
  far: { domains: [far.example] }
  gone: { domains: [gone.example], dns: [no-name] }
  sick: { domains: [sick.example], dns: [servfail] }
  boxes: { route: boxes, latency: [50ms] }
  tickets: { route: tickets, latency: [100ms, 200ms, 1s], local: ["exit:75:busy@0.3", "exit:67:nobody@0.1"] }
weather:
  - { name: no-answer, destination: far, from: 2m, until: 4m, dns: [silent] }
  - { name: disk-full, destination: boxes, from: 5m, until: 6m, local: [full] }
  - { name: hangs, destination: tickets, from: 7m, until: 8m, local: [silent] }
traffic:
  far: { rate: [1/s], to: [a@far.example] }
  gone: { burst: [5 at 1m], to: [a@gone.example] }
  sick: { burst: [5 at 1m], to: [a@sick.example] }
  boxes: { rate: [1/s], to: [a@boxes.example] }
  tickets: { rate: [1/s], to: [a@tickets.example] }
  lmtp: { rate: [1/s], to: [a@lmtp.example] }
  spare: { rate: [1/s], to: [a@spare.example] }
"""


def test_names_maildirs_and_programs_fail_as_described(yard, tmp_path):
    """Nothing is looked up, written or run: /usr/bin/false would fail all, /nowhere cannot be made."""
    scenario = tmp_path / "wrong.yaml"
    scenario.write_text(WRONG)
    yard.configure(LOCAL)
    report, text = plays(yard, scenario, "-c", str(yard.file), folder=tmp_path)
    assert report["unstarted"] == 0

    def worst(name, begin, end):  # the longest median of a sample in these minutes
        medians = of(report, "classes", name)["series"]["p50_us"]
        return max(medians[begin * 6:end * 6]) / 1e6

    far = of(report, "classes", "far")
    assert far["retries"] >= 120 and far["failed"] == 0 and far["waiting"] < 10
    assert worst("far", 0, 2) < 1 < 10 < worst("far", 4, 5)
    gone, sick = of(report, "classes", "gone"), of(report, "classes", "sick")
    assert (gone["failed"], gone["retries"]) == (5, 0)
    assert (sick["waiting"], sick["failed"]) == (5, 0) and sick["retries"] > 100

    boxes = of(report, "classes", "boxes")
    assert boxes["failed"] == 0 and boxes["retries"] >= 60
    assert worst("boxes", 0, 5) < 1 and worst("boxes", 6, 7) > 10
    tickets = of(report, "classes", "tickets")
    assert tickets["retries"] > 100 and tickets["failed"] > 20  # EX_TEMPFAIL, and EX_NOUSER
    assert of(report, "destinations", "tickets")["refusals"] > 120
    for name in ("lmtp", "spare"):  # nothing is said of these
        row = of(report, "classes", name)
        assert row["delivered"] >= row["offered"] - 2 and row["retries"] == row["failed"] == 0
        assert row["max_us"] < 1000000
    assumed = [d["name"] for d in report["destinations"] if d["assumed"]]
    assert sorted(assumed) == ["(lmtp)", "(spare)"]
    assert "not in the scenario, so all their mail was taken at once" in text


def test_words_that_do_not_fit_the_configuration_are_told(yard, tmp_path):
    scenario = tmp_path / "wrong.yaml"
    scenario.write_text(WRONG.replace("local: [full]", "local: [killed]").replace("route: boxes", "route: boxs"))
    yard.configure(LOCAL)
    answer = yard.command("simulate", "-c", str(yard.file), "--scenario", str(scenario))
    assert answer.returncode == 1
    assert "wrong.yaml:8:19: the configuration has no route boxs" in answer.stderr
    assert "did you mean boxes?" in answer.stderr

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

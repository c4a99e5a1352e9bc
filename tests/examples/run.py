#!/usr/bin/env python3
"""The examples of docs/queues-and-strategies.md do what they say: run.py PROGRAM.

Each docs/examples/NAME.yaml passes `postyard check --strict`, and its comments are true:

    # explain: ARGUMENTS of `postyard explain`
    # gives: STRATEGY=NAME ... lane=NAME weight=N

NAME.scenario.yaml is played; its comments say what must hold of the report, in Python:

    # holds: EXPRESSION over `classes`, `queues` (by name)

Each is shown in the chapter, and each expression in single quotes."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "examples"
CHAPTER = ROOT / "docs" / "queues-and-strategies.md"
FEWEST = 6


def runs(*words):
    answer = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300,
                            env={**os.environ, "RELAY_PASSWORD": "a password"})
    assert answer.returncode == 0, f"{words}: {answer.stdout}{answer.stderr}"
    return answer.stdout


def is_explained(program, file, text):
    runs(program, "check", "--strict", "-c", file)
    asked = re.findall(r"^# explain: (.*)\n# gives: (.*)$", text, re.M)
    assert asked, f"{file.name} explains nothing"
    assert len(asked) == text.count("# explain:") == text.count("# gives:"), file.name
    for words, wanted in asked:
        answer = json.loads(runs(program, "explain", "-c", file, "--json", *shlex.split(words)))
        to = answer["recipients"][0]
        given = {strategy: made["name"] for strategy, made in to["decisions"].items() if "name" in made}
        given |= {"lane": to["lane"]["name"], "weight": str(to["lane"]["weight"])}
        for each in wanted.split():
            strategy, name = each.split("=")
            got = given[strategy]
            assert got == name, f"{file.name}: {words}: {strategy} is {got}, not {name}"
    for expression in re.findall(r"(?:if|then|fair-by): (.*)", text):
        assert expression.startswith("'"), f"{file.name}: {expression} is not in single quotes"


def is_played(program, file, text):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        runs(program, "simulate", "--quiet", "--scenario", file, "--json", report)
        made = json.loads(report.read_text())
    names = {kind: {each["name"]: each for each in made[kind]} for kind in ("classes", "queues")}
    claims = re.findall(r"^# holds: (.*)$", text, re.M)
    assert claims, f"{file.name} claims nothing"
    for claim in claims:
        assert eval(claim, {"max": max}, names), f"{file.name}: {claim}"


def main():
    program = Path(sys.argv[1]).resolve()
    files = sorted(FOLDER.glob("*.yaml"))
    chapter = CHAPTER.read_text()
    examples = 0
    for file in files:
        text = file.read_text()
        assert f"examples/{file.name}" in chapter, f"the chapter does not name {file.name}"
        if file.name.endswith(".scenario.yaml"):
            is_played(program, file, text)
        else:
            is_explained(program, file, text)
            examples += 1
    for name in re.findall(r"\]\((examples/[^)]+)\)", chapter):
        assert (ROOT / "docs" / name).exists(), name
    assert examples >= FEWEST
    print(f"{examples} examples, {len(files) - examples} scenarios")


if __name__ == "__main__":
    main()

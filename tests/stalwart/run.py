#!/usr/bin/env python3
"""tools/stalwart-to-postyard on whole files: run.py PROGRAM [write].

NAME.toml becomes NAME.yaml, and NAME.notes says what was told; what is made passes `postyard check`. With
`write` both are written anew; read them before you believe them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TOOL = FOLDER.parents[1] / "tools" / "stalwart-to-postyard"


def is_translated(program, file):
    made = subprocess.run([sys.executable, TOOL, file], capture_output=True, text=True, timeout=60)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "postyard.yaml"
        result.write_text(made.stdout)
        checked = subprocess.run([program, "check", "-c", result], capture_output=True, text=True,
                                 timeout=60, env={**os.environ, "HUB_SECRET": "a secret"})
    assert checked.returncode == 0, f"{file.name}: {checked.stdout}{checked.stderr}"
    notes = f"exit code {made.returncode}\n{made.stderr}"
    for suffix, got in ((".yaml", made.stdout), (".notes", notes)):
        expected = file.with_suffix(suffix)
        if "write" in sys.argv:
            expected.write_text(got)
        assert got == expected.read_text(), f"{expected.name} differs:\n{got}"


def a_file_that_is_no_toml_is_refused():
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("queue = [\n")
        file.flush()
        made = subprocess.run([sys.executable, TOOL, file.name], capture_output=True, text=True, timeout=60)
    assert made.returncode == 1 and file.name in made.stderr and not made.stdout


def main():
    program = Path(sys.argv[1]).resolve()
    files = sorted(FOLDER.glob("*.toml"))
    assert len(files) >= 3
    for file in files:
        is_translated(program, file)
    a_file_that_is_no_toml_is_refused()
    print(f"{len(files)} files translated")


if __name__ == "__main__":
    main()

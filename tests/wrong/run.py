#!/usr/bin/env python3
"""Wrong configurations, and what `postyard check --strict` says of each: run.py PROGRAM [write].

Comments of each file say what is expected, all of it, in order:

    # says: LINE:COLUMN: MESSAGE
    # hint: what to do about it

What ends in ", ..." is a beginning.

With `write` the comments of files that have none are written from what the program says; read them
before you believe them.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FEWEST = 60  # files without which this test would pass for the wrong reason


def said(program, file):
    """What the program says: lines as in the files."""
    answer = subprocess.run([program, "check", "--strict", "-c", file.name], cwd=file.parent,
                            capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1, f"{file.name}: exit code {answer.returncode}: {answer.stderr}"
    lines = []
    for line in (answer.stdout + answer.stderr).replace(f"{file.parent}/", "").splitlines():
        fault = re.fullmatch(re.escape(file.name) + r":(\d+:\d+: .*)", line)
        hint = re.fullmatch(r" +hint: (.*)", line)
        if fault:
            lines.append(f"# says: {fault[1]}")
        elif hint:
            lines.append(f"# hint: {hint[1]}")
    return lines


def agree(got, wanted):
    return len(got) == len(wanted) and all(
        g.startswith(w[:-3]) if w.endswith(", ...") else g == w for g, w in zip(got, wanted))


def main():
    program = str(Path(sys.argv[1]).resolve())
    files = sorted(FOLDER.glob("*.yaml"))
    bad = 0
    assert len(files) >= FEWEST, f"only {len(files)} files"
    for file in files:
        wanted = [line for line in file.read_text().splitlines()
                  if line.startswith(("# says: ", "# hint: "))]
        got = said(program, file)
        if not wanted and "write" in sys.argv:
            file.write_text(file.read_text() + "".join(f"{line}\n" for line in got))
        elif not wanted or not agree(got, wanted):
            bad += 1
            print(f"{file.name}:", *("  wanted " + w for w in wanted), *("  got    " + g for g in got),
                  sep="\n")
    print(f"{len(files)} wrong configurations, {bad} answered otherwise")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

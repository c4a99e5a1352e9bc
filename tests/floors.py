#!/usr/bin/env python3
"""The house keeps its shape: includes go down, and each kind of outside thing has one door.

Prints one line for each finding; exit status 1 when there is one."""
import pathlib
import re
import sys

FLOORS = [
    ["base"],
    ["mail", "config", "runtime"],
    ["tls", "dns", "http", "expr", "lookup", "doc", "mime"],
    ["smtp", "strategy", "store", "hooks", "limit"],
    ["queue"],
    ["inbound", "delivery", "play"],
    ["admin"],
    ["cli"],
    ["main"],
]
FLOOR = {folder: n for n, folders in enumerate(FLOORS) for folder in folders}

# Each outside library is included by one folder.
LIBRARIES = {
    "openssl/": "tls",
    "unbound": "dns",
    "microhttpd": "http",
    "curl/": "http",
    "pcre2": "expr",
    "libfyaml": "config",
    "jansson": "doc",
    "cbor": "doc",
    "gmime/": "mime",
    "idn2": "dns",
    "hiredis/": "lookup",
    "libpq": "lookup",
    "sqlite3": "lookup",
    "boost": "runtime",
    "valgrind/": "runtime",
    "sanitizer/": "runtime",
}

# What only runtime/ may do. base/crc prepares its tables once and may use pthread_once for it.
ONLY_RUNTIME = re.compile(
    r"\b(pthread_\w+|clock_gettime|gettimeofday|time\(NULL\)|socket\(|getrandom|epoll_(?:c|p?wait)\w*|"
    r"nanosleep|usleep)"
)
RUNTIME_EXCEPTIONS = {("base/crc.c", "pthread_once"), ("base/crc.c", "pthread_once_t")}

# Functions that cannot be used safely, or not at all (style guide).
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol)\s*\(")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def strip(text):
    """Without comments and the insides of strings, line numbers kept."""
    pattern = r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: '""' if m[0][0] == '"' else "\n" * m[0].count("\n"), text,
                  flags=re.S)


def main(root):
    findings = []
    src = root / "src"
    for path in sorted(src.rglob("*.[chd]*")):
        if path.suffix not in (".c", ".h", ".def"):
            continue
        name = str(path.relative_to(src))
        folder = name.split("/")[0]
        raw = path.read_text()
        for n, line in enumerate(raw.splitlines(), 1):
            where = f"src/{name}:{n}"
            inner = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            outer = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if inner:
                other = inner[1].split("/")[0]
                if "/" not in inner[1]:
                    findings.append(f'{where}: write the folder too: "{folder}/{inner[1]}"')
                elif other != folder and FLOOR.get(other, 99) >= FLOOR[folder]:
                    findings.append(f"{where}: {folder} (floor {FLOOR[folder]}) includes {inner[1]}"
                                    f" (floor {FLOOR.get(other)})")
            if outer:
                for prefix, owner in LIBRARIES.items():
                    if outer[1].startswith(prefix) and folder != owner:
                        findings.append(f"{where}: <{outer[1]}> belongs to {owner}/")
            if MARKS.search(line):
                findings.append(f"{where}: unfinished: {line.strip()}")
        for n, line in enumerate(strip(raw).splitlines(), 1):
            where = f"src/{name}:{n}"
            banned = BANNED.search(line)
            if banned:
                findings.append(f"{where}: {banned[1]} is banned")
            for use in ONLY_RUNTIME.finditer(line):
                word = use[1].rstrip("(")
                if folder != "runtime" and (name, word) not in RUNTIME_EXCEPTIONS:
                    findings.append(f"{where}: {word} belongs to runtime/")
    for finding in findings:
        print(finding)
    print(f"{len(FLOOR)} folders, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(__file__).resolve().parent.parent))

"""Texts of a Stalwart configuration: values, expressions, and the little YAML they become."""

import ipaddress
import re

VARIABLES = {"received_via_port", "remote_port", "local_port", "protocol", "is_tls", "asn", "country"}
LATE = {"mx", "remote_ip", "local_ip"}  # known to connection and tls
FUNCTIONS = {"config_get", "system", "metric"}
STORES = {"key_get", "key_exists", "key_set", "counter_get", "counter_incr", "sql_query"}
LOOKUPS = STORES | {"dns_query"}
# What a match of arriving mail reads there and not here.
NOT_OF_VISITORS = {"protocol", "asn", "country", "recipients", "queue_name", "mx", "received_via_port"}
NOT_OF_HOOKS = NOT_OF_VISITORS - {"recipients"} | {"remote_port", "priority"}


class Left(Exception):
    """This cannot be translated, and why."""


class Yaml:
    """The little YAML that is needed: maps, lists, texts; flow style for lists of texts."""

    class Quoted(str):
        """An expression: always in single quotes."""

    @staticmethod
    def scalar(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9._/-]*|[0-9]+(ms|[smhdB])", value)
        if plain and value.lower() not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n") \
                and not isinstance(value, Yaml.Quoted):
            return value
        if re.search(r"[\x00-\x1f\x7f]", value):
            return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 or c in '"\\' else c
                                 for c in value) + '"'
        return "'" + value.replace("'", "''") + "'"

    @staticmethod
    def lines(value, indent=0):
        pad = "  " * indent
        for key, each in value.items():
            name = Yaml.scalar(key)
            if isinstance(each, dict):
                yield f"{pad}{name}:" if each else f"{pad}{name}: {{}}"
                yield from Yaml.lines(each, indent + 1)
            elif isinstance(each, list) and each and isinstance(each[0], dict):
                yield f"{pad}{name}:"
                for rule in each:
                    for i, line in enumerate(Yaml.lines(rule)):
                        yield f"{pad}  {'- ' if i == 0 else '  '}{line}"
            elif isinstance(each, list):
                yield f"{pad}{name}: [{', '.join(Yaml.scalar(e) for e in each)}]"
            else:
                yield f"{pad}{name}: {Yaml.scalar(each)}"


# ---- values ----

def text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, str)):
        if "%{" in str(value):
            raise Left("macros (%{...}%) are not read here: write the value")
        return str(value)
    raise Left("this is not the kind of value that is expected")


def number(value):
    if not re.fullmatch(r"\d+", text(value).strip()):
        raise Left("this is no number")
    return int(text(value))


def truth(value):
    return text(value).strip().lower() == "true"


def duration(value):
    found = re.fullmatch(r"(\d+)(ms|[smhd])?", text(value).lower().replace(" ", ""))
    if not found or int(found[1]) == 0:
        raise Left("this is no length of time")
    return found[1] + (found[2] or "ms")  # a bare number counts milliseconds there


def milliseconds(value):
    count, unit = re.fullmatch(r"(\d+)(ms|[smhd])", value).groups()
    return int(count) * {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}[unit]


def many(value):
    """One value, a list, or the flattened form with numbers as keys."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else [value]


def address(value):
    try:
        return str(ipaddress.ip_address(text(value).strip()))
    except ValueError:
        raise Left("this is no IP address") from None


def secret(value):
    if isinstance(value, str) and (macro := re.fullmatch(r"%\{(env|file):([^}]+)\}%", value)):
        return {macro[1]: macro[2]}
    return text(value)


# ---- expressions ----

TOKEN = re.compile(r"""\s+|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\d+(?:\.\d+)?(?:ms|[smhd])?\b|\$?\w+|[&|=!<>]=?&?\|?|.""",
                   re.S)


def requote(token):
    """A text in double quotes: the expression stands in single ones."""
    if token[0] != "'" or '"' in token:
        return token
    return '"' + token[1:-1].replace("\\'", "'") + '"'


def expression(source, which, tell):
    """The same expression here; `tell` hears what now means something else."""
    source = text(source)
    tokens = [t for t in TOKEN.findall(source) if not t.isspace()]
    ages = {"queue_age", "expires_in"} & set(tokens)
    for i, token in enumerate(tokens):
        called = i + 1 < len(tokens) and tokens[i + 1] == "("
        if which in ("inbound", "hook"):
            if token in (NOT_OF_VISITORS if which == "inbound" else NOT_OF_HOOKS):
                raise Left(f"there is no variable {token} here")
        elif token in VARIABLES or (token in LATE and which not in ("connection", "tls")):
            raise Left(f"there is no variable {token} here")
        if called and token in FUNCTIONS:
            raise Left(f"{token} is not offered")
        if called and token in STORES:
            raise Left(f"{token} asks a store: declare it below `lookup`, then write this rule")
        if token.strip("'\"") in ("dmarc_pass", "unknown") and "source" in tokens:
            raise Left(f"source is never {token} here")
    made, i = [], 0
    spaced = TOKEN.findall(source)
    while i < len(spaced):
        token = spaced[i]
        divided = re.match(r"\s*/\s*1000\b", "".join(spaced[i + 1:i + 6]))
        if ages and re.fullmatch(r"\d+(ms|[smhd])", token):
            if divided:  # 1h / 1000: milliseconds as seconds, done by hand
                made.append(str(milliseconds(token) // 1000))
                skip = divided.end()
                while skip > 0:
                    i += 1
                    skip -= len(spaced[i])
            else:
                made.append(token)
                tell(f"{token} beside {sorted(ages)[0]} is {token} here; there it was "
                     f"{milliseconds(token)} seconds")
        else:
            made.append(requote(token) if token[0] in "'\"" else token)
        i += 1
    return Yaml.Quoted("".join(made).strip())


def condition(given, tell):
    """Rules that end in true or false, or one expression, as one expression."""
    entries = [{"else": given}] if isinstance(given, (str, bool, int)) else many(given)
    if not entries or "else" not in entries[-1]:
        raise Left("enable does not end in else")

    def one(value):
        if asks := sorted(LOOKUPS & set(TOKEN.findall(text(value)))):
            raise Left(f"enable asks for something ({asks[0]}), and nobody can wait for the answer there")
        return expression(text(value), "hook", tell)

    made = one(entries[-1]["else"])
    for entry in reversed(entries[:-1]):
        if entry.keys() != {"if", "then"} or text(entry["then"]) not in ("true", "false"):
            raise Left("enable has rules with other results than true and false")
        when, then = one(entry["if"]), text(entry["then"])
        if {then, made} == {"true", "false"}:
            made = when if then == "true" else f"!({when})"
        else:
            made = f"({when}) || ({made})" if then == "true" else f"!({when}) && ({made})"
    return Yaml.Quoted(made)

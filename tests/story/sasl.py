"""The server's side of SASL as SMTP speaks it (RFC 4954), for hosts that want to know who we are."""

import base64
import hashlib
import hmac
import os

MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256")
ROUNDS = 4096


def encoded(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def decoded(text):
    return base64.b64decode(text, validate=True).decode()


def serve(line, accounts, mechanisms, say, hear):
    """(who, the last answer). `line` is the AUTH command; say and hear speak in lines."""
    words = line.split(" ")
    mechanism = words[1].upper()
    if mechanism not in mechanisms:
        return None, "504 5.5.4 not that one"

    def asked(prompt):
        say("334 " + encoded(prompt))
        return decoded(hear())

    first = decoded(words[2]) if len(words) > 2 else None
    if mechanism == "PLAIN":
        _, who, secret = (first if first is not None else asked("")).split("\0")
        good = accounts.get(who) == secret
    elif mechanism == "LOGIN":
        who = first if first is not None else asked("Username:")
        good = accounts.get(who) == asked("Password:")
    else:
        who, good = scram(first if first is not None else asked(""), accounts, asked)
    return (who, "235 2.7.0 welcome") if good else (None, "535 5.7.8 no such pair")


def scram(first, accounts, asked):
    """RFC 5802, with the server's last message in a 334 and an empty answer to it."""
    bare = first.removeprefix("n,,")
    given = dict(part.split("=", 1) for part in bare.split(","))
    who, secret = given["n"], accounts.get(given["n"], "")
    salt, nonce = os.urandom(16), given["r"] + encoded(os.urandom(9))
    challenge = f"r={nonce},s={encoded(salt)},i={ROUNDS}"
    answer = asked(challenge)
    without_proof, proof = answer.rsplit(",p=", 1)

    def mac(key, text):
        return hmac.new(key, text.encode(), "sha256").digest()

    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, ROUNDS)
    said_by_all = f"{bare},{challenge},{without_proof}"
    stored = hashlib.sha256(mac(salted, "Client Key")).digest()
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mac(stored, said_by_all)))
    if hashlib.sha256(client_key).digest() != stored or who not in accounts:
        return who, False
    asked("v=" + encoded(mac(mac(salted, "Server Key"), said_by_all)))
    return who, True

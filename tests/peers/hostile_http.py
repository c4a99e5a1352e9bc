#!/usr/bin/env python3
"""An HTTP server that behaves badly, as the path asks; for tests of those who call others.

    hostile_http.py FOLDER

makes certificates in FOLDER, listens, prints one line "NAME VALUE" for each door and file, then
"ready", and ends when its standard input does. Doors: http, https, self-signed, wrong-name, expired,
client-certificate (asks for one), old-tls (1.1 only), not-tls (speaks no TLS), silent (takes
connections and says nothing), local (a Unix socket). Files: ca, certificate, key (of a client).

Paths, with a query that is ignored; all but those that end the connection keep it:
    /echo              what was asked, as JSON: method, path, fields, length, sha256
    /count             what was met so far: connections, requests; and open, connections now
    /status/NNN        that status, with a small body
    /say/BODY          200, application/json and BODY, percent-decoded
    /type/MAIN/SUB     that Content-Type
    /answer/MAIN/SUB/DATA   200, that Content-Type, and DATA, base64url-decoded
    /created/MAIN/SUB/DATA  the same with 201
    /file/MAIN/SUB/NAME     200, with the file of that name in FOLDER
    /register/FORMAT/PATH   a registration as draft-degennaro-mta-hooks-01 has it, for stage data,
                       in json or cbor, whose calls go to /PATH
    see the functions below for the rest: the name of a behaviour is the first part of its path.
"""

import asyncio
import base64
import gzip
import hashlib
import json
import pathlib
import ssl
import subprocess
import sys
import urllib.parse
import warnings

FOLDER = pathlib.Path(sys.argv[1]).resolve()
BEHAVIOURS = {}
COUNTS = {"connections": 0, "requests": 0, "open": 0}


def behaviour(f):
    BEHAVIOURS[f.__name__.removeprefix("do_").replace("_", "-")] = f
    return f


class Call:
    """One request; what is answered to it."""

    def __init__(self, reader, writer, method, path, fields, served):
        self.reader, self.writer = reader, writer
        self.method, self.path, self.fields = method, path, fields
        self.served = served  # requests on this connection before
        self.parts = path.split("?")[0].split("/")[2:]
        self.body = b""
        self.keep = True

    async def read_body(self):
        if "chunked" in self.fields.get("transfer-encoding", ""):
            pieces = []
            while True:
                size = int((await self.reader.readline()).split(b";")[0], 16)
                pieces.append((await self.reader.readexactly(size + 2))[:-2])
                if size == 0:
                    break
            self.body = b"".join(pieces)
        else:
            length = int(self.fields.get("content-length", 0))
            self.body = await self.reader.readexactly(length)

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status=200, body=b'{"action":"accept"}', *lines,
                     kind="application/json"):
        head = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}",
                f"Content-Length: {len(body)}", *lines]
        if status == 204:
            del head[1:3]
            body = b""
        await self.raw("\r\n".join(head).encode() + b"\r\n\r\n" +
                       (b"" if self.method == "HEAD" else body))

    def ms(self, default):
        return (int(self.parts[0]) if self.parts else default) / 1000


# ---- well-behaved ----


@behaviour
async def do_echo(c):
    digest = hashlib.sha256(c.body).hexdigest()
    await c.answer(200, json.dumps({"method": c.method, "path": c.path, "fields": c.fields,
                                    "length": len(c.body), "sha256": digest,
                                    "served": c.served}).encode())


@behaviour
async def do_count(c):
    await c.answer(200, json.dumps(COUNTS).encode())


@behaviour
async def do_status(c):
    await c.answer(int(c.parts[0]))


@behaviour
async def do_say(c):
    await c.answer(200, urllib.parse.unquote_to_bytes(c.path.split("/", 2)[2]))


@behaviour
async def do_type(c):
    await c.answer(200, b"<html>words</html>", kind="/".join(c.parts))


@behaviour
async def do_answer(c):
    await c.answer(200, base64.urlsafe_b64decode("".join(c.parts[2:])),
                   kind="/".join(c.parts[:2]))


@behaviour
async def do_created(c):
    await c.answer(201, base64.urlsafe_b64decode("".join(c.parts[2:])),
                   kind="/".join(c.parts[:2]))


@behaviour
async def do_file(c):
    await c.answer(200, (FOLDER / c.parts[2]).read_bytes(), kind="/".join(c.parts[:2]))


@behaviour
async def do_register(c):
    await c.answer(201, json.dumps({
        "registrationId": "r", "status": "active", "createdAt": None, "expiresAt": None,
        "hookEndpoint": "/" + "/".join(c.parts[1:]),
        "endpoints": {"status": "/status/200", "deregistration": "/status/200"},
        "negotiated": {"serialization": c.parts[0], "outbound": None, "inbound": {
            "stages": ["data"], "properties": ["/stage", "/action", "/rawMessage"]}}}).encode())


@behaviour
async def do_busy(c):
    """503 with Retry-After"""
    await c.answer(503, b"later", "Retry-After: 17", kind="text/plain")


@behaviour
async def do_no_length(c):
    """a body that ends with the connection"""
    await c.raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    c.keep = False


@behaviour
async def do_chunks(c):
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nsome \r\n6\r\nchunks\r\n0\r\nTrailer-Field: x\r\n\r\n")


@behaviour
async def do_interim(c):
    """several 1xx first"""
    await c.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await c.answer()


@behaviour
async def do_redirect(c):
    await c.answer(302, b"", "Location: http://169.254.169.254/latest")


# ---- slow ----


@behaviour
async def do_slow(c):
    """/slow/MS: the first byte comes late"""
    await asyncio.sleep(c.ms(1000))
    await c.answer()


@behaviour
async def do_drip(c):
    """/drip/MS: a byte each MS"""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000:
        await c.raw(bytes([byte]))
        await asyncio.sleep(c.ms(50))


@behaviour
async def do_never(c):
    await asyncio.sleep(3600)


# ---- large ----


@behaviour
async def do_huge(c):
    """two gigabytes, and says so"""
    await c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n")
    for _ in range(32768):
        await c.raw(b"x" * 65536)


@behaviour
async def do_endless(c):
    """chunks without end"""
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await c.raw(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@behaviour
async def do_endless_until_close(c):
    await c.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await c.raw(b"x" * 65536)


@behaviour
async def do_bytes(c):
    """/bytes/N: a body of N, chunked"""
    left = int(c.parts[0])
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while left > 0:
        n = min(left, 65536)
        await c.raw(b"%x\r\n" % n + b"x" * n + b"\r\n")
        left -= n
    await c.raw(b"0\r\n\r\n")


@behaviour
async def do_bomb(c):
    """ten megabytes of zeros, in gzip, which nobody asked for"""
    await c.answer(200, gzip.compress(b"\0" * 10_000_000), "Content-Encoding: gzip")


@behaviour
async def do_transfer_bomb(c):
    data = gzip.compress(b"\0" * 10_000_000)
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(data) +
                data + b"\r\n0\r\n\r\n")


@behaviour
async def do_fields(c):
    """fields without end"""
    await c.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        await c.raw(b"X-Field: words\r\n" * 100)


@behaviour
async def do_long_field(c):
    """one field without end"""
    await c.raw(b"HTTP/1.1 200 OK\r\nX-Field: ")
    while True:
        await c.raw(b"x" * 1000)


@behaviour
async def do_endless_interim(c):
    while True:
        await c.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


@behaviour
async def do_trailers(c):
    """trailers without end"""
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    while True:
        await c.raw(b"X-Field: words\r\n" * 100)


# ---- broken off ----


@behaviour
async def do_close(c):
    """without a byte"""
    c.keep = False


@behaviour
async def do_reset(c):
    c.writer.transport.abort()
    c.keep = False


@behaviour
async def do_close_in_head(c):
    await c.raw(b"HTTP/1.1 200 OK\r\nContent-Le")
    c.keep = False


@behaviour
async def do_close_in_body(c):
    """fewer bytes than Content-Length says"""
    await c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
    c.keep = False


@behaviour
async def do_close_in_chunk(c):
    await c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nsome")
    c.keep = False


@behaviour
async def do_stale(c):
    """answers the first request of a connection; closes at the second, without a byte"""
    if c.served == 0:
        await do_echo(c)
    else:
        c.keep = False


@behaviour
async def do_stale_reset(c):
    if c.served == 0:
        await do_echo(c)
    else:
        await do_reset(c)


@behaviour
async def do_stale_line(c):
    """the same, but the first line of an answer came"""
    if c.served == 0:
        await do_echo(c)
    else:
        await c.raw(b"HTTP/1.1 200 OK\r\n")
        c.keep = False


# ---- malformed ----


def raw(name, data):
    async def f(c):
        await c.raw(data)
        c.keep = False
    BEHAVIOURS[name] = f


OK = b"HTTP/1.1 200 OK\r\n"
raw("http09", b"<html>words</html>")
raw("http2", b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok")
raw("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
raw("smtp", b"220 mx.example ESMTP\r\n")
raw("status-99", b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n")
raw("status-999", b"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n")
raw("switch", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
raw("long-length", OK + b"Content-Length: 2\r\n\r\nok and more")
raw("two-lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!")
raw("both-lengths", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
raw("bad-length", OK + b"Content-Length: two\r\n\r\nok")
raw("negative-length", OK + b"Content-Length: -2\r\n\r\nok")
raw("overflow-length", OK + b"Content-Length: 99999999999999999999999\r\n\r\nok")
raw("bad-chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n")
raw("overflow-chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nok\r\n")
raw("chunk-without-end", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok!!0\r\n\r\n")
raw("folded", OK + b"X-Field: one\r\n two\r\nContent-Length: 0\r\n\r\n")
raw("nul", OK + b"X-Field: a\0b\r\nContent-Length: 0\r\n\r\n")
raw("control", OK + b"X-Field: a\x07b\r\nContent-Length: 0\r\n\r\n")
raw("bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
raw("no-colon", OK + b"these are words\r\nContent-Length: 0\r\n\r\n")
raw("bad-name", OK + b"X Field: words\r\nContent-Length: 0\r\n\r\n")


EARLY = {"early"}  # behaviours that do not wait for the body


@behaviour
async def do_early(c):
    """413 before the body was read, then the end"""
    await c.answer(413, b"too much", kind="text/plain")
    await asyncio.sleep(0.5)  # or what comes next resets the connection under the answer
    c.keep = False


# ---- serving ----


async def serve_one(reader, writer, served):
    line = await reader.readline()
    if not line.endswith(b"\r\n"):
        return False
    method, path, _ = line.decode("latin-1").split(" ")
    found = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, value = line.decode("latin-1").split(":", 1)
        found[name.lower()] = value.strip()
    COUNTS["requests"] += 1
    name = path.split("?")[0].split("/")[1]
    call = Call(reader, writer, method, path, found, served)
    if name not in EARLY:
        await call.read_body()
    if name in BEHAVIOURS:
        await BEHAVIOURS[name](call)
    else:
        await call.answer(404, b"no such behaviour", kind="text/plain")
    return call.keep


async def serve(reader, writer):
    COUNTS["connections"] += 1
    COUNTS["open"] += 1
    served = 0
    try:
        while await serve_one(reader, writer, served):
            served += 1
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, ValueError):
        pass
    finally:
        COUNTS["open"] -= 1
        writer.close()


async def be_silent(reader, writer):
    await asyncio.sleep(3600)


async def speak_no_tls(reader, writer):
    await reader.read(1)
    writer.write(b"220 this is not TLS at all\r\n")
    await writer.drain()
    writer.close()


def make_certificates(folder):
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    def make(name, alt, days="30", sign=("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text(f"subjectAltName={alt}\n")
        sign = sign or ("-signkey", f"{name}.key")
        openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.pem", "-days", days,
                "-extfile", "ext")

    here = "IP:127.0.0.1,DNS:localhost,DNS:hooks.test"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Hostile CA", "-days", "30")
    make("https", here)
    make("self-signed", here, sign=None)
    make("wrong-name", "DNS:elsewhere.test")
    make("expired", here, days="-1")
    make("client", "DNS:client.test")


def context(folder, name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return c


async def main(folder):
    make_certificates(folder)
    asking = context(folder, "https")
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(folder / "ca.pem")
    old = context(folder, "https")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    doors = [("http", serve, None), ("https", serve, context(folder, "https")),
             ("self-signed", serve, context(folder, "self-signed")),
             ("wrong-name", serve, context(folder, "wrong-name")),
             ("expired", serve, context(folder, "expired")),
             ("client-certificate", serve, asking), ("old-tls", serve, old),
             ("not-tls", speak_no_tls, None), ("silent", be_silent, None)]
    servers = []
    for name, how, tls in doors:
        s = await asyncio.start_server(how, "127.0.0.1", 0, ssl=tls, limit=1 << 20, backlog=2048)
        servers.append(s)
        print(name, s.sockets[0].getsockname()[1])
    servers.append(await asyncio.start_unix_server(serve, folder / "local"))
    print("local", folder / "local")
    print("ca", folder / "ca.pem")
    print("certificate", folder / "client.pem")
    print("key", folder / "client.key")
    print("ready", flush=True)
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import os
    try:
        asyncio.run(asyncio.wait_for(main(FOLDER), 1800))
    finally:
        os._exit(0)

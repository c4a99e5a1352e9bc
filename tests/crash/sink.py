"""The destination: takes mail, refuses by the recipient's name, and writes down what it got.

Recipients: ok-… is taken; grey-… is refused once with 450; late-… is refused with 450 until the file
named `release` exists; no-… is refused with 550; slow-… waits a while at
the end of data. Each message that was answered 250 is one line of
JSON in the record, written before the 250 leaves.
"""
import asyncio
import hashlib
import json
import os
import re
import sys
import time

TOKEN = re.compile(rb"PYT-([0-9a-z]{12})")
RCPT = re.compile(rb"RCPT TO:<([^>]*)>", re.I)
MAIL = re.compile(rb"MAIL FROM:<([^>]*)>", re.I)


class Sink:
    def __init__(self, record, release, port):
        self.record = open(record, "ab", buffering=0)
        self.release, self.port = release, port
        self.seen = set()
        self.taken = 0

    def judge(self, address):
        kind = address.split(b"-", 1)[0]
        if kind == b"no":
            return b"550 5.1.1 no such mailbox"
        if kind == b"late" and not os.path.exists(self.release):
            return b"450 4.2.0 later"
        if kind == b"grey" and address not in self.seen:
            self.seen.add(address)
            return b"450 4.7.1 greylisted"
        return None

    def keep(self, begun, sender, to, content):
        at = content.find(b"X-Token:")
        line = {"end": begun, "t": time.monotonic(), "from": sender.decode(), "to": [t.decode() for t in to],
                "tokens": sorted({t.decode() for t in TOKEN.findall(content)}),
                "digest": hashlib.sha1(content[at:]).hexdigest()}
        self.record.write(json.dumps(line).encode() + b"\n")

    async def serve(self, reader, writer):
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def converse(self, reader, writer):
        sender, to = b"", []
        say = lambda line: writer.write(line + b"\r\n")
        say(b"220 sink.example ESMTP")
        while True:
            line = await reader.readline()
            word = line[:4].upper()
            if not line or word == b"QUIT":
                say(b"221 2.0.0 bye")
                return
            if word == b"EHLO":
                say(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES"
                    b"\r\n250 SIZE 100000000")
            elif word == b"MAIL":
                sender, to = MAIL.match(line)[1], []
                say(b"250 2.1.0 ok")
            elif word == b"RCPT":
                address = RCPT.match(line)[1]
                refusal = self.judge(address)
                if refusal is None:
                    to.append(address)
                say(refusal or b"250 2.1.5 ok")
            elif word == b"DATA":
                if not to:
                    say(b"554 5.5.1 no recipients")
                    continue
                say(b"354 go on")
                content = await reader.readuntil(b"\r\n.\r\n")
                begun = time.monotonic()
                self.taken += 1
                if self.taken % 97 == 0:
                    return  # the peer does not learn that we did not keep it
                if any(t.startswith(b"slow-") for t in to):
                    await asyncio.sleep(0.3)
                content = content[:-3].replace(b"\r\n..", b"\r\n.")
                self.keep(begun, sender, to, content)
                say(b"250 2.0.0 taken")
            else:
                say(b"250 2.0.0 ok")
            if word != b"DATA" and reader._buffer:  # answers to a pipelined group leave together
                continue
            await writer.drain()

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=1 << 25,
                                            backlog=512)
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(Sink(sys.argv[1], sys.argv[2], int(sys.argv[3])).run())

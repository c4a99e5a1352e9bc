"""memory: the promises about memory (P7), measured on a running server from outside.

Each function takes a started mta.Postyard and returns figures for bench/run's `memory` cases. Resident
set sizes, in KiB; a figure named *_more_kib is above what the server held before.
"""
import os
import re
import resource
import select
import signal
import socket
import threading
import time

import mta

LINE_BYTES = 76


def status_kib(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.M).group(1))


def rss_kib(pid):
    return status_kib(pid, "VmRSS")


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")  # VmHWM begins anew


def lift_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def answer(s, want):
    """The last line of a reply, which begins with what is wanted."""
    text = b""
    while not re.search(rb"^\d{3} .*\r\n\Z", text, re.M):
        more = s.recv(4096)
        if not more:
            raise RuntimeError(f"the connection was closed after {text!r}")
        text += more
    if not text.startswith(want):
        raise RuntimeError(f"not {want!r}: {text!r}")
    return text


def idle_sessions(server, count):
    """So many that have said EHLO and wait, from a hundred addresses."""
    lift_descriptors()
    before, open_now = rss_kib(server.pid), []
    try:
        for i in range(count):
            s = socket.socket()
            s.bind((f"127.0.1.{1 + i % 100}", 0))
            s.connect(("127.0.0.1", mta.SERVER_PORT))
            answer(s, b"220")
            s.sendall(b"EHLO idle.example\r\n")
            answer(s, b"250")
            open_now.append(s)
        time.sleep(2)
        poll = select.poll()
        for s in open_now:
            poll.register(s, select.POLLIN)
        gone = len(poll.poll(0))
        held = rss_kib(server.pid)
    finally:
        for s in open_now:
            s.close()
    return {"idle_kib": held, "session_bytes": (held - before) * 1024 / count, "missing": gone}


def send_one(size):
    """One message through the server; returns once it is accepted."""
    line = b"x" * (LINE_BYTES - 2) + b"\r\n"
    block = line * (65536 // LINE_BYTES)
    with socket.create_connection(("127.0.0.1", mta.SERVER_PORT), 10) as s:
        s.settimeout(60)
        answer(s, b"220")
        for said, want in ((b"EHLO big.example", b"250"), (b"MAIL FROM:<a@sender.example>", b"250"),
                           (b"RCPT TO:<b@to.example>", b"250"), (b"DATA", b"354")):
            s.sendall(said + b"\r\n")
            answer(s, want)
        s.sendall(b"X-Bench: %020d\r\nSubject: large\r\n\r\n" % time.monotonic_ns())
        for _ in range(size // len(block)):
            s.sendall(block)
        s.sendall(line * (size % len(block) // LINE_BYTES))
        s.sendall(b".\r\n")
        answer(s, b"250")
        s.sendall(b"QUIT\r\n")


def in_flight(server, sink, size):
    """What a large message adds at its peak, from the first byte in to the last byte out."""
    for small in range(20):  # the first of everything is not what is asked
        send_one(4096)
        sink.wait(small + 1, 10)
    time.sleep(1)
    before, count = rss_kib(server.pid), sink.count()
    forget_peak(server.pid)
    send_one(size)
    result = {}
    if not sink.wait(count + 1, 30):
        result["missing"] = 1
    result["flight_more_kib"] = max(status_kib(server.pid, "VmHWM") - before, 0)
    return result


def burst(server, sink, load):
    """500 sessions with messages of 100 KiB, and what is still held fifteen seconds after they went."""
    before = rss_kib(server.pid)
    forget_peak(server.pid)
    tally = load(mta.SERVER_PORT, 8, dict(sessions=500, each=4, size=102400))
    sink.wait(tally["count"], 20)
    peak = status_kib(server.pid, "VmHWM")
    time.sleep(15)
    return {"burst_peak_kib": peak, "burst_kept_kib": rss_kib(server.pid) - before,
            "refused": tally["refused"]}


def no_names():
    """A name server that answers SERVFAIL to all: an attempt ends at once, and the message waits."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE: silence is not what is meant
    s.bind(("127.0.0.1", mta.NAMES_PORT))

    def answers():
        while True:
            asked, who = s.recvfrom(4096)
            end = asked.index(b"\0", 12) + 5  # of the question
            s.sendto(asked[:2] + b"\x81\x82\0\1\0\0\0\0\0\0" + asked[12:end], who)

    threading.Thread(target=answers, daemon=True).start()


def queue(server, load, messages):
    """So many messages of one recipient in a tenth as many domains; then a clean restart and one
    after kill -9. Each has been tried once and waits for its next attempt."""
    no_names()
    before = rss_kib(server.pid)
    tally = load(mta.SERVER_PORT, 3600, {"sessions": 50, "each": 0, "size": 400, "messages": messages,
                                         "domain-count": messages // 10})
    while server.metric("jobs_due") > 0:  # mail comes faster than it is tried
        time.sleep(1)
    time.sleep(20)  # what the load left is given back
    result = {"queued": tally["count"], "queue_kib": rss_kib(server.pid), "refused": tally["refused"],
              "queue_entry_bytes": (rss_kib(server.pid) - before) * 1024 / max(tally["count"], 1)}
    result["restart_s"] = server.restart(signal.SIGTERM)
    begin = time.monotonic() - result["restart_s"]
    server.wait_loaded()
    result["loaded_s"] = time.monotonic() - begin
    time.sleep(15)
    result["restarted_kib"] = rss_kib(server.pid)
    result["recover_s"] = server.restart(signal.SIGKILL)
    server.wait_loaded()
    time.sleep(15)
    result["recovered_kib"] = rss_kib(server.pid)
    return result

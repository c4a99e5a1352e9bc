"""Ports on which a test starts a server, so that tests that run at once never pick the same one.

A process takes a block of ports for as long as it lives, by the name of a local socket in the
abstract namespace: it belongs to the same network namespace as the ports, needs no file, and goes
with the process however it ends. Blocks lie below the ports that the system gives to clients, which
might take one between its choice here and the server's start. Ports of a block go round, so that one
that was just given is the last to be given again.
"""

import errno
import os
import random
import socket

FIRST, BLOCK = 10_000, 100


class Block:
    def __init__(self):
        self.owner = os.getpid()
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            clients = int(f.read().split()[0])
        starts = list(range(FIRST, min(clients, 32_768) - BLOCK + 1, BLOCK))
        random.SystemRandom().shuffle(starts)  # a test may have seeded the other
        for start in starts:
            self.lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self.lock.bind(f"\0postyard-test-ports-{start}")
            except OSError:
                self.lock.close()
                continue
            self.ports, self.at = range(start, start + BLOCK), 0
            return
        raise RuntimeError("every block of test ports is taken")

    def next(self):
        for _ in self.ports:
            port = self.ports[self.at]
            self.at = (self.at + 1) % BLOCK
            if is_free(port):
                return port
        raise RuntimeError(f"no port of {self.ports[0]} to {self.ports[-1]} is free")


def is_free(port):
    """What no test has taken, something else may have: of both families, at any address."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            s = socket.socket(family, socket.SOCK_STREAM)
        except OSError:  # a machine without IPv6
            continue
        with s:
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
            except OSError as e:
                if family == socket.AF_INET6 and e.errno == errno.EADDRNOTAVAIL:  # no address of it
                    continue
                return False
    return True


held = None


def free_port():
    global held
    if held is None or held.owner != os.getpid():  # after a fork the block is the parent's
        held = Block()
    return held.next()


def free_ports(count):
    return [free_port() for _ in range(count)]

"""As much of CBOR (RFC 8949) as a scanner needs: null, booleans, integers, texts, bytes, lists, maps."""


def head(major, n):
    for more, bits in ((0, 24), (1, 8), (2, 16), (4, 32), (8, 64)):
        if more == 0 and n < 24:
            return bytes([major << 5 | n])
        if more and n < 1 << bits:
            return bytes([major << 5 | 23 + {1: 1, 2: 2, 4: 3, 8: 4}[more]]) + n.to_bytes(more, "big")
    raise ValueError(n)


def dumps(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(dumps, value))
    return head(5, len(value)) + b"".join(dumps(k) + dumps(v) for k, v in value.items())


def loads(data):
    value, rest = read(data)
    assert not rest, "bytes behind the value"
    return value


def read(data):
    major, n = data[0] >> 5, data[0] & 31
    data = data[1:]
    if major == 7:
        return {20: False, 21: True, 22: None}[n], data
    if n >= 24:
        more = 1 << n - 24
        assert more <= 8, "definite lengths only"
        shortest = n
        n, data = int.from_bytes(data[:more], "big"), data[more:]
        assert head(0, n)[0] == shortest, "the shortest form only"
    if major < 2:
        return (n if major == 0 else -1 - n), data
    if major < 4:
        assert len(data) >= n
        return (data[:n] if major == 2 else data[:n].decode()), data[n:]
    items = []
    for _ in range(n if major == 4 else 2 * n):
        item, data = read(data)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), data

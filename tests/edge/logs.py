#!/usr/bin/env python3
"""What deploy/edge writes: how much of it there is when somebody wants there to be much, and what becomes of the door when
nobody reads it.

  logs.py --server BINARY [unittest arguments]
"""

import argparse
import fcntl
import json
import os
import sys
import unittest

import h2
from door import SOURCE, Door, eventually

sys.path.insert(0, str(SOURCE / "deploy/envoy"))

import output  # noqa: E402

BINARIES = None
FIELDS = (":method", "POST"), (":scheme", "http"), (":path", h2.CONVERSE), (":authority", "parley"), ("te", "trailers"), (
    "content-type", "application/grpc")
INDEXED = b"".join(h2.literal(*field, indexed=True) for field in FIELDS)
AGAIN = bytes(0x80 | 62 + i for i in reversed(range(len(FIELDS))))


def refused_streams(address, count, source="127.0.0.66"):
    """That many streams of an address, of ten bytes each: nearly all are over its rate."""
    for first in range(0, count, 2_000):
        with h2.Connection(address, source=source) as connection:
            block = INDEXED
            for stream in range(1, 2 * min(2_000, count - first), 40):
                connection.send(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream + 2 * i, block if i == 0 else AGAIN)
                                         for i in range(20)))
                block, ended = AGAIN, 0
                while ended < 20:
                    got = connection.read_until(h2.HEADERS, h2.DATA, h2.RST_STREAM)
                    if got is None:
                        raise ConnectionError
                    ended += got[0] == h2.RST_STREAM or got[1] & h2.END_STREAM


def access_line(peer, **fields):
    return output.as_json(peer=f"{peer}:4711", **fields)


class LineLimit(unittest.TestCase):
    def setUp(self):
        self.limit = output.LineLimit(output.peer_of_access_line, 0)

    def written(self, lines, now):
        return sum(self.limit.takes(line, now) for line in lines)

    def test_a_peer_has_so_many_lines_at_once_and_so_many_a_second(self):
        line = access_line("192.0.2.1")
        self.assertEqual(self.written([line] * 1_000, 0), 100)
        self.assertEqual(self.written([line] * 1_000, 3), 30)
        self.assertEqual(self.written([access_line("192.0.2.2")] * 10, 3), 10)

    def test_so_have_all_peers_together(self):
        lines = [access_line(f"192.0.{i // 250}.{i % 250}") for i in range(2_000)]
        self.assertEqual(self.written(lines, 0), 500)
        self.assertEqual(self.written(lines, 2), 100)

    def test_a_network_of_ipv6_is_one_peer(self):
        lines = [access_line(f"[2001:db8::{i:x}]") for i in range(1, 1_000)]
        self.assertEqual(self.written(lines, 0), 100)
        self.assertEqual(self.written([access_line("[2001:db8:0:1::1]")], 0), 1)

    def test_what_was_left_out_is_counted_and_told_every_ten_seconds(self):
        line = access_line("192.0.2.1")
        self.assertIsNone(self.limit.summary(60))
        self.written([line] * 150, 0)
        self.assertIsNone(self.limit.summary(9))
        self.assertEqual(self.limit.summary(10), (50, 50))
        self.assertIsNone(self.limit.summary(30))
        self.written([line] * 150, 30)
        self.assertEqual(self.limit.summary(31, at_the_end=True), (50, 100))

    def test_peers_without_number_take_memory_of_a_few(self):
        for i in range(20_000):
            self.limit.takes(access_line(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"), 0)
        self.assertEqual(len(self.limit.peers), self.limit.MOST_PEERS)


class Output(unittest.TestCase):
    def pipe(self):
        ends = os.pipe()
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 4_096)
        return ends

    @staticmethod
    def notice(lost):
        return b"lost %d\n" % lost

    def test_what_nobody_reads_is_lost_beyond_a_megabyte_and_counted(self):
        read_end, write_end = self.pipe()
        out = output.Output(write_end, self.notice)
        out.start()
        lines = [b"%06d " % i + b"x" * 992 + b"\n" for i in range(4_000)]
        for line in lines:
            out.put(line)
        self.assertLessEqual(out.bytes, output.MOST_BYTES)
        with os.fdopen(read_end, "rb") as reader:
            got = [reader.readline()]
            while not got[-1].startswith(b"lost"):
                got.append(reader.readline())
            *written, notice = got
            self.assertEqual(len(written) + int(notice.split()[1]), len(lines))
            self.assertGreater(len(written), 1_000)
            # In order; which are lost depends on when the writing thread ran.
            self.assertEqual(written, sorted(set(written) & set(lines)))
            out.put(b"again\n")
            self.assertEqual(reader.readline(), b"again\n")
            out.close()
        os.close(write_end)

    def test_a_reader_that_never_comes_does_not_keep_it_from_ending(self):
        read_end, write_end = self.pipe()
        out = output.Output(write_end, self.notice)
        for _ in range(4_000):
            out.put(b"x" * 1_000)
        out.close(limit_s=.1)
        os.close(read_end)  # lets its thread go
        out.thread.join()
        os.close(write_end)

    def test_what_cannot_be_written_is_counted(self):
        for make in (lambda: os.open("/dev/full", os.O_WRONLY), self.broken_pipe):
            fd = make()
            out = output.Output(fd, self.notice)
            out.start()
            out.put(b"a\n")
            self.assertTrue(eventually(lambda: out.lost == 1))
            out.put(b"b\n")
            self.assertTrue(eventually(lambda: out.lost == 2))
            out.close()
            self.assertFalse(out.thread.is_alive())
            os.close(fd)

    def broken_pipe(self):
        read_end, write_end = self.pipe()
        os.close(read_end)
        return write_end


class OfTheDoor(unittest.TestCase):
    STREAMS = 10_000

    def door(self, **how):
        door = Door(BINARIES, **how)
        self.addCleanup(door.stop)
        return door

    def test_a_peer_whose_streams_are_refused_writes_little_and_others_are_logged(self):
        door = self.door()
        refused_streams(door.address, self.STREAMS)
        with door.open_call(source="127.0.0.1"):
            pass
        door.stop()
        self.assertLess(len(door.log_text), 300_000)  # 1.8 MB without a limit
        self.assertIn('"peer":"127.0.0.1:', door.log_text)
        self.assertIn('"details":"local_rate_limited"', door.log_text)
        lines = [json.loads(line) for line in door.log_text.splitlines() if line.startswith("{")]
        self.assertEqual(sum("peer" in line for line in lines) + lines[-1]["left_out_so_far"], self.STREAMS + 1)

    def test_an_output_that_nobody_reads_takes_little_memory_and_keeps_nobody_from_anything(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        for stream in (read_end, write_end):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, 4_096)
        os.write(write_end, b"x" * 4_096)  # full from the start
        door = self.door(output=write_end)
        os.close(write_end)
        refused_streams(door.address, self.STREAMS)
        before = door.peaks()[0]
        refused_streams(door.address, 3 * self.STREAMS)
        self.assertLess(door.peaks()[0] - before, 3)  # MiB; 6 without a reader of our own
        with door.open_call(source="127.0.0.1"):
            pass
        door.process.terminate()
        self.assertEqual(door.process.wait(30), 0)

    def test_it_runs_without_standard_output_and_error(self):
        for closed in ("exec 1>&- 2>&-", "exec 1>/dev/full 2>/dev/full", "exec 0<&- 1>&- 2>&-"):
            door = self.door(before=["sh", "-c", f'{closed}; exec "$@"', "sh"])
            refused_streams(door.address, 200)
            with door.open_call(source="127.0.0.1"):
                pass
            door.process.terminate()
            self.assertEqual(door.process.wait(30), 0, closed)
            door.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    BINARIES, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2, warnings="ignore")

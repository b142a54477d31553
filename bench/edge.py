#!/usr/bin/env python3
"""What deploy/edge costs a message: Ping to Pong over one connection, straight to the server and through the edge, in
turns, on the fake engine.

  bench/edge.py [--server build/release/server/parley-server] [--messages 4000]

Prints one JSON line: microseconds there and back (median, 99th percentile) for both, and Envoy's processor time a
message. The client is the same Python on both sides; its own time is in both figures.
"""

import argparse
import json
import os
import pathlib
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/edge"))

import h2  # noqa: E402
from door import Door, Server, open_call  # noqa: E402


class Line:
    def __init__(self, address):
        self.call, self.seq, self.received, self.us = open_call(address, source="127.0.0.1"), 1, 0, []

    def run(self, messages):
        for _ in range(messages):
            self.seq += 1
            start = time.perf_counter()
            self.call.send(h2.frame(h2.DATA, 0, 1, h2.client_message(self.seq, h2.PING_MESSAGE)))
            got = self.call.read_until(h2.DATA)
            self.us.append(1e6 * (time.perf_counter() - start))
            self.received += len(got[3])
            if self.received > 16_000:  # what was read may be sent again
                update = self.received.to_bytes(4, "big")
                self.call.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, update) + h2.frame(h2.WINDOW_UPDATE, 0, 1, update))
                self.received = 0

    def quantile(self, share):
        return round(sorted(self.us)[int(share * (len(self.us) - 1))], 1)


def processor_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=str(SOURCE / "build/release/server/parley-server"))
    parser.add_argument("--messages", type=int, default=4_000)
    options = parser.parse_args()
    alone = Server(options.server, "--engine", "fake")
    door = Door(options)
    try:
        straight, through = Line(alone.address), Line(door.address)
        for line in (straight, through):
            line.run(200)
            line.us.clear()
        before = processor_s(door.envoy_pid())
        for _ in range(10):
            for line in (straight, through):
                line.run(options.messages // 10)
        processor_us = 1e6 * (processor_s(door.envoy_pid()) - before) / len(through.us)
        print(json.dumps({"suite": "edge", "messages": len(through.us),
                          "straight_us": {"p50": straight.quantile(.5), "p99": straight.quantile(.99)},
                          "through_us": {"p50": through.quantile(.5), "p99": through.quantile(.99)},
                          "edge_us": round(through.quantile(.5) - straight.quantile(.5), 1),
                          "envoy_processor_us_a_message": round(processor_us, 1)}))
    finally:
        door.stop()
        alone.stop()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Clients that misbehave, at a stated rate and the lowest priority: calls that vanish, pictures made to hurt, and floods
of HTTP/2. Each kind comes from an address of its own. Goes on until its standard input ends, then prints one JSON line
of what it did.

  strangers.py ADDRESS BOMBS-FOLDER RECORDING [--aborts-a-second N] [--bombs-a-second N] [--no-floods]
"""

import argparse
import collections
import json
import os
import pathlib
import random
import struct
import sys
import threading
import time

from call import INPUT_STATUS, READY, VIDEO, Call, Recording, Talker, field, fields, session

import strikes  # noqa: E402  (call.py adds its folder)
from door import Attack  # noqa: E402

FLOOD_S, REST_S, FLOOD_THREADS = 5, 3, 2
MOST_AT_ONCE = 12  # of one kind


class Strangers:
    def __init__(self, options):
        self.address = options.address
        self.over = threading.Event()
        self.random = random.Random(1)
        self.recording = Recording(options.recording)
        self.bombs = [(path.name, path.suffix[1:], list(self._messages(path.read_bytes())))
                      for path in sorted(pathlib.Path(options.bombs).iterdir())]
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.threads = [threading.Thread(target=self._at_rate, args=(options.aborts_a_second, self._abort)),
                        threading.Thread(target=self._at_rate, args=(options.bombs_a_second, self._bomb))]
        if options.floods:
            self.threads.append(threading.Thread(target=self._floods))
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _messages(data):
        while data:
            size = struct.unpack(">I", data[:4])[0]
            yield data[4:4 + size]
            data = data[4 + size:]

    def _count(self, what):
        with self.lock:
            self.counts[what] += 1

    def _at_rate(self, a_second, act):
        """Calls `act(n)` on threads, at random times."""
        acts = []
        n = 0
        while a_second > 0 and not self.over.wait(self.random.expovariate(a_second)):
            acts = [thread for thread in acts if thread.is_alive()]
            if len(acts) >= MOST_AT_ONCE:
                continue
            acts.append(threading.Thread(target=act, args=(n,)))
            acts[-1].start()
            n += 1
        for thread in acts:
            thread.join()

    def _abort(self, _):
        """A call that speaks and is gone: at any moment, in one of three ways."""
        lasts, how = self.random.uniform(0, 4), self.random.randrange(3)
        try:
            call = Call(self.address, session(video="jpeg"), source="127.0.0.67")
            try:
                if lasts > .2:
                    call.await_payload(READY, 5)
                    Talker(call).say(self.recording, lasts, stop_s=lasts)
                call.vanish(how)
                self._count("calls that vanished")
            finally:
                call.connection.close()
        except OSError:
            self._count("calls that vanished: refused or ended first")

    def _bomb(self, n):
        name, codec, messages = self.bombs[n % len(self.bombs)]
        try:
            call = Call(self.address, session(video=codec), source="127.0.0.68")
            try:
                call.await_payload(READY, 5)
                for i, message in enumerate(messages):
                    call.say(VIDEO, field(1, message) + field(2, i + 1))
                end = time.monotonic() + 8
                while time.monotonic() < end and not call.over and not self.over.is_set():
                    call.pump(time.monotonic() + .1)
                    if sum(kind == INPUT_STATUS for _, kind, _ in call.events) >= len(messages):
                        break
                for _, kind, envelope in call.events:
                    if kind == INPUT_STATUS:
                        status = fields(envelope[kind])
                        seen = {1: "seen", 2: "dropped"}[status[2]]
                        self._count(f"{name}: pictures {seen}")
                call.vanish(n % 3)
                self._count(f"{name}: calls")
            finally:
                call.connection.close()
        except OSError:
            self._count(f"{name}: calls refused or ended first")

    def _floods(self):
        half = []

        def half_requests(address, over):
            if len(half) >= 300:
                half.pop(0).close()
            half.append(strikes.half_a_request(address, len(half)))
            over.wait(.01)

        while not self.over.is_set():
            for strike in [*strikes.FLOODS, half_requests]:
                attack = Attack(strike, self.address, FLOOD_THREADS)
                self.over.wait(FLOOD_S)
                attack.stop()
                with self.lock:
                    self.counts["floods"] += 1
                    self.counts["connections of floods closed by the door"] += attack.closed
                if self.over.wait(REST_S):
                    break
        for connection in half:
            connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("bombs")
    parser.add_argument("recording")
    parser.add_argument("--aborts-a-second", type=float, default=1)
    parser.add_argument("--bombs-a-second", type=float, default=.5)
    parser.add_argument("--no-floods", dest="floods", action="store_false")
    options = parser.parse_args()
    os.nice(19)
    strangers = Strangers(options)
    sys.stdin.read()
    strangers.over.set()
    for thread in strangers.threads:
        thread.join()
    print(json.dumps(dict(sorted(strangers.counts.items()))))


if __name__ == "__main__":
    main()

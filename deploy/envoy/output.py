"""The output of deploy/edge: Envoy's access log and messages, and its own. How much of it is written and kept is bounded,
whatever clients do and whether or not somebody reads it."""

import collections
import ipaddress
import json
import os
import re
import select
import threading
import time

MOST_BYTES = 1 << 20   # that wait to be written
READ_BYTES = 1 << 16
LONGEST_LINE = 1 << 14
END_S = 2              # at the end, what is left is waited for so long
TELL_S = 10            # what was left out is told this often


class Bucket:
    """`at_once` lines, and `a_second` after that. `now` is in seconds."""

    def __init__(self, at_once, a_second, now):
        self.at_once, self.a_second = at_once, a_second
        self.left, self.filled = at_once, now

    def take(self, now):
        self.left = min(self.at_once, self.left + (now - self.filled) * self.a_second)
        self.filled = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class LineLimit:
    """Which lines are written: so many of a peer, and so many of all. What is left out is counted, and told by `summary`.
    `peer_of` gives a line's peer. The peers that spoke last are remembered."""

    OF_A_PEER = (100, 10)
    OF_ALL = (500, 50)
    MOST_PEERS = 4096

    def __init__(self, peer_of, now):
        self.peer_of = peer_of
        self.all = Bucket(*self.OF_ALL, now)
        self.peers = collections.OrderedDict()
        self.left_out = self.left_out_so_far = 0
        self.told = now

    def takes(self, line, now):
        peer = self.peer_of(line)
        bucket = self.peers.get(peer)
        if bucket is None:
            if len(self.peers) >= self.MOST_PEERS:
                self.peers.popitem(last=False)
            bucket = self.peers[peer] = Bucket(*self.OF_A_PEER, now)
        else:
            self.peers.move_to_end(peer)
        if bucket.take(now) and self.all.take(now):
            return True
        self.left_out += 1
        return False

    def summary(self, now, at_the_end=False):
        """How many lines were left out since the last summary and from the start; None: there is nothing to tell yet."""
        if self.left_out == 0 or now - self.told < TELL_S and not at_the_end:
            return None
        self.left_out_so_far += self.left_out
        told = self.left_out, self.left_out_so_far
        self.left_out, self.told = 0, now
        return told


class Output:
    """Lines for a descriptor, written by a thread of its own. At most MOST_BYTES wait there; a line that does not fit, or
    that cannot be written, is lost and counted. `loss` makes a line of such a count. Thread-safe."""

    def __init__(self, fd, loss):
        self.fd, self.loss = fd, loss
        self.lines, self.bytes, self.lost = collections.deque(), 0, 0
        self.changed = threading.Condition()
        self.closing = False
        self.thread = None

    def put(self, line):
        """Never waits."""
        with self.changed:
            if self.bytes + len(line) > MOST_BYTES:
                self.lost += 1
                return
            self.lines.append(line)
            self.bytes += len(line)
            self.changed.notify()

    def start(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self, limit_s=END_S):
        """Waits so long at most for what is left to be written."""
        if self.thread is None:
            self.start()
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(limit_s)

    def _run(self):
        while True:
            with self.changed:
                while not self.lines and not self.lost and not self.closing:
                    self.changed.wait()
                if self.lines:
                    line, lines = self.lines.popleft(), 1
                    self.bytes -= len(line)
                elif self.lost:
                    line, lines, self.lost = self.loss(self.lost), self.lost, 0
                else:
                    return
            if not self._write(line):
                with self.changed:
                    # What keeps a line from being written lasts, as a rule: the next try is with the next line.
                    self.lost += lines + len(self.lines)
                    self.lines.clear()
                    self.bytes = 0
                    if self.closing:
                        return
                    self.changed.wait()

    def _write(self, line):
        while line:
            try:
                line = line[os.write(self.fd, line):]
            except BlockingIOError:
                select.select([], [self.fd], [])
            except OSError:  # nobody can read it any more, or the disk is full
                return False
        return True


class Lines(threading.Thread):
    """Reads a pipe to its end, whatever becomes of the lines. `take(line)` gets each, and `look()` is called every second."""

    def __init__(self, fd, take, look):
        super().__init__(daemon=True)
        self.fd, self.take, self.look = fd, take, look

    def run(self):
        begun = b""
        while True:
            ready, _, _ = select.select([self.fd], [], [], 1)
            data = os.read(self.fd, READ_BYTES) if ready else None
            if data == b"":
                break
            if data:
                *lines, begun = (begun + data).split(b"\n")
                for line in lines:
                    self.take(line)
                begun = begun[:LONGEST_LINE]
            self.look()
        if begun:
            self.take(begun)
        os.close(self.fd)


def peer_of_access_line(line):
    """An IPv4 address, or the /64 network of an IPv6 one, as limits count."""
    found = re.search(rb'"peer":"\[?([^"\]]*?)\]?:\d+"', line)
    if found is None:
        return b""
    peer = found[1]
    if b":" not in peer:
        return peer
    try:
        return ipaddress.IPv6Address(peer.decode().partition("%")[0]).packed[:8]
    except ValueError:
        return b""


def as_json(**fields):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return json.dumps({"time": f"{stamp}.000Z", **fields}, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def as_text(words):
    return f"deploy/edge: {words}\n".encode(errors="replace")


class EdgeOutput:
    """Standard output and error: what Envoy writes there, by pipes, and what this program says."""

    def __init__(self):
        open_standard_descriptors()
        self.out = Output(1, lambda lost: as_json(lost=lost))
        self.err = Output(2, lambda lost: as_text(f"{lost} lines were lost here: they could not be written"))
        self.readers, self.ends = [], []

    def say(self, words):
        self.err.put(as_text(words))

    def pipe(self, output, peer_of, summary):
        limit = LineLimit(peer_of, time.monotonic())
        read_end, write_end = os.pipe()

        def take(line):
            if limit.takes(line, time.monotonic()):
                output.put(line + b"\n")

        def look(at_the_end=False):
            if (told := limit.summary(time.monotonic(), at_the_end)) is not None:
                output.put(summary(*told))

        self.readers.append(Lines(read_end, take, look))
        self.ends.append(lambda: look(at_the_end=True))
        return write_end

    def pipes(self):
        """Descriptors for Envoy's standard output and error; the caller closes them once Envoy has them."""
        return (self.pipe(self.out, peer_of_access_line, lambda now, all: as_json(left_out=now, left_out_so_far=all)),
                self.pipe(self.err, lambda line: b"",
                          lambda now, all: as_text(f"{now} lines of Envoy were left out here, {all} so far")))

    def start(self):
        """Once Envoy has started: from then on there are threads."""
        for thread in (*self.readers, self.out, self.err):
            thread.start()

    def close(self):
        """When Envoy has ended, or never began."""
        end = time.monotonic() + END_S
        for reader in self.readers:
            if reader.ident is not None:
                reader.join(max(0, end - time.monotonic()))
        for tell in self.ends:
            tell()
        for output in (self.out, self.err):
            output.close(max(.1, end - time.monotonic()))


def open_standard_descriptors():
    """Those that this was started without, so that nothing else gets their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)

"""A call in real time from Python: what its microphone and camera capture is sent as the network lets it.

Plain HTTP/2 frames rather than a library, so that a call can come from an address of its own, stall in the middle of a
word, send a second's sound at once, or vanish. Standard library only.
"""

import pathlib
import select
import socket
import struct
import sys
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "edge"))

import h2  # noqa: E402

# Payloads of ClientMessage and ServerMessage, by their field numbers in parley.proto.
AUDIO, VIDEO = 5, 6
READY, INPUT_STATUS, COMMITTED, TRANSCRIPT, TOKEN, RESPONSE_DONE, WARNING, ERROR = 6, 7, 10, 11, 13, 15, 18, 19
RATE_HZ = 16_000
CODECS = {"jpeg": 1, "png": 2, "webp": 3, "h264": 4, "vp8": 5, "vp9": 6}


def field(number, value):
    """A field of a message: an integer, or bytes."""
    if isinstance(value, int):
        return h2.varint(number << 3) + h2.varint(value)
    return h2.varint(number << 3 | 2) + h2.varint(len(value)) + value


def fields(data):
    """{number: value} of a message; of a field that comes again, the last."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            found[number] = varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            found[number] = data[at:at + size]
            at += size
    return found


def session(audio=True, video=None):
    """SessionOpen: PCM16 sound at 16 kHz, pictures of a codec."""
    config = b""
    if audio:
        config += field(2, field(1, 1) + field(2, RATE_HZ))
    if video:
        config += field(3, field(1, CODECS[video]))
    return field(1, config)


class Recording:
    """PCM16 at 16 kHz; `speech_end_s`: where the last sound is."""

    def __init__(self, path):
        self.name = pathlib.Path(path).stem
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2), path
            self.pcm = file.readframes(file.getnframes())
        samples = struct.unpack(f"<{len(self.pcm) // 2}h", self.pcm)
        loud = max(map(abs, samples)) // 20
        self.speech_end_s = max(i for i, sample in enumerate(samples) if abs(sample) > loud) / RATE_HZ
        self.seconds = len(samples) / RATE_HZ


class Call:
    """One call on a connection of its own. `events`: (arrival on time.monotonic(), payload's number, envelope's
    fields). What is given to `say` goes out as the server's flow control lets it; `pump` sends and receives until a
    point in time."""

    def __init__(self, address, opening, source="127.0.0.1"):
        self.connection = h2.Connection(address, source=source)
        self.socket = self.connection.socket
        self.seq = 0
        self.events = []
        self.over = False  # the server has ended the stream
        self.trailers = False  # as gRPC does it
        self._input, self._data, self._output, self._waiting = b"", b"", b"", b""
        self._window, self._stream_window, self._initial, self._taken = 65_535, 65_535, 65_535, 0
        # The window for what the server sends is widened once and for all: what comes is read at once.
        wide = struct.pack(">I", (1 << 31) - 65_536)
        self._output += (h2.frame(h2.WINDOW_UPDATE, 0, 0, wide) +
                         h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request()) + h2.frame(h2.WINDOW_UPDATE, 0, 1, wide))
        self.socket.setblocking(False)
        self.say(h2.OPEN, opening)

    def say(self, payload, content=b""):
        self.seq += 1
        self._waiting += h2.client_message(self.seq, payload, content)

    def await_payload(self, payload, limit_s):
        end = time.monotonic() + limit_s
        while not any(kind == payload for _, kind, _ in self.events):
            if self.over or time.monotonic() > end:
                raise ConnectionError(f"no message {payload}: {self.error() or 'nothing said why'}")
            self.pump(min(end, time.monotonic() + .05))

    def pump(self, until):
        """Sends and receives until then, on time.monotonic(), or until the server has ended the stream."""
        while not self.over:
            self._fill()
            left = max(0., until - time.monotonic())
            readable, writable, _ = select.select([self.socket], [self.socket] if self._output else [], [], left)
            if writable:
                self._output = self._output[self.socket.send(self._output):]
            if readable:
                self._receive()
            if not readable and time.monotonic() >= until:
                return

    def finish(self, limit_s=30):
        """SessionClose, and what the server still owes. Raises ConnectionError unless the call ends well."""
        self.say(h2.CLOSE)
        end = time.monotonic() + limit_s
        while not self.over and time.monotonic() < end:
            self.pump(min(end, time.monotonic() + .1))
        self.connection.close()
        if not self.trailers or self.error() is not None:
            raise ConnectionError(f"the call did not end well: {self.error() or 'no trailers came'}")

    def vanish(self, how):
        """0: the stream is reset; 1: the connection is; 2: it is closed in the middle of a frame."""
        try:
            if how == 0:
                self.socket.send(h2.frame(h2.RST_STREAM, 0, 1, struct.pack(">I", 8)))
            elif how == 1:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.socket.send(h2.frame(h2.DATA, 0, 1, b"\0" * 100)[:50])
        except OSError:
            pass
        self.connection.close()

    def error(self):
        """The message of the last Error; None: there was none."""
        errors = [fields(envelope[ERROR])[2].decode() for _, kind, envelope in self.events if kind == ERROR]
        return errors[-1] if errors else None

    def _fill(self):
        """Moves what may be sent into frames."""
        while self._waiting:
            size = min(len(self._waiting), self._window, self._stream_window, 16_000)
            if size <= 0:
                return
            self._output += h2.frame(h2.DATA, 0, 1, self._waiting[:size])
            self._waiting = self._waiting[size:]
            self._window -= size
            self._stream_window -= size

    def _receive(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        self._input += data
        while len(self._input) >= 9:
            size = int.from_bytes(self._input[:3], "big")
            if len(self._input) < 9 + size:
                break
            kind, flags, stream = self._input[3], self._input[4], int.from_bytes(self._input[5:9], "big")
            payload, self._input = self._input[9:9 + size], self._input[9 + size:]
            self._frame(kind, flags, stream, payload)
        if not data:
            self.over = True

    def _frame(self, kind, flags, stream, payload):
        if kind == h2.SETTINGS and not flags & h2.ACK:
            for number, value in struct.iter_unpack(">HI", payload):
                if number == 4:
                    self._stream_window += value - self._initial
                    self._initial = value
            self._output += h2.frame(h2.SETTINGS, h2.ACK, 0)
        elif kind == h2.PING and not flags & h2.ACK:
            self._output += h2.frame(h2.PING, h2.ACK, 0, payload)
        elif kind == h2.WINDOW_UPDATE:
            more = struct.unpack(">I", payload)[0]
            if stream == 0:
                self._window += more
            else:
                self._stream_window += more
        elif kind == h2.DATA:
            self._data += payload
            while len(self._data) >= 5 and len(self._data) >= 5 + (size := struct.unpack(">I", self._data[1:5])[0]):
                envelope = fields(self._data[5:5 + size])
                self._data = self._data[5 + size:]
                self.events.append((time.monotonic(), max(envelope), envelope))
        elif kind in (h2.RST_STREAM, h2.GOAWAY):
            self.over = True
        if kind == h2.HEADERS and flags & h2.END_STREAM:
            self.over = self.trailers = True


class Turn:
    """What became of one recording that was said. `late_s`: from the end of its speech, as captured, to the first
    token; None: there was none."""

    def __init__(self, events, turn, speech_ended):
        self.transcript, self.answer, self.late_s, self.done = None, "", None, False
        for when, kind, envelope in events:
            if envelope.get(4) != turn:
                continue
            if kind == TRANSCRIPT:
                self.transcript = fields(envelope[kind]).get(1, b"").decode()
            elif kind == TOKEN:
                self.answer += fields(envelope[kind]).get(1, b"").decode()
                self.late_s = when - speech_ended if self.late_s is None else self.late_s
            elif kind == RESPONSE_DONE:
                self.done = fields(envelope[kind]).get(1) == 1  # END_OF_TURN


class Talker:
    """Says recordings into a call that has sound, captured in real time from now on, `chunk_s` at once. `picture`: is
    sent twice a second, where the call has video."""

    def __init__(self, call, chunk_s=.04, picture=None):
        self.call, self.chunk, self.picture = call, int(chunk_s * RATE_HZ), picture
        self.start, self.captured, self.frames = time.monotonic(), 0, 0

    def say(self, recording, pause_s, outage=None, stop_s=None):
        """Half a second's pause, the recording and `pause_s`. `outage`: (start, end) in seconds of it, when nothing goes
        out; then all of it does at once. `stop_s`: where in it to stop. Returns a list of the Turns that came of it:
        one, if all is well. Raises ConnectionError when the call is over."""
        # Of whole windows of the speech detector: each recording is then heard alike wherever in the call it comes.
        before = 16 * 512
        samples = before + len(recording.pcm) // 2 + int(pause_s * RATE_HZ)
        pcm = (b"\0\0" * before + recording.pcm).ljust(2 * (samples + -samples % 512), b"\0")
        if stop_s is not None:
            pcm = pcm[:2 * int(stop_s * RATE_HZ)]
        first, seen = self.captured, len(self.call.events)
        begun = self.start + first / RATE_HZ
        while self.captured - first < len(pcm) // 2:
            at = self.captured - first
            chunk = pcm[2 * at:2 * (at + self.chunk)]
            due = begun + at / RATE_HZ + len(chunk) / 2 / RATE_HZ
            if outage is not None and outage[0] <= due - begun < outage[1]:
                due = begun + outage[1]
            self.call.pump(due)
            if self.call.over:
                raise ConnectionError(f"the call is over: {self.call.error() or 'nothing said why'}")
            index = field(2, self.captured) if self.captured else b""
            self.call.say(AUDIO, field(1, chunk) + index)
            self.captured += len(chunk) // 2
            if self.picture and self.captured / RATE_HZ >= self.frames / 2:
                self.frames += 1
                self.call.say(VIDEO, field(1, self.picture) + field(2, self.frames))
        self.call.pump(begun + len(pcm) / 2 / RATE_HZ)
        events = self.call.events[seen:]
        turns = sorted({envelope[4] for _, kind, envelope in events if kind == COMMITTED})
        return [Turn(events, turn, begun + before / RATE_HZ + recording.speech_end_s)
                for turn in turns]

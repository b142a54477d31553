"""HTTP/2 frames as an attacker writes them: any order, any number, and none of the courtesy of a library."""

import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CONVERSE = "/parley.v1.Parley/Converse"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, prefix_bits, first=0):
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name, value, indexed=False):
    """A header field as RFC 7541 6.2 has it, without Huffman codes; `indexed`: it enters the table of the receiver."""
    name, value = name.encode(), value.encode()
    return (b"\x40" if indexed else b"\x00") + integer(len(name), 7) + name + integer(len(value), 7) + value


def request(path=CONVERSE, *more):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "parley"),
              ("te", "trailers"), ("content-type", "application/grpc"), *more]
    return b"".join(literal(*field) for field in fields)


def message(payload):
    """gRPC's framing of one message."""
    return b"\0" + struct.pack(">I", len(payload)) + payload


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def client_message(seq, field, content=b""):
    """ClientMessage of parley.proto: its seq, and one submessage by its number."""
    return message(b"\x08" + varint(seq) + varint(field << 3 | 2) + varint(len(content)) + content)


OPEN, PING_MESSAGE, CLOSE = 3, 16, 17


class Connection:
    """A TCP connection that has said it speaks HTTP/2. `source`: the loopback address that it comes from."""

    def __init__(self, address, source="127.0.0.66", preface=True, tls=None, window=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        if preface:
            settings = b"" if window is None else struct.pack(">HI", 4, window)
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        self.socket.sendall(data)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                return None
            data += more
        return data

    def read(self):
        """The next frame: kind, flags, stream, payload. None: the connection is closed."""
        try:
            head = self._exactly(9)
            if head is None:
                return None
            payload = self._exactly(int.from_bytes(head[:3], "big"))
        except (ConnectionError, ssl.SSLError):
            return None
        return None if payload is None else (head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    def read_until(self, *kinds, acknowledge=True):
        """The next frame of these kinds; pings and settings before it are acknowledged, data is taken note of."""
        while (got := self.read()) is not None and got[0] not in kinds:
            kind, flags, _, payload = got
            if acknowledge and not flags & ACK and kind in (SETTINGS, PING):
                self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        return got

    def closed(self):
        """Whether the other side closes; reads until it does, or the socket's timeout."""
        try:
            while self.read() is not None:
                pass
        except TimeoutError:
            return False
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

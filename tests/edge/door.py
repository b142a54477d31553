"""A server behind deploy/edge, and what is held to during an attack: memory, and live calls."""

import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import h2  # noqa: E402
from harness import SOURCE, Server  # noqa: E402

RECORDING = SOURCE / "tests/reference/clips/rms_capital.wav"
DATA = SOURCE / "tests/server/testdata"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def eventually(condition, limit_s=30):
    """Whether it comes true; nothing tells of it, so it is looked at again and again."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        select.select([], [], [], .02)
    return True


def all_closed(connections, limit_s=20):
    """Whether the other side closes each of them; they are closed on this side then, too."""
    try:
        for connection in connections:
            connection.socket.settimeout(limit_s)
            if not connection.closed():
                return False
        return True
    finally:
        for connection in connections:
            connection.close()


def open_call(address, **how):
    """A connection with a call that is open on its stream 1."""
    connection = h2.Connection(address, **how)
    connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request()) +
                    h2.frame(h2.DATA, 0, 1, h2.client_message(1, h2.OPEN)))
    got = connection.read_until(h2.DATA, h2.GOAWAY, h2.RST_STREAM)
    if got is None or got[0] != h2.DATA:
        raise RuntimeError(f"no call: {got}")
    return connection


class Door:
    """`server`: its flags; `edge`: those of deploy/edge; `descriptors`: Envoy's limit of them; `output`: a descriptor for the
    edge's instead of its log; `before`: a command that runs it; `environment`: more of it."""

    def __init__(self, binaries, server=(), edge=(), plaintext=True, descriptors=None, engine="fake", output=None, before=(),
                 environment=()):
        self.folder = tempfile.TemporaryDirectory(prefix="parley-edge-test.")
        folder = pathlib.Path(self.folder.name)
        fake = ["--max-load", "1000"] if engine == "fake" else []
        self.server = Server(binaries.server, "--engine", engine, *fake, "--address", f"unix:{folder}/parley.sock", *server)
        self.address = f"127.0.0.1:{free_port()}"
        self.log, self.log_text = folder / "edge.log", None
        self.admin = folder / "admin.sock"
        command = [SOURCE / "deploy/edge", "--listen", self.address, "--server", self.server.address, *edge]
        if plaintext:
            command.append("--plaintext")
        if descriptors is not None:
            command = ["prlimit", f"--nofile={descriptors}", *command]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([str(each) for each in (*before, *command)], stdin=subprocess.DEVNULL,
                                            stdout=log if output is None else output, stderr=subprocess.STDOUT,
                                            env={**os.environ, "PARLEY_EDGE_ADMIN": str(self.admin), **dict(environment)})
        if not eventually(self._listens) or self.process.poll() is not None:
            self.stop()
            raise RuntimeError(f"the edge did not start:\n{self.log_text}")

    def _listens(self):
        return self.process.poll() is not None or not self.shut()

    def shut(self):
        """Whether it takes no connections."""
        host, port = self.address.rsplit(":", 1)
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) != 0

    def envoy_pid(self):
        return int(subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()[0])

    def peaks(self):
        """Most memory so far, MiB: Envoy's, the server's."""
        return peak_mib(self.envoy_pid()), peak_mib(self.server.process.pid)

    def call_ends(self, reason):
        """How many calls have ended so, by the server's metrics."""
        found = re.search(rf'parley_calls_ended_total{{reason="{reason}"}} (\d+)', self.server.metrics())
        return int(found[1]) if found else 0

    def open_call(self, **how):
        try:
            return open_call(self.address, **how)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.log.read_text()}") from None

    def stop(self):
        """Of both. Again: a no-op. Afterwards log_text is what the edge wrote."""
        if self.log_text is not None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.server.stop()
        self.log_text = self.log.read_text()
        self.folder.cleanup()


class LiveCalls:
    """Calls that go on while something else happens; `finish` gives parley-load's report."""

    def __init__(self, binaries, address, seconds, calls=2):
        self.process = subprocess.Popen(
            [binaries.load, "--server", address, "--file", str(RECORDING), "--calls", str(calls), "--duration",
             str(seconds), "--share", "0", "--token-gap-ms", "60000", "--json", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        out, err = self.process.communicate(timeout=100)
        if self.process.returncode != 0:
            raise RuntimeError(f"parley-load: {err}{out}")
        return json.loads(out)


class Attack:
    """Runs `strike(address, over)` on threads until it is told to stop. A connection that is closed on a striker is what the
    door is for: it counts, and the striker begins anew."""

    def __init__(self, strike, address, threads=4):
        self.over = threading.Event()
        self.closed = 0  # connections that the door closed on the attacker
        self.threads = [threading.Thread(target=self._run, args=(strike, address)) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, strike, address):
        while not self.over.is_set():
            try:
                strike(address, self.over)
            except (OSError, RuntimeError):
                self.closed += 1

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

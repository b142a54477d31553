"""parley-server and parley-call as processes, for end-to-end tests. Standard library only."""

import json
import pathlib
import re
import signal
import subprocess
import tempfile
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = SOURCE / "deploy/sample/sample_call.mp4"

CALL_LIMIT_S = 240


class Server:
    """A server on free ports of the loopback address; its log is kept for a failing test's message."""

    def __init__(self, binary, *arguments):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [binary, "--port", "0", "--metrics-address", "127.0.0.1:0", "--drain-limit", "200", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = self.metrics_port = None
        # The server prints both lines when it takes calls, and ends its output when it cannot.
        for line in self.process.stdout:
            if found := re.match(r"listening on (\S+)", line):
                self.address = found[1]
            if found := re.match(r"metrics on port (\d+)", line):
                self.metrics_port = int(found[1])
                break
        if self.address is None:
            self.process.wait()
            log = self.read_log()
            self.process.stdout.close()
            self.log.close()
            raise RuntimeError(f"the server did not start (exit code {self.process.returncode}):\n{log}")

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def stop(self, limit_s=60):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()


class Events(list):
    """The events of one call, as parley-call --json prints them."""

    def of(self, kind):
        return [event[kind] for event in self if kind in event]

    def transcripts(self):
        return [transcript.get("text", "") for transcript in self.of("transcript")]

    def answers(self):
        """Answer text by response, in order."""
        answers = {}
        for event in self:
            if "token" in event:
                key = int(event["response_id"])
                answers[key] = answers.get(key, "") + event["token"]["text"]
        return [answers[key] for key in sorted(answers)]


class Client:
    """One parley-call process."""

    def __init__(self, binary, server, *arguments):
        self.process = subprocess.Popen(
            [binary, "--server", server.address, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        """(exit code, standard output, standard error)"""
        out, err = self.process.communicate(timeout=CALL_LIMIT_S)
        return self.process.returncode, out, err


def parse_events(text):
    return Events(json.loads(line) for line in text.splitlines())

#!/usr/bin/env python3
"""parley-call against parley-server on the fake engine: what holds without weights, also under sanitizers.

  fake_calls.py --server BINARY --client BINARY --load BINARY [unittest arguments]
"""

import argparse
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
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness import SAMPLE, SOURCE, Client, Server, parse_events  # noqa: E402

BINARIES = None
DATA = SOURCE / "tests/clients/data"


class FakeCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARIES.server, "--engine", "fake")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, f"the server ended with {code}:\n{cls.server.read_log()}"

    def finish(self, *arguments):
        return Client(BINARIES.client, self.server, *arguments).finish()

    def events_of(self, *arguments):
        code, out, err = self.finish("--json", *arguments)
        self.assertEqual(code, 0, f"{err}\n{out}\nserver:\n{self.server.read_log()}")
        events = parse_events(out)
        self.assertEqual([int(event["seq"]) for event in events], list(range(1, len(events) + 1)))
        return events

    def test_each_text_gets_its_own_answer(self):
        events = self.events_of("--text", "one", "--text", "two")
        self.assertEqual([int(event["turn_id"]) for event in events if "response_done" in event], [1, 2])

    def test_every_kind_of_file_is_taken(self):
        for name in ("rotated_mpeg4.mp4", "vp9_vorbis.webm", "tone.wav"):
            events = self.events_of("--file", DATA / name)
            self.assertEqual(events.of("error"), [], name)
            self.assertEqual(events.of("warning"), [], name)
            frames = [status for status in events.of("input_status") if status.get("reason") == "UNDECODABLE"]
            self.assertEqual(frames, [], name)

    def test_a_recording_sent_as_one_turn_is_answered(self):
        events = self.events_of("--manual", "--file", SOURCE / "tests/reference/clips/rms_capital.wav")
        self.assertEqual(len(events.of("turn_committed")), 1)
        self.assertEqual(events.of("turn_committed")[0]["reason"], "ACTIVITY_END")

    def test_generation_options_are_in_force(self):
        events = self.events_of("--max-tokens", "3", "--seed", "7", "--temperature", "0.5", "--text", "hello")
        in_force = events.of("ready")[0]["config"]["generation"]
        self.assertEqual(in_force["max_tokens"], 3)
        self.assertEqual(in_force["seed"], "7")
        self.assertLessEqual(events.of("response_done")[0]["usage"]["answer_tokens"], 3)

    def test_a_refused_option_fails_the_call(self):
        code, _, err = self.finish("--temperature", "9", "--text", "hello")
        self.assertEqual(code, 1)
        self.assertIn("INVALID_CONFIG", err)

    def test_health_and_capabilities_need_no_call(self):
        code, out, _ = self.finish("--health")
        self.assertEqual((code, "ready for calls" in out), (0, True))
        code, out, _ = self.finish("--capabilities")
        self.assertEqual(code, 0)
        self.assertIn('"max_answer_tokens"', out)

    def test_control_c_hangs_up_properly(self):
        client = Client(BINARIES.client, self.server, "--file", SAMPLE)
        client.process.stdout.readline()
        client.process.send_signal(signal.SIGINT)
        code, out, err = client.finish()
        self.assertEqual(code, 0, err)
        self.assertIn("ended properly", out)

    def test_control_c_ends_what_is_no_call_yet(self):
        class Nobody:
            address = "127.0.0.1:1"

        with tempfile.TemporaryDirectory() as folder:
            fifo = f"{folder}/fifo"
            os.mkfifo(fifo)
            opening = Client(BINARIES.client, self.server, "--file", fifo)
            writer = None
            while writer is None:  # until it is opened, whose file then gives nothing
                try:
                    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    select.select([], [], [], .01)
            waiting = Client(BINARIES.client, Nobody, "--wait", "3600", "--text", "hello")
            status = pathlib.Path(f"/proc/{waiting.process.pid}/status")
            both = 1 << signal.SIGINT - 1 | 1 << signal.SIGTERM - 1
            while int(re.search(r"SigBlk:\s+(\w+)", status.read_text())[1], 16) & both != both:
                select.select([], [], [], .01)  # until its thread takes them
            for client, number in ((opening, signal.SIGINT), (waiting, signal.SIGTERM)):
                client.process.send_signal(number)
                self.assertEqual(client.process.wait(30), 128 + number)
                client.finish()
            os.close(writer)

    def test_a_wrong_command_line_is_told_apart_from_a_failed_call(self):
        self.assertEqual(self.finish()[0], 2)
        self.assertEqual(self.finish("--nonsense")[0], 2)
        self.assertEqual(self.finish("--file", "/nonexistent.mp4")[0], 1)

    def test_a_number_is_decimal_finite_and_in_range(self):
        call = [BINARIES.client, "--text", "hello"]
        load = [BINARIES.load, "--file", str(SAMPLE)]
        for program, whole, flags in (
                (call, False, ("--wait", "--stills-fps", "--start-threshold", "--temperature", "--top-p",
                               "--repetition-penalty", "--speaking-fps", "--silent-fps")),
                (call, True, ("--silence-ms", "--audio-idle-ms", "--max-tokens", "--top-k", "--seed")),
                (load, False, ("--wait", "--calls", "--duration", "--first-token-ms", "--token-gap-ms", "--share",
                               "--most-calls")),
                (load, True, ("--seed", "--max-tokens"))):
            for flag in flags:
                for value in ("4.5", "010") if whole else ("nan", "inf"):
                    done = subprocess.run([*program, f"{flag}={value}"], capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 2, f"{flag} {value}: {done.stderr}")
                    self.assertIn(f"{flag}: ", done.stderr)

    def test_what_is_no_file_is_named_and_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo = f"{folder}/fifo"
            os.mkfifo(fifo)
            for path, words in ((fifo, "is a FIFO"), (folder, "is a directory")):
                for flag in ("--image", "--tls-ca"):
                    code, _, err = self.finish(flag, path, "--text", "hello")
                    self.assertEqual(code, 1)
                    self.assertIn(f"{path}: {words}", err)
            code, _, err = self.finish("--file", folder)
            self.assertEqual(code, 1)
            self.assertIn(folder, err)


class SlowLine:
    """A connection to `server` whose first bytes come late, as over a line of many hops."""

    def __init__(self, server, late_s):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.server, self.late_s = server, late_s
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        host, port = self.server.address.split(":")
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection((host, int(port)))
                threading.Thread(target=self._pass_on, args=(near, far, 0)).start()
                threading.Thread(target=self._pass_on, args=(far, near, self.late_s)).start()
        except OSError:
            pass

    @staticmethod
    def _pass_on(source, to, late_s):
        try:
            threading.Event().wait(late_s)
            while data := source.recv(1 << 16):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


class Connecting(unittest.TestCase):
    def test_a_slow_line_is_given_the_time_it_takes(self):
        server = Server(BINARIES.server, "--engine", "fake")
        line = SlowLine(server, late_s=1.5)
        try:
            code, out, err = Client(BINARIES.client, line, "--text", "hello").finish()
            self.assertEqual(code, 0, f"{err}\n{out}")
        finally:
            line.close()
            self.assertEqual(server.stop(), 0)


class Load(unittest.TestCase):
    RECORDING = SOURCE / "tests/reference/clips/rms_capital.wav"

    def run_load(self, server, *arguments):
        command = [BINARIES.load, "--server", server.address, "--file", str(self.RECORDING), "--json", "-"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def test_a_load_is_measured_and_every_answer_is_that_of_a_call_alone(self):
        server = Server(BINARIES.server, "--engine", "fake", "--max-calls", "64")
        try:
            code, out, err = self.run_load(server, "--calls", "6", "--duration", "4", "--first-token-ms", "10000",
                                           "--token-gap-ms", "10000")
        finally:
            server.stop()
        self.assertEqual(code, 0, f"{err}\n{out}")
        line = json.loads(out)
        self.assertEqual((line["suite"], line["met"]), ("load", True))
        self.assertGreater(line["turns"], 0)
        self.assertEqual(line["turns_answered"], line["turns"])
        self.assertEqual(line["turns_other"], 0)
        self.assertEqual(line["calls_ended"], line["calls_started"])
        self.assertEqual(line["first_token"]["count"], line["turns"])

    def test_a_server_that_takes_too_few_calls_does_not_meet_the_objective(self):
        server = Server(BINARIES.server, "--engine", "fake", "--max-calls", "1", "--max-waiting", "0")
        try:
            code, out, err = self.run_load(server, "--calls", "6", "--duration", "4")
        finally:
            server.stop()
        self.assertEqual(code, 1, err)
        line = json.loads(out)
        self.assertFalse(line["met"])
        self.assertGreater(line["calls_refused"], 0)
        self.assertEqual(line["failures"], {})
        self.assertLess(line["turns_answered"], line["turns"])

    def test_nobody_there_is_one_clear_line(self):
        class Nobody:
            address = "127.0.0.1:1"

        code, _, err = self.run_load(Nobody, "--wait", "0.2")
        self.assertEqual(code, 1)
        self.assertIn("127.0.0.1:1 is not ready", err)


class NoServer(unittest.TestCase):
    def test_nobody_there_is_one_clear_line(self):
        class Nobody:
            address = "127.0.0.1:1"

        code, _, err = Client(BINARIES.client, Nobody, "--wait", "0.2", "--text", "hello").finish()
        self.assertEqual(code, 1)
        self.assertIn("no server at 127.0.0.1:1", err)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--load", required=True)
    BINARIES, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)

#!/usr/bin/env python3
"""Runs the commands of the `sh` blocks of README.md and docs/, on real weights, so that what they say stays true.

  readme_commands.py --server BINARY --client BINARY --load BINARY --model BUNDLE [unittest arguments]

Every line of every `sh` block is run, with addresses, ports and files of the test's own. What is not run whole:

  deploy/quickstart, deploy/test,
  deploy/analyse, deploy/coverage    --help: they install packages, and build and test all of this
  bench/run, bench/plot              --help and the flags: they fetch peers, and take an hour
  tests/soak/run                     --help: it takes twenty minutes, half a minute of it is a test of its own
  tests/fuzz/run                     that it is there: its fuzzers are those of another build
  cmake, ctest, by hand              configured in folders of its own, where the build is a dry one (compiling takes
                                     minutes, and what is tested was built so) and the tests are listed
  gdb, perf                          the flags of what they run: not every machine has them
  parley-call --mic --camera         the flags: a test machine has neither
  parley-load --search, --duration   the flags, and one load of few seconds: a search takes minutes, and what it finds is
                                     the machine's
  curl                               Python's own client, and curl itself where it is installed
  grpcurl                            grpc_json.py, a stand-in of few lines that takes the same arguments, and grpcurl
                                     itself where it is installed
  deploy/edge at 0.0.0.0:443         a free port of the loopback address, with the certificates of tests/server
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from harness import SOURCE, Client, Server

CERTIFICATES = SOURCE / "tests/server/testdata"

BINARIES = None


def blocks(language):
    """The fenced blocks of this language, each as its lines, of README.md first."""
    pages = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
    fences = [fence for page in pages
              for fence in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)]
    return [[line for line in text.splitlines() if line.strip()] for name, text in fences if name == language]


def commands():
    """Each once, in the order in which they stand."""
    return list(dict.fromkeys(line for block in blocks("sh") for line in block))


def commands_of(name):
    """The argument lists of the commands that run `name`."""
    split = [shlex.split(command) for command in commands()]
    return [words[1:] for words in split if words[0].endswith(name)]


class ReadmeCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARIES.server, "--model", BINARIES.model)
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def check_flags(self, binary, arguments):
        usage = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
        for argument in arguments:
            if argument.startswith("--"):
                self.assertIn(argument.partition("=")[0], usage)

    def test_every_command_is_one_this_test_knows(self):
        known = ("./deploy/", "bench/run ", "bench/plot ", "tests/soak/run", "tests/fuzz/run ",
                 "build/release/server/parley-server ", "build/release/clients/cpp/parley-call ",
                 "build/release/clients/cpp/parley-load ", "build/release/tests/",
                 "grpcurl ", "curl http://127.0.0.1:9464/metrics", 'eval "$(./deploy/setup --env)"',
                 "cmake --preset ", "cmake --build build/", "ctest --test-dir build/", "gdb --args build/dev/server/parley-server ",
                 "perf record ", "perf report ", "mkdir -p build/python", "protoc ")
        self.assertGreater(len(commands()), 10)
        for command in commands():
            self.assertTrue(command.startswith(known), command)
        for line in (line for block in blocks("") for line in block):
            self.assertFalse(line.startswith(known), f"a command that is in no sh block: {line}")

    def test_scripts_are_there(self):
        scripts = [shlex.split(command) for command in commands() if command.startswith(("./deploy/", "bench/", "tests/"))]
        self.assertIn(["./deploy/quickstart"], scripts)
        for script, *arguments in scripts:
            if script == "tests/fuzz/run":  # BUILD, SECONDS
                self.assertTrue(os.access(SOURCE / script, os.X_OK))
                self.assertRegex(" ".join(arguments), r"^build/asan \d+$")
            else:
                self.check_flags(SOURCE / script, arguments)

    def test_builds_by_hand_begin_as_written(self):
        script = ["set -e"]
        lists = 0
        for command in commands():
            if not command.startswith(("eval ", "cmake ", "ctest ")):
                continue
            if command.startswith("cmake --preset") and " -B " not in command:
                command += f" -B build/{shlex.split(command)[2]}"
            if command.startswith("cmake --build"):
                command += " -- -n"
            if command.startswith("ctest"):
                command += " -N"
                lists += 1
            script.append(command.replace("build/", f"{self.folder.name}/"))
        done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=SOURCE, capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout[-2000:])
        self.assertEqual(len(re.findall(r"^Total Tests: [1-9]\d*$", done.stdout, re.MULTILINE)), lists, done.stdout[-2000:])

    def test_a_test_runs_alone_as_written(self):
        build = pathlib.Path(BINARIES.server).resolve().parents[1]
        own = [command for command in commands() if command.startswith("build/release/tests/")]
        self.assertGreater(len(own), 0)
        for command in own:
            binary, *arguments = shlex.split(command)
            done = subprocess.run([build / binary.removeprefix("build/release/"), *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            self.assertRegex(done.stdout, r"\[  PASSED  \] [1-9]")

    def test_what_a_debugger_and_a_profiler_run_has_these_flags(self):
        for command in commands():
            if command.startswith(("gdb ", "perf record ")):
                words = shlex.split(command)
                server = next(i for i, word in enumerate(words) if word.endswith("/parley-server"))
                self.check_flags(BINARIES.server, words[server + 1:])

    def test_a_client_in_python_gets_an_answer(self):
        """With the system's Python, whose packages it needs."""
        script = "\n".join(command for command in commands() if command.startswith(("mkdir ", "protoc ")))
        own = f"{self.folder.name}/python"
        subprocess.run(["bash", "-ec", script.replace("build/python", own)], cwd=SOURCE, check=True, timeout=60)
        (program,) = blocks("python")
        text = "\n".join(program).replace("build/python", own).replace("127.0.0.1:50051", self.server.address)
        done = subprocess.run(["/usr/bin/python3", "-c", text], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Paris", done.stdout)

    def test_the_server_starts_as_written(self):
        for arguments in commands_of("parley-server"):
            self.check_flags(BINARIES.server, arguments)
            arguments = [BINARIES.model if "models/parley-small" in argument else argument for argument in arguments]
            arguments = [str(SOURCE / argument) if argument.startswith("deploy/") else argument for argument in arguments]
            arguments = [argument.replace("unix:build/", f"unix:{self.folder.name}/") for argument in arguments]
            self.assertEqual(Server(BINARIES.server, *arguments).stop(), 0, arguments)

    def test_a_call_through_the_edge_ends_properly(self):
        """The block about the edge: a server at a socket file, the edge in front of it, and a call over TLS."""
        block = next(block for block in blocks("sh") if any(line.startswith("./deploy/edge") for line in block))
        self.assertEqual([shlex.split(line)[0] for line in block],
                         ["build/release/server/parley-server", "./deploy/edge"])
        (server_words, edge_words) = (shlex.split(line)[1:] for line in block)
        self.check_flags(SOURCE / "deploy/edge", edge_words)
        socket_file = f"unix:{self.folder.name}/edge.sock"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        own = {"~/.cache/parley/models/parley-small": BINARIES.model, "unix:build/parley.sock": socket_file,
               "0.0.0.0:443": address, "fullchain.pem": str(CERTIFICATES / "localhost.cert.pem"),
               "privkey.pem": str(CERTIFICATES / "localhost.key.pem")}
        server = Server(BINARIES.server, *[own.get(word, word) for word in server_words])
        try:
            with open(pathlib.Path(self.folder.name) / "edge.log", "w+") as log:
                edge = subprocess.Popen([SOURCE / "deploy/edge", *[own.get(word, word) for word in edge_words]],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
                try:
                    call = [BINARIES.client, "--server", address, "--tls-ca", CERTIFICATES / "localhost.cert.pem",
                            "--tls-server-name", "localhost"]
                    for more in (["--health"], ["--text", "What is the capital of France?"]):
                        done = subprocess.run([*call, *more], capture_output=True, text=True, timeout=120)
                        log.seek(0)
                        self.assertEqual(done.returncode, 0, f"{more}: {done.stderr}{done.stdout}\n{log.read()}")
                    self.assertIn("Paris", done.stdout)
                finally:
                    edge.send_signal(signal.SIGTERM)
                    self.assertEqual(edge.wait(60), 0)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_calls_end_properly(self):
        for arguments in commands_of("parley-call"):
            self.check_flags(BINARIES.client, arguments)
            if "--mic" in arguments or "--camera" in arguments:
                continue
            arguments = [str(SOURCE / argument) if argument.startswith("deploy/") else argument for argument in arguments]
            code, out, err = Client(BINARIES.client, self.server, *arguments).finish()
            self.assertEqual(code, 0, f"{arguments}: {err}\n{out}")
            self.assertTrue(out)

    def test_a_load_is_answered_as_a_call_alone_is(self):
        """Each command's flags; one of them for a few seconds, without an objective: machines differ."""
        self.assertGreater(len(commands_of("parley-load")), 0)
        for arguments in commands_of("parley-load"):
            self.check_flags(BINARIES.load, arguments)
        command = [BINARIES.load, "--server", self.server.address, "--file", str(SOURCE / "deploy/sample/sample_call.mp4"),
                   "--calls", "2", "--duration", "8", "--share", "0", "--token-gap-ms", "60000", "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        line = json.loads(done.stdout)
        self.assertGreater(line["turns"], 0)
        self.assertEqual((line["turns_answered"], line["turns_other"]), (line["turns"], 0), done.stderr)

    def test_metrics_are_served(self):
        (arguments,) = (shlex.split(command)[1:] for command in commands() if command.startswith("curl "))
        own = [word.replace("127.0.0.1:9464", f"127.0.0.1:{self.server.metrics_port}") for word in arguments]
        self.assertIn("parley_calls_active", self.server.metrics())
        if shutil.which("curl"):
            done = subprocess.run(["curl", "-sS", *own], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("parley_calls_active", done.stdout)

    def test_grpcurl_gets_answers(self):
        """By grpcurl itself where it is installed; always by grpc_json.py, which takes the same arguments."""
        tools = [["/usr/bin/python3", str(SOURCE / "tests/e2e/grpc_json.py")]]
        if shutil.which("grpcurl"):
            tools.append(["grpcurl"])
        self.assertEqual(len(commands_of("grpcurl")), 4)
        for tool in tools:
            said = []
            for arguments in commands_of("grpcurl"):
                self.assertIn("127.0.0.1:50051", arguments)
                arguments = [self.server.address if each == "127.0.0.1:50051" else each for each in arguments]
                result = subprocess.run([*tool, *arguments], capture_output=True, text=True, timeout=60)
                self.assertEqual(result.returncode, 0, f"{tool} {arguments}: {result.stderr}")
                said.append(result.stdout)
            listed, health, capabilities, call = said
            for service in ("parley.v1.Parley", "grpc.health.v1.Health"):
                self.assertIn(service, listed.split())
            self.assertIn('"SERVING"', health)
            self.assertIn("parley-small", capabilities)
            self.assertIn("Paris", call)
            self.assertIn("END_OF_TURN", call)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("server", "client", "load", "model"):
        parser.add_argument(f"--{name}", required=True)
    BINARIES, rest = parser.parse_known_args()
    if not os.path.exists(os.path.join(BINARIES.model, "parley.json")):
        sys.exit(f"no bundle at '{BINARIES.model}': run deploy/setup")
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)

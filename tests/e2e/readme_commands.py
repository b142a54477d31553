#!/usr/bin/env python3
"""Runs the commands of README.md's `sh` blocks, on real weights, so that what it says stays true.

  readme_commands.py --server BINARY --client BINARY --load BINARY --model BUNDLE [unittest arguments]

Commands that this test cannot run whole are run as far as it can: scripts that build by their --help, the
microphone and camera by their flags, what grpcurl is asked by a stand-in of few lines (grpc_json.py).
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import SOURCE, Client, Server

BINARIES = None


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


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
                self.assertIn(argument, usage)

    def test_every_command_is_one_this_test_knows(self):
        known = ("./deploy/", "build/release/server/parley-server ", "build/release/clients/cpp/parley-call ",
                 "build/release/clients/cpp/parley-load ",
                 "grpcurl ", "curl http://127.0.0.1:9464/metrics", 'eval "$(./deploy/setup --env)"',
                 "cmake --preset release", "cmake --build build/release", "ctest --test-dir build/release")
        self.assertGreater(len(commands()), 10)
        for command in commands():
            self.assertTrue(command.startswith(known), command)

    def test_scripts_are_there(self):
        scripts = [shlex.split(command)[0] for command in commands() if command.startswith("./deploy/")]
        self.assertIn("./deploy/quickstart", scripts)
        for script in scripts:
            subprocess.run([SOURCE / script, "--help"], check=True, capture_output=True)
        subprocess.run([SOURCE / "deploy/setup", "--env"], check=True, capture_output=True)

    def test_the_server_starts_as_written(self):
        for arguments in commands_of("parley-server"):
            self.check_flags(BINARIES.server, arguments)
            arguments = [BINARIES.model if "models/parley-small" in argument else argument for argument in arguments]
            arguments = [str(SOURCE / argument) if argument.startswith("deploy/") else argument for argument in arguments]
            arguments = [argument.replace("unix:build/", f"unix:{self.folder.name}/") for argument in arguments]
            self.assertEqual(Server(BINARIES.server, *arguments).stop(), 0, arguments)

    def test_the_edge_has_the_flags_as_written(self):
        self.assertGreater(len(commands_of("deploy/edge")), 0)
        for arguments in commands_of("deploy/edge"):
            self.check_flags(SOURCE / "deploy/edge", arguments)

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
        self.assertIn("parley_calls_active", self.server.metrics())

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

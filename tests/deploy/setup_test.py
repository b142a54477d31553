#!/usr/bin/env python3
"""What deploy/'s scripts say where they cannot work: one line that names what is missing, and exit code 1."""

import os
import pathlib
import subprocess
import tempfile
import unittest

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


class Scripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.shims = self.folder / "bin"
        self.shims.mkdir()

    def shim(self, command, script):
        """A command that comes before the machine's own."""
        path = self.shims / command
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)

    def run_script(self, name, *arguments, **environment):
        for variable in ("PARLEY_TORCH_ROOT", "PARLEY_MODEL_DIR"):
            environment.setdefault(variable, "")
        path = f"{self.shims}:{os.environ['PATH']}"
        return subprocess.run([DEPLOY / name, *arguments], env={**os.environ, "PATH": path, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def refused(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        last = result.stderr.strip().splitlines()[-1]
        for word in words:
            self.assertIn(word, last)

    def test_every_script_has_help_and_refuses_what_it_does_not_know(self):
        for name in ("quickstart", "setup", "test"):
            result = self.run_script(name, "--help")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"deploy/{name}", result.stdout)
            self.refused(self.run_script(name, "--nonsense"), f"deploy/{name}", "--nonsense")

    def test_another_processor_is_named(self):
        self.shim("uname", 'case "$1" in -s) echo Linux;; *) echo aarch64;; esac')
        self.refused(self.run_script("setup"), "aarch64", "x86_64")

    def test_a_full_disk_is_named_with_what_is_needed(self):
        self.shim("df", "printf 'Avail\\n 12\\n'")
        self.refused(self.run_script("setup", PARLEY_CACHE=str(self.folder / "cache")), "12 MB free", "LibTorch")

    def test_without_a_network_the_package_is_named(self):
        self.refused(
            self.run_script("setup", PARLEY_CACHE=str(self.folder / "cache"), PIP_INDEX_URL="http://127.0.0.1:1/",
                            PIP_FIND_LINKS="", PIP_RETRIES="0"), "torch==2.11.0", "network")

    def test_quickstart_and_test_fetch_what_is_missing_too(self):
        for script in ("quickstart", "test"):
            self.refused(
                self.run_script(script, PARLEY_CACHE=str(self.folder / "cache"), PIP_INDEX_URL="http://127.0.0.1:1/",
                                PIP_FIND_LINKS="", PIP_RETRIES="0"), "torch==2.11.0", "network")

    def test_a_package_that_the_distribution_lacks_is_named(self):
        self.shim("dpkg-query", "exit 1")
        self.shim("apt-get", "exit 0")
        self.shim("apt-cache", "exit 100")
        self.shim("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"')
        self.refused(self.run_script("setup"), "no package", "Debian 12")

    def test_a_failed_package_index_is_named(self):
        self.shim("dpkg-query", "exit 1")
        self.shim("apt-get", "echo 'Temporary failure resolving'; exit 100")
        self.shim("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"')
        self.refused(self.run_script("setup"), "apt-get update", "network")

    def test_a_libtorch_of_ones_own_must_be_one(self):
        self.refused(self.run_script("setup", PARLEY_TORCH_ROOT="/nonexistent/libtorch"), "/nonexistent/libtorch")

    def test_a_bundle_of_ones_own_must_be_one(self):
        torch = self.folder / "libtorch"
        (torch / "lib").mkdir(parents=True)
        (torch / "lib/libtorch_cpu.so").touch()
        self.refused(self.run_script("setup", PARLEY_TORCH_ROOT=str(torch), PARLEY_MODEL_DIR="/nonexistent/bundle"),
                     "/nonexistent/bundle", "parley.json")

    def test_the_environment_for_a_build_by_hand_is_printed(self):
        result = self.run_script("setup", "--env", PARLEY_CACHE="/a cache")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(r"export PARLEY_MODEL_DIR=/a\ cache/models/parley-small", result.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

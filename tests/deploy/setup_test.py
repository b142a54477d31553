#!/usr/bin/env python3
"""What the scripts of deploy/ and bench/ say where they cannot work: one line that names what is missing, and exit
code 1."""

import os
import pathlib
import re
import subprocess
import sys
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
        path = f"{self.shims}:{environment.pop('TOOLS', os.environ['PATH'])}"
        return subprocess.run([DEPLOY / name, *arguments], env={**os.environ, "PATH": path, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def refused(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        last = result.stderr.strip().splitlines()[-1]
        for word in words:
            self.assertIn(word, last)

    def test_every_script_has_help_and_refuses_what_it_does_not_know(self):
        for path in ("deploy/analyse", "deploy/coverage", "deploy/quickstart", "deploy/setup", "deploy/test", "bench/run",
                     "bench/plot", "bench/peers/install"):
            result = self.run_script(f"../{path}", "--help")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(path, result.stdout)
            self.refused(self.run_script(f"../{path}", "--nonsense"), path, "--nonsense")
        self.refused(self.run_script("../bench/run", "decode", "--nonsense", "1"), "bench/run", "--nonsense")
        self.refused(self.run_script("../bench/plot", "/no/such/file"), "bench/plot", "/no/such/file")

    def test_another_processor_is_named(self):
        self.shim("uname", 'case "$1" in -s) echo Linux;; *) echo aarch64;; esac')
        self.refused(self.run_script("setup"), "aarch64", "x86_64")

    def test_a_full_disk_is_named_with_what_is_needed(self):
        self.shim("df", "printf 'Avail\\n 12\\n'")
        self.refused(self.run_script("setup", PARLEY_CACHE=str(self.folder / "cache")), "12 MB free", "LibTorch")

    def test_the_room_for_all_that_is_missing_is_checked_before_anything_is_fetched(self):
        cache = self.folder / "cache"
        self.shim("df", "printf 'Avail\\n 2000\\n'")
        self.shim("python3", "echo fetched >&2; exit 9")
        self.refused(self.run_script("setup", PARLEY_CACHE=str(cache)), "2000 MB free", "LibTorch", "the model")
        self.assertFalse(cache.exists())

    def pip(self, script):
        """A pip that does what `script` says with $dest, the folder for wheels; all else goes to the real python."""
        self.shim("python3", f"""[ "$3" = download ] || exec {sys.executable} "$@"
while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; [ "$1" = -r ] && requirement=$(cat "$2"); shift; done
[ -n "$dest" ] || exit 0
{script}""")

    def test_the_progress_of_a_download_is_shown_without_a_terminal(self):
        self.pip("""case $requirement in
torch*) for part in 1 2 3; do head -c 110000000 /dev/zero >> "$TMPDIR/torch.whl"; sleep 0.7; done
  mv "$TMPDIR/torch.whl" "$dest"; exit 0;;
esac
echo 'Connection broken' >&2; exit 1""")
        cache = self.folder / "cache"
        result = self.run_script("setup", PARLEY_CACHE=str(cache))
        self.refused(result, "nvidia-cuda-runtime", "network")
        told = [int(megabytes) for megabytes in re.findall(r"(\d+) of 544 MB", result.stdout)]
        self.assertGreaterEqual(len(told), 2, result.stdout)
        self.assertEqual(told, sorted(told))
        self.assertIn("Connection broken", result.stderr)
        # What was complete stays; what was not is gone.
        self.assertEqual([path.name for path in (cache / "wheels/torch").glob("*.whl")], ["torch.whl"])
        self.assertFalse((cache / "wheels/torch/.partial").exists())

    def test_a_broken_connection_is_taken_up_where_pip_can(self):
        arguments = self.folder / "arguments"
        for said, expected in (("--resume-retries", True), ("--retries", False)):
            self.shim("python3", f"""case "$*" in *--help*) echo '  {said} <n>';; *) echo "$@" > {arguments}; exit 1;; esac""")
            self.refused(self.run_script("setup", PARLEY_CACHE=str(self.folder / "cache")), "torch==2.11.0")
            self.assertEqual("--resume-retries" in arguments.read_text(), expected)

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

    def test_without_root_and_without_sudo_the_command_is_named(self):
        self.shim("dpkg-query", "exit 1")
        self.shim("id", "echo 1000")
        tools = self.folder / "tools"
        tools.mkdir()
        for folder in os.environ["PATH"].split(os.pathsep):
            for tool in pathlib.Path(folder).glob("*"):
                if tool.name != "sudo" and not (tools / tool.name).exists():
                    (tools / tool.name).symlink_to(tool)
        self.refused(self.run_script("setup", TOOLS=str(tools)), "needs root", "there is no sudo", "apt-get install", "g++")

    def test_without_root_and_with_a_sudo_that_asks_the_command_is_named(self):
        self.shim("dpkg-query", "exit 1")
        self.shim("id", "echo 1000")
        self.shim("sudo", "echo 'sudo: a password is required' >&2; exit 1")
        self.refused(self.run_script("setup"), "needs root", "wants a password", "apt-get install", "g++")

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

    def test_the_tools_of_the_peers_are_installed_as_those_of_the_build(self):
        """Where npm and flite are missing, apt is asked for them."""
        self.shim("dpkg-query", "exit 1")
        self.shim("id", "echo 0")
        asked = self.folder / "asked"
        self.shim("apt-get", f'echo "$@" >> {asked}; exit 0')
        self.shim("apt-cache", "exit 0")
        tools = self.folder / "tools"
        tools.mkdir()
        for folder in os.environ["PATH"].split(os.pathsep):
            for tool in pathlib.Path(folder).glob("*"):
                if tool.name not in ("npm", "flite") and not (tools / tool.name).exists():
                    (tools / tool.name).symlink_to(tool)
        self.refused(self.run_script("../bench/peers/install", TOOLS=str(tools), PARLEY_CACHE=str(self.folder / "cache")),
                     "npm is missing")  # this apt installs nothing
        self.assertIn("install -y --no-install-recommends flite npm", asked.read_text())

    def test_a_peer_that_cannot_be_fetched_is_named(self):
        self.shim("npm", "exit 1")
        self.refused(self.run_script("../bench/peers/install", PARLEY_CACHE=str(self.folder / "cache")),
                     "@node-llama-cpp/linux-x64", "network")

    def test_a_peer_that_is_not_the_pinned_file_is_not_unpacked(self):
        self.shim("npm", "echo other > package.tgz; echo package.tgz")
        self.refused(self.run_script("../bench/peers/install", PARLEY_CACHE=str(self.folder / "cache")),
                     "@node-llama-cpp/linux-x64", "sha256 differs")
        self.assertFalse((self.folder / "cache/peers/llama.cpp").exists())

    def test_the_environment_for_a_build_by_hand_is_printed(self):
        result = self.run_script("setup", "--env", PARLEY_CACHE="/a cache")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(r"export PARLEY_MODEL_DIR=/a\ cache/models/parley-small", result.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

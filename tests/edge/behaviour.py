#!/usr/bin/env python3
"""What deploy/edge does for a call that behaves, and for one that does not: who the server thinks it is, when a client
that does not read or has vanished is noticed, certificates, shutting down.

  behaviour.py --server BINARY --client BINARY [unittest arguments]
"""

import argparse
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest

import h2
from door import DATA, SOURCE, Door, Server, all_closed, eventually

BINARIES = None
CLEAR = 12  # InputClear of parley.proto: nothing answers it


def pings(first, count):
    """DATA frames for stream 1 with messages that the server answers, each once."""
    messages = b"".join(h2.client_message(seq, h2.PING_MESSAGE) for seq in range(first, first + count))
    return b"".join(h2.frame(h2.DATA, 0, 1, messages[i:i + 16_000]) for i in range(0, len(messages), 16_000))


class Plain(unittest.TestCase):
    def door(self, **how):
        door = Door(BINARIES, **how)
        self.addCleanup(door.stop)
        return door

    def test_a_call_is_answered_and_leaves_a_line_without_its_contents(self):
        door = self.door()
        done = subprocess.run([BINARIES.client, "--server", door.address, "--text", "a plover"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ended properly", done.stdout)
        door.stop()
        line = next(line for line in door.log_text.splitlines() if '"route":"call"' in line)
        self.assertIn('"grpc":0', line)
        self.assertNotIn("plover", door.log_text)

    def test_the_server_knows_the_client_by_what_the_door_says_not_by_what_it_says_itself(self):
        door = self.door()
        lies = [("x-parley-peer", "192.0.2.9"), ("x-parley-client-subject", "CN=root"), ("x-forwarded-for", "192.0.2.9")]
        with h2.Connection(door.address, source="127.0.0.77") as connection:
            connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request(h2.CONVERSE, *lies)) +
                            h2.frame(h2.DATA, 0, 1, h2.client_message(1, h2.OPEN)))
            self.assertEqual(connection.read_until(h2.DATA)[0], h2.DATA)
        # The log is written by a thread of its own.
        self.assertTrue(eventually(lambda: "call opened" in door.server.read_log()))
        opened = next(line for line in door.server.read_log().splitlines() if "call opened" in line)
        self.assertIn("peer=127.0.0.77 ", opened)
        self.assertIn('client_subject=""', opened)

    def test_other_paths_do_not_reach_the_server(self):
        door = self.door()
        for path in ("/", "/metrics", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                     "/parley.v1.Parley%2fConverse", "/x/../parley.v1.Parley/Converse/"):
            with h2.Connection(door.address) as connection:
                connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, h2.request(path)))
                self.assertTrue(connection.read_until(h2.HEADERS)[1] & h2.END_STREAM, path)

    def test_a_client_that_does_not_read_is_noticed_by_the_server(self):
        door = self.door(server=["--slow-reader-limit", "1"])
        with door.open_call(window=8_192) as call:
            # Answers of 400 kB for a client that takes 8 KiB. The windows and buffers on the way, gRPC's too, hold up to
            # 230; the questions fit into the client's window.
            call.send(pings(2, 20_000))
            self.assertTrue(eventually(lambda: door.call_ends("slow_reader") == 1))

    def test_a_burst_of_small_messages_costs_no_call(self):
        """As after a stall of the network. The server widens the door's window more often than the door has frames."""
        door = self.door()
        with door.open_call() as call:
            clears = b"".join(h2.client_message(seq, CLEAR) for seq in range(2, 20_002))
            call.send(b"".join(h2.frame(h2.DATA, 0, 1, clears[i:i + 16_000]) for i in range(0, len(clears), 16_000)) +
                      pings(20_002, 1))
            self.assertEqual(call.read_until(h2.DATA, h2.HEADERS, h2.RST_STREAM, h2.GOAWAY)[0], h2.DATA)

    def test_a_client_that_vanished_is_noticed(self):
        door = self.door(edge=["--keepalive", "1"])
        call = door.open_call()
        self.addCleanup(call.close)
        # Its kernel acknowledges, and nobody answers Envoy's pings.
        self.assertTrue(eventually(lambda: door.call_ends("client_gone") == 1, 15))

    def test_a_call_lasts_though_nothing_is_said(self):
        door = self.door(edge=["--keepalive", "1", "--connection-idle-limit", "1"])
        with door.open_call() as call:
            for _ in range(4):
                got = call.read_until(h2.PING, h2.DATA, h2.RST_STREAM, h2.GOAWAY)
                self.assertEqual(got[0], h2.PING)
                call.send(h2.frame(h2.PING, h2.ACK, 0, got[3]))
            call.send(pings(2, 1))
            self.assertEqual(call.read_until(h2.DATA, h2.RST_STREAM, h2.GOAWAY)[0], h2.DATA)

    def test_a_message_over_the_doors_limit_ends_its_call_as_one_over_the_servers(self):
        direct = Server(BINARIES.server, "--engine", "fake")
        self.addCleanup(direct.stop)
        door = self.door()
        with tempfile.NamedTemporaryFile(suffix=".jpg") as picture:
            picture.write(b"\xff\xd8\xff")
            for size, server, words in ((9_000_000, direct, "Received message larger than max"),
                                        (6_000_000, door, "Received message larger than max"),
                                        (9_000_000, door, "at most 8388608 pass to this server")):
                picture.truncate(size)
                done = subprocess.run([BINARIES.client, "--server", server.address, "--image", picture.name, "--text", "hello"],
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(words, done.stderr)
                self.assertNotIn("ClientMessage", done.stdout + done.stderr)
        door.stop()
        self.assertEqual(door.log_text.count('"grpc":8'), 2)  # RESOURCE_EXHAUSTED

    def test_a_long_message_is_seen_however_its_header_comes(self):
        """Between messages that are taken, its five bytes cut anywhere; of a short one, too, which then is taken."""
        door = self.door(edge=["--max-message-bytes", "65536"])
        short = h2.client_message(2, h2.PING_MESSAGE)
        for cut in range(6):
            with door.open_call() as call:
                call.send(h2.frame(h2.DATA, 0, 1, short[:cut]))
                call.send(h2.frame(h2.DATA, 0, 1, short[cut:]))
                self.assertEqual(call.read_until(h2.DATA, h2.HEADERS, h2.RST_STREAM)[0], h2.DATA)
                long = h2.message(b"m" * 65_537)
                call.send(h2.frame(h2.DATA, 0, 1, h2.client_message(3, h2.PING_MESSAGE) + long[:cut]))
                self.assertEqual(call.read_until(h2.DATA, h2.HEADERS, h2.RST_STREAM)[0], h2.DATA)
                for start in range(cut, len(long), 10_000):
                    call.send(h2.frame(h2.DATA, 0, 1, long[start:start + 10_000]))
                self.assertEqual(call.read_until(h2.DATA, h2.HEADERS, h2.RST_STREAM)[0], h2.HEADERS)
        self.assertTrue(eventually(lambda: door.call_ends("too_large") == 6))
        door.stop()
        self.assertEqual(door.log_text.count('"grpc":8'), 6)

    def test_sighup_ends_nothing(self):
        # As where nothing above this test ignores it.
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        door = self.door()
        with door.open_call() as call:
            for process in (door.process.pid, door.envoy_pid()):
                os.kill(process, signal.SIGHUP)
            call.send(pings(2, 1))
            self.assertEqual(call.read_until(h2.DATA, h2.RST_STREAM)[0], h2.DATA)
            with door.open_call() as another:
                another.send(pings(2, 1))
                self.assertEqual(another.read_until(h2.DATA, h2.RST_STREAM)[0], h2.DATA)
        self.assertIsNone(door.process.poll())

    def test_it_works_in_a_folder_for_temporary_files_whose_path_is_longer_than_that_of_a_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            long = os.path.join(folder, "t" * 120, "u" * 120)
            os.makedirs(long)
            door = self.door(environment={"TMPDIR": long})
            with door.open_call() as call:
                self.assertEqual(len(os.listdir(long)), 1)
                door.process.send_signal(signal.SIGTERM)
                # Through Envoy's administration, whose socket is there, it learns of the call.
                self.assertTrue(eventually(door.shut))
                self.assertIsNone(door.process.poll())
                call.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.client_message(2, h2.CLOSE)))
            self.assertEqual(door.process.wait(20), 0)
            self.assertEqual(os.listdir(long), [])

    def test_a_live_call_is_finished_when_the_door_is_told_to_stop(self):
        door = self.door()
        with door.open_call() as call:
            door.process.send_signal(signal.SIGTERM)
            self.assertTrue(eventually(door.shut))
            self.assertIsNone(door.process.poll())
            call.send(pings(2, 1))
            self.assertEqual(call.read_until(h2.DATA, h2.RST_STREAM)[0], h2.DATA)
            call.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.client_message(3, h2.CLOSE)))
        self.assertEqual(door.process.wait(20), 0)

    def test_a_server_that_is_away_is_said_and_used_again_when_it_is_back(self):
        door = self.door()
        address, server = door.server.address, door.server
        self.assertEqual(server.stop(), 0)
        command = [BINARIES.client, "--server", door.address, "--text", "hello"]
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=60).returncode, 1)
        door.server = type(server)(BINARIES.server, "--engine", "fake", "--address", address)
        self.assertTrue(eventually(
            lambda: subprocess.run(command, capture_output=True, timeout=60).returncode == 0, 20))


class Tls(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.put("localhost")

    def put(self, name):
        """A certificate and its key, each replaced by a rename."""
        for part in ("key", "cert"):
            made = f"{self.folder.name}/new"
            shutil.copy(DATA / f"{name}.{part}.pem", made)
            subprocess.run(["mv", "-f", made, f"{self.folder.name}/server.{part}.pem"], check=True)

    def door(self, *more):
        door = Door(BINARIES, plaintext=False, edge=[
            "--tls-cert", f"{self.folder.name}/server.cert.pem", "--tls-key", f"{self.folder.name}/server.key.pem", *more])
        self.addCleanup(door.stop)
        return door

    @staticmethod
    def client(certificate=None):
        context = ssl.create_default_context(cafile=DATA / "localhost.cert.pem")
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        if certificate:
            context.load_cert_chain(DATA / f"{certificate}.cert.pem", DATA / f"{certificate}.key.pem")
        return context

    def test_calls_are_encrypted_and_a_certificate_that_is_replaced_is_used(self):
        door = self.door()
        with door.open_call(tls=self.client()) as call:
            self.assertEqual(call.socket.selected_alpn_protocol(), "h2")
            before = call.socket.getpeercert(True)
            self.put("client")
            trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE

            def another():
                with h2.Connection(door.address, tls=trust) as new:
                    return new.socket.getpeercert(True) != before

            self.assertTrue(eventually(another))
            call.send(pings(2, 1))  # the call that was there goes on
            self.assertIsNotNone(call.read_until(h2.DATA))

    def test_a_certificate_that_has_expired_is_said_and_used(self):
        for part in ("cert", "key"):
            shutil.copy(DATA / f"expired.{part}.pem", f"{self.folder.name}/server.{part}.pem")
        door = self.door("--client-ca", str(DATA / "expired.cert.pem"))
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with h2.Connection(door.address, tls=trust, preface=False) as connection:
            self.assertEqual(connection.socket.getpeercert(True),
                             ssl.PEM_cert_to_DER_cert((DATA / "expired.cert.pem").read_text()))
        door.stop()
        self.assertIn(f"--client-ca {DATA}/expired.cert.pem: an authority in it expired on Jan  2 00:00:00 2020 GMT", door.log_text)
        self.assertIn(f"warning: --tls-cert {self.folder.name}/server.cert.pem: clients will refuse it: it has expired",
                      door.log_text)

    def test_a_certificate_that_is_replaced_by_a_bad_one_stays_in_use_and_that_is_said(self):
        ca = f"{self.folder.name}/ca.pem"
        shutil.copy(DATA / "client_ca.cert.pem", ca)
        door = self.door("--client-ca", ca)

        def replaced(name, content):
            with open(f"{self.folder.name}/new", "wb") as made:
                made.write(content)
            said = door.log.read_text().count("Failed to reload certificates")
            os.rename(f"{self.folder.name}/new", f"{self.folder.name}/{name}")
            return eventually(lambda: door.log.read_text().count("Failed to reload certificates") > said)

        cert, key = (DATA / "localhost.cert.pem").read_bytes(), (DATA / "localhost.key.pem").read_bytes()
        for name, bad, good in (("server.cert.pem", b"", cert), ("server.cert.pem", b"hello", cert),
                                ("server.key.pem", (DATA / "client.key.pem").read_bytes(), key),
                                ("ca.pem", b"", None), ("ca.pem", key, None)):
            self.assertTrue(replaced(name, bad), (name, bad))
            with door.open_call(tls=self.client("client")):  # which trusts the old certificate only
                pass
            for stranger in (None, "localhost"):
                with self.assertRaises((OSError, RuntimeError)):
                    door.open_call(tls=self.client(stranger)).close()
            if good is not None:
                self.put("localhost")

    def test_a_certificate_that_cannot_be_read_to_its_end_holds_up_no_signal(self):
        door = self.door()
        with door.open_call(tls=self.client()) as call:
            os.mkfifo(f"{self.folder.name}/new")
            path = f"{self.folder.name}/server.cert.pem"
            os.rename(f"{self.folder.name}/new", path)
            writers = []

            def envoy_reads():
                try:
                    writers.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                except OSError:  # nobody does yet
                    pass
                return writers

            self.assertTrue(eventually(envoy_reads))
            self.addCleanup(os.close, writers[0])
            call.send(pings(2, 1))
            self.assertIsNotNone(call.read_until(h2.DATA))
            door.process.send_signal(signal.SIGTERM)
            self.assertEqual(door.process.wait(30), 1)
        door.stop()
        self.assertIn("Envoy does not answer", door.log_text)

    def test_with_an_authority_only_its_clients_come_in_and_the_server_learns_who(self):
        door = self.door("--client-ca", str(DATA / "client_ca.cert.pem"))
        with door.open_call(tls=self.client("client")):
            pass
        # The log is written by a thread of its own.
        self.assertTrue(eventually(lambda: "call opened" in door.server.read_log()))
        opened = next(line for line in door.server.read_log().splitlines() if "call opened" in line)
        self.assertRegex(opened, 'client_subject="?[^"]*CN=')
        for stranger in (None, "localhost"):
            with self.assertRaises((OSError, RuntimeError)):
                door.open_call(tls=self.client(stranger)).close()

    def test_handshakes_that_are_not_finished_are_ended(self):
        door = self.door()
        half = [h2.Connection(door.address, preface=False) for _ in range(200)]
        for i, connection in enumerate(half):
            self.addCleanup(connection.close)
            if i % 2:
                connection.send(b"\x16\x03\x01\x02\x00\x01")
        with door.open_call(tls=self.client()):
            pass
        self.assertTrue(all_closed(half))


class Flags(unittest.TestCase):
    def run_edge(self, *arguments):
        return subprocess.run([SOURCE / "deploy/edge", *arguments], capture_output=True, text=True, timeout=60)

    def test_what_is_wrong_is_said(self):
        cert = ["--tls-cert", str(DATA / "localhost.cert.pem")]
        for arguments, words in (
                ([], "--tls-cert and --tls-key are missing"),
                (cert, "go together"),
                (["--plaintext", "--listen", "0.0.0.0:1"], "not a loopback address"),
                (["--plaintext", "--server", "192.0.2.1:1"], "not a socket file nor a loopback address"),
                (["--plaintext", "--listen", "localhost"], "written ADDRESS:PORT"),
                (["--plaintext", "--memory-mib", "1"], "is not from"),
                (["--plaintext", "--drain-limit", "nan"], "is not a whole number"),
                (["--plaintext", "--drain-limit", "4.5"], "is not a whole number"),
                (["--plaintext", "--drain-limit", "010"], "zero in front"),
                (["--plaintext", "--max-connections", "1_000"], "is not a whole number"),
                (["--plaintext", "--keepalive", " 5"], "is not a whole number"),
                (["--plaintext", "--listen", "127.0.0.1:4_43"], "written ADDRESS:PORT"),
                (["--tls-cert", str(DATA)], "is not a file"),
                (["--plaintext", "--tls-cert", "/no/such.pem"], "cannot be read"),
                (["--plaintext", "--nonsense"], "--nonsense")):
            done = self.run_edge(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(words, done.stderr)

    def test_certificates_that_cannot_be_used_are_said_before_anybody_calls(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
            # Taken: an edge that started all the same would say so.
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def file(name, content):
                path = f"{folder}/{name}.pem"
                with open(path, "wb") as made:
                    made.write(content)
                return path

            cert, key, ca = (str(DATA / name) for name in ("localhost.cert.pem", "localhost.key.pem", "client_ca.cert.pem"))
            empty, junk = file("empty", b""), file("junk", b"hello\xff\n")
            half = file("half", (DATA / "localhost.cert.pem").read_bytes()[:300])
            torn = file("torn", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
            second_torn = file("second_torn", (DATA / "localhost.cert.pem").read_bytes() + (DATA / torn).read_bytes())
            torn_key = file("torn_key", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")
            locked = file("locked", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
            huge = file("huge", b"-" * (2 << 20))
            for cert_file, key_file, ca_file, words in (
                    (empty, key, None, f"--tls-cert {empty} is empty"),
                    (junk, key, None, f"--tls-cert {junk} is no PEM file"),
                    (half, key, None, f"--tls-cert {half} is no PEM file"),
                    (torn, key, None, f"--tls-cert {torn}: certificate 1 of 1 in it cannot be parsed"),
                    (second_torn, key, None, f"--tls-cert {second_torn}: certificate 2 of 2 in it cannot be parsed"),
                    (key, key, None, f"--tls-cert {key} holds no certificate, but: private key"),
                    (huge, key, None, f"--tls-cert {huge} has more than"),
                    (cert, empty, None, f"--tls-key {empty} is empty"),
                    (cert, cert, None, f"--tls-key {cert} holds no private key, but: certificate"),
                    (cert, torn_key, None, f"--tls-key {torn_key} cannot be parsed"),
                    (cert, locked, None, f"--tls-key {locked} is protected by a password"),
                    (cert, str(DATA / "client.key.pem"), None, "client.key.pem is not the key of the first certificate"),
                    (cert, key, empty, f"--client-ca {empty} is empty"),
                    (cert, key, key, f"--client-ca {key} holds no certificate"),
                    (cert, key, torn, f"--client-ca {torn}: certificate 1 of 1 in it cannot be parsed"),
                    (cert, key, ca, "Address already in use")):
                done = self.run_edge("--listen", "127.0.0.1:%d" % listener.getsockname()[1], "--tls-cert", cert_file,
                                     "--tls-key", key_file, *(["--client-ca", ca_file] if ca_file else []))
                self.assertIn(words, done.stderr)
                self.assertEqual(done.returncode, 1, words)
                self.assertEqual("Address already in use" in done.stderr, words == "Address already in use", words)

    def test_a_configuration_that_envoy_does_not_take_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            other = f"{folder}/envoy"
            with open(other, "w") as made:
                made.write("#!/bin/sh\n[ $1 = --mode ] || exit 7\necho \"error initializing configuration '$4': too old\" >&2\nexit 1\n")
            self.assertEqual(self.run_edge("--plaintext", "--envoy", other).stderr, f"deploy/edge: Envoy cannot be run: [Errno 13] "
                             f"Permission denied: '{other}'\n")
            os.chmod(other, 0o755)
            done = self.run_edge("--plaintext", "--envoy", other)
        self.assertEqual((done.returncode, done.stderr), (1, "deploy/edge: Envoy does not take its configuration: too old\n"))

    def test_a_port_that_is_taken_is_said(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run_edge("--plaintext", "--listen", "127.0.0.1:%d" % taken.getsockname()[1])
        self.assertEqual(done.returncode, 1)
        self.assertIn("Address already in use", done.stderr)

    def test_help_names_every_flag(self):
        done = self.run_edge("--help")
        self.assertEqual(done.returncode, 0)
        for flag in ("--listen", "--server", "--tls-cert", "--client-ca", "--max-connections", "--memory-mib", "--drain-limit"):
            self.assertIn(flag, done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("server", "client"):
        parser.add_argument(f"--{name}", required=True)
    BINARIES, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2, warnings="ignore")

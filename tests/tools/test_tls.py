"""TLS on the command line: aiocoap-client and aiocoap-fileserver, with all that can go wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.interop.peers import Server
from tests.interop.test_libcoap_tls import two_ports
from tests.tools.client_runs import ROOT, environment, one_line, run
from tests.tools.test_client_streams import FILESERVER


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def base(made: Certificates) -> Iterator[str]:
    """A file server that only talks TLS to those who show a certificate, beside plain UDP."""
    (made.folder / "served").mkdir()
    (made.folder / "served" / "hello.txt").write_text("hello")
    port = two_ports()
    known = written(made.folder / "known.json", {":all": certs(made.authority.file)})
    command = [
        *(*FILESERVER, str(made.folder / "served"), "--bind", f"127.0.0.1:{port}"),
        *("--tls-server-certificate", made.server.file, "--tls-server-key", made.server.key_file),
        *("--credentials", known),
    ]
    with Server(command, port, PYTHONPATH=str(ROOT)):
        yield f"coaps+tcp://localhost:{port + 1}"


def written(path: Path, data: object) -> str:
    path.write_text(json.dumps(data))
    return str(path)


def certs(certfile: str | None = None, own: tuple[str, str] | None = None) -> dict[str, Any]:
    entry = {}
    if certfile is not None:
        entry["certfile"] = certfile
    if own is not None:
        entry["client-certificate"], entry["client-key"] = own
    return {"tlscert": entry}


def test_a_request(made: Certificates, base: str, tmp_path: Path) -> None:
    own = (made.client.file, made.client.key_file)
    name = written(tmp_path / "c.json", {"coaps+tcp://*": certs(made.authority.file, own)})
    result = run(f"{base}/hello.txt", "--credentials", name)
    assert (result.code, result.out, result.err) == (0, b"hello", "")


def test_what_is_wrong_is_said_in_a_line(made: Certificates, base: str, tmp_path: Path) -> None:
    uri = f"{base}/hello.txt"
    one_line(run(uri), 3, "its certificate is not trusted", f'"{base}/*"', '"certfile": "FILE"')
    name = written(tmp_path / "c.json", {"coaps+tcp://*": certs(made.authority.file)})
    one_line(run(uri, "--credentials", name), 3, "client-certificate")
    name = written(tmp_path / "c.json", {"coaps+tcp://*": certs(made.client.file)})
    one_line(run(uri, "--credentials", name), 3, "its certificate is not trusted")


def test_files_of_credentials_that_can_not_be_used(made: Certificates, tmp_path: Path) -> None:
    uri = "coaps+tcp://localhost/"
    name = written(tmp_path / "c.json", {"*": certs(str(tmp_path / "none.pem"))})
    one_line(run(uri, "--credentials", name), 2, name, "none.pem")
    own = (made.client.file, made.server.key_file)
    name = written(tmp_path / "c.json", {"*": certs(None, own)})
    one_line(run(uri, "--credentials", name), 2, made.client.file, "do not fit together")


def serve(*arguments: str) -> tuple[int, list[str]]:
    """Run the file server, which is to give up at once, and return its code and lines."""
    done = subprocess.run(
        [*FILESERVER, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=20,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def test_files_of_servers_that_can_not_be_used(made: Certificates, tmp_path: Path) -> None:
    crt, key = made.server.file, made.server.key_file
    # Nobody is asked for a password: a server is started by a script as often as not.
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(made.server.encrypted_key())
    for certificate, private, said in (
        (str(tmp_path / "none.pem"), key, "none.pem"),
        (crt, str(tmp_path / "none.pem"), "none.pem"),
        (crt, made.client.key_file, "do not fit together"),
        (key, key, "PEM"),
        (crt, str(encrypted), "encrypted"),
    ):
        code, lines = serve(
            *(str(tmp_path), "--bind", "127.0.0.1:0"),
            *("--tls-server-certificate", certificate, "--tls-server-key", private),
        )
        assert code == 2
        assert len(lines) == 1
        assert said in lines[0]
    code, lines = serve(str(tmp_path), "--tls-server-key", key)
    assert (code, len(lines)) == (2, 1)
    # It looks like a certificate, but is none.
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    name = written(tmp_path / "c.json", {":all": certs(str(broken))})
    code, lines = serve(
        *(str(tmp_path), "--bind", "127.0.0.1:0", "--credentials", name),
        *("--tls-server-certificate", crt, "--tls-server-key", key),
    )
    assert (code, len(lines)) == (2, 1)
    assert name in lines[0]
    assert "broken.pem" in lines[0]

"""What the tools' command lines share."""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from aiocoap.cli import common
from aiocoap.cli.common import load_credentials, parse_bind, unusable_credentials
from aiocoap.credentials import CredentialsMap, CredentialsMissingError
from aiocoap.meta import version
from aiocoap.protocol import Context
from aiocoap.util.cli import Parser, UsageError


def parser() -> argparse.ArgumentParser:
    parser = Parser(prog="server")
    common.add_server_arguments(parser)
    common.add_version_argument(parser)
    return parser


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        ("[::1]", ("::1", None)),
        ("[fe80::1%eth0]:61616", ("fe80::1%eth0", 61616)),
        ("localhost:0", ("localhost", 0)),
        (":5700", (None, 5700)),
    ],
)
def test_addresses_to_bind_to(text: str, bind: tuple[str | None, int | None]) -> None:
    assert parse_bind(text) == bind
    assert parser().parse_args(["--bind", text]).bind == bind


@pytest.mark.parametrize("text", ["", ":", "::1", "localhost:port", ":65536", "[::1", "[::1]x"])
def test_bad_addresses_are_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parser().parse_args(["--bind", text])
    assert leaving.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("server: argument --bind: ")
    assert "--help-bind" in line
    assert line.count("\n") == 1


def test_help_on_binding(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parser().parse_args(["--help-bind"])
    assert not leaving.value.code
    text = capsys.readouterr().out
    examples = [line.split()[1].strip("'") for line in text.splitlines() if line[:2] == "  "]
    assert len(examples) > 3
    for example in examples:
        assert parse_bind(example)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parser().parse_args(["--version"])
    assert not leaving.value.code
    assert capsys.readouterr().out == (
        f"server (aiocoap {version}, the independent implementation)\n"
    )


# Credentials


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "credentials.json"
    file.write_text(text)
    return str(file)


def psk(key: str = "secret") -> dict[str, Any]:
    return {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": "me"}}}


def test_credentials_are_loaded(tmp_path: Path) -> None:
    name = written(tmp_path, json.dumps({"coaps://localhost/*": psk()}))
    credentials = load_credentials(name)
    assert isinstance(credentials, CredentialsMap)
    assert list(credentials) == ["coaps://localhost/*"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("\xff", "is no JSON"),
        ("[" * 100000, "is no JSON"),
        ("[]", "no object"),
        ('{"x": 1}', "'x': "),
        ('{"coaps://x/*": {"dtls": {}}}', "lacks psk"),
    ],
)
def test_bad_credentials_are_named(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_bytes(text.encode("latin1"))
    with pytest.raises(UsageError, match=why) as complaint:
        load_credentials(str(file))
    assert repr(str(file)) in str(complaint.value)


def test_missing_credentials_are_named(tmp_path: Path) -> None:
    for name in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="credentials file") as complaint:
            load_credentials(str(name))
        assert repr(str(name)) in str(complaint.value)


def test_what_credentials_are_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    context.mkdir()
    settings = {"secret_ascii": "s", "sender-id_hex": "", "recipient-id_hex": "01"}
    (context / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    oscore = {"oscore": {"contextfile": str(context)}}
    credentials = CredentialsMap()
    credentials.load_from_dict(
        {
            "coaps://a/*": psk(),
            "coaps://b/*": {"any-of": [psk("1"), {"all-of": [psk("2"), oscore]}, ":label"]},
            ":label": oscore,
            "coaps+tcp://*": {"tlscert": {"certfile": str(tmp_path / "ca.pem")}},
        }
    )
    monkeypatch.setattr(common, "ROWS", {"udp6": None})
    assert unusable_credentials(credentials) == [
        "no transport can use DTLS keys yet; not used: 'coaps://a/*', 'coaps://b/*'",
        "no transport can use OSCORE contexts yet; not used: 'coaps://b/*', ':label'",
        "no transport can use TLS certificates yet; not used: 'coaps+tcp://*'",
    ]
    monkeypatch.setattr(common, "ROWS", {"tinydtls": None, "oscore": None, "tlsclient": None})
    assert unusable_credentials(credentials) == []


def test_keys_for_tls_are_of_use_where_python_can_do_that(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = CredentialsMap()
    credentials.load_from_dict({"coaps+tcp://a/*": psk(), ":b": psk(), "coaps://c/*": psk()})
    monkeypatch.setattr("ssl.HAS_PSK", True, raising=False)
    assert unusable_credentials(credentials) == [
        "no transport can use DTLS keys yet; not used: 'coaps://c/*'"
    ]
    monkeypatch.setattr("ssl.HAS_PSK", False)
    (line,) = unusable_credentials(credentials)
    assert line.endswith("'coaps+tcp://a/*', ':b', 'coaps://c/*'")


# Contexts


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record what contexts are created with, and create none."""
    calls: list[Any] = []

    async def create(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))

    monkeypatch.setattr(Context, "create_server_context", create)
    return calls


async def test_a_plain_server(created: list[Any]) -> None:
    site: Any = object()
    arguments = parser().parse_args([])
    await common.server_context_from_arguments(site, arguments, multicast=["eth0"])
    assert created == [((site,), {"bind": None, "multicast": ["eth0"]})]


async def test_a_server_with_credentials(created: list[Any], tmp_path: Path) -> None:
    name = written(tmp_path, json.dumps({":client": psk()}))
    arguments = parser().parse_args(["--bind", ":1", "--credentials", name])
    await common.server_context_from_arguments(None, arguments)
    ((args, kwargs),) = created
    assert (args, kwargs["bind"], list(kwargs["server_credentials"])) == (
        (None,),
        (None, 1),
        [":client"],
    )


def test_files_of_tls(created: list[Any], tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    self_signed(certificate, key)
    assert common._server_tls(certificate, key).get_ca_certs() == []
    (tmp_path / "none.pem").write_text("nothing")
    for crt, private, why in (
        (None, key, "--tls-server-key needs --tls-server-certificate"),
        (str(tmp_path / "gone"), key, f"'{tmp_path / 'gone'}': No such file"),
        (str(tmp_path / "gone"), None, f"'{tmp_path / 'gone'}': No such file"),
        (certificate, str(tmp_path / "gone"), f"'{tmp_path / 'gone'}': No such file"),
        (certificate, str(tmp_path / "none.pem"), "none.pem"),
        (certificate, None, "cert.pem"),
    ):
        with pytest.raises(UsageError) as complaint:
            common._server_tls(crt, private)
        assert why in str(complaint.value)


async def test_credentials_that_a_server_can_not_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def create(*args: Any, **kwargs: Any) -> None:
        raise CredentialsMissingError("certificates in 'ca.pem': no")

    monkeypatch.setattr(Context, "create_server_context", create)
    name = written(tmp_path, "{}")
    arguments = parser().parse_args(["--credentials", name])
    with pytest.raises(UsageError) as complaint:
        await common.server_context_from_arguments(None, arguments)
    assert str(complaint.value) == f"credentials file {name!r}: certificates in 'ca.pem': no"


async def test_a_server_with_tls(created: list[Any], tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    self_signed(certificate, key)
    arguments = parser().parse_args(
        ["--tls-server-certificate", certificate, "--tls-server-key", key]
    )
    await common.server_context_from_arguments(None, arguments)
    assert created[0][1]["_ssl_context"].check_hostname is False


def self_signed(certificate: str, key: str) -> None:
    """Make a certificate and its key."""
    from datetime import datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime(2026, 1, 1)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), 1, start)
        .not_valid_after(start + timedelta(days=36500))
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    Path(certificate).write_bytes(signed.public_bytes(pem))
    Path(key).write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_logs_that_can_not_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given_up: list[int] = []
    monkeypatch.setattr(common, "give_up_stream", given_up.append)
    record = logging.LogRecord("coap", logging.WARNING, "file", 1, "text %s", (), None)
    handler = common._LogHandler()
    # A mistake in the program shows; a full disk does not.
    record.args = (1, 2)
    handler.emit(record)
    assert "not all arguments converted" in capsys.readouterr().err
    assert given_up == []

    def write(text: str) -> int:
        raise OSError(28, "No space left on device")

    record.args = (1,)
    monkeypatch.setattr(handler.stream, "write", write)
    handler.emit(record)
    assert given_up == [2]


def test_characters_that_standard_output_can_not_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    common.show_log()
    print("é", flush=True)
    assert raw.getvalue() == b"\\xe9\n"

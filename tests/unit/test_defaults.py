"""What is opened by default, and what is missing."""

from __future__ import annotations

import asyncio
import socket
import sys
import tomllib
from pathlib import Path

import pytest

from aiocoap import defaults
from aiocoap.transports.catalog import ROWS

# What is opened beside the transports for datagrams.
CONNECTIONS = ["tcpclient", "tlsclient", "ws"]
SERVER_CONNECTIONS = ["tcpserver", "tcpclient", "tlsserver", "tlsclient", "ws"]

VARIABLES = ("AIOCOAP_CLIENT_TRANSPORT", "AIOCOAP_SERVER_TRANSPORT", "AIOCOAP_REUSE_PORT")
FUNCTIONS = {
    "AIOCOAP_CLIENT_TRANSPORT": defaults.get_default_clienttransports,
    "AIOCOAP_SERVER_TRANSPORT": defaults.get_default_servertransports,
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    # Whether it is there or not.
    monkeypatch.setattr(defaults, "ws_missing_modules", list)


def test_linux_has_the_full_transport() -> None:
    assert defaults.get_default_clienttransports() == ["udp6", *CONNECTIONS]
    assert defaults.get_default_servertransports() == ["udp6", *SERVER_CONNECTIONS]


@pytest.mark.parametrize("reason", ["platform", "pktinfo", "recverr", "loop"])
def test_elsewhere_the_simple_ones_do(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    loop = None
    if reason == "platform":
        monkeypatch.setattr(sys, "platform", "darwin")
    elif reason == "pktinfo":
        monkeypatch.setattr(defaults, "HAS_PKTINFO", False)
    elif reason == "recverr":
        monkeypatch.setattr(defaults, "HAS_RECVERR", False)
    else:
        loop = asyncio.AbstractEventLoop()
    assert defaults.get_default_clienttransports(loop=loop) == ["simple6", *CONNECTIONS]
    # Requests go by the first that takes them.
    assert defaults.get_default_servertransports(loop=loop) == [
        "simple6",
        "simplesocketserver",
        *SERVER_CONNECTIONS,
    ]


def test_servers_do_without_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "ws_missing_modules", lambda: ["websockets"])
    assert "ws" not in defaults.get_default_servertransports()
    # Whoever uses it is told what is missing.
    assert "ws" in defaults.get_default_clienttransports()


async def test_the_running_loop_is_good_enough() -> None:
    loop = asyncio.get_running_loop()
    assert defaults.get_default_clienttransports(loop=loop) == ["udp6", *CONNECTIONS]


@pytest.mark.parametrize("variable", FUNCTIONS)
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    function = FUNCTIONS[variable]
    monkeypatch.setenv(variable, "simple6: udp6:")
    assert function() == ["simple6", "udp6"]
    assert function(use_env=False)[0] == "udp6"
    monkeypatch.setenv(variable, "")
    assert function() == function(use_env=False)


def test_defaults_are_in_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform in ("linux", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        for function in FUNCTIONS.values():
            assert set(function()) <= ROWS.keys()


def test_ports_are_shared_where_the_platform_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert defaults.has_reuse_port()
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    assert not defaults.has_reuse_port()


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", True)])
def test_sharing_ports_can_be_decided(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", value)
    assert defaults.has_reuse_port() is expected
    assert defaults.has_reuse_port(use_env=False) is True


def test_other_values_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "yes")
    with pytest.raises(ValueError, match=r"AIOCOAP_REUSE_PORT.*'yes'"):
        defaults.has_reuse_port()


# Which module each distribution in an extra brings.
MODULES = {
    "LinkHeader": "link_header",
    "cbor2": "cbor2",
    "cbor-diag": "cbor_diag",
    "cryptography": "cryptography",
    "filelock": "filelock",
    "prompt_toolkit": "prompt_toolkit",
    "pygments": "pygments",
    "pyOpenSSL": "OpenSSL",
    "termcolor": "termcolor",
    "websockets": "websockets",
}


@pytest.mark.parametrize(
    ("extra", "function"),
    [
        ("dtls", defaults.dtls_missing_modules),
        ("oscore", defaults.oscore_missing_modules),
        ("ws", defaults.ws_missing_modules),
        ("linkheader", defaults.linkheader_missing_modules),
        ("prettyprint", defaults.prettyprint_missing_modules),
    ],
)
def test_missing_modules_are_those_of_the_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str, function: object
) -> None:
    assert callable(function)
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    wanted = {
        MODULES[requirement.partition(">")[0]]
        for requirement in pyproject["project"]["optional-dependencies"][extra]
    }
    monkeypatch.setattr(defaults, "find_spec", lambda name: None)
    assert set(function()) == wanted
    monkeypatch.setattr(defaults, "find_spec", lambda name: object())
    assert not function()


def test_one_implementation_of_dtls_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        defaults, "find_spec", lambda name: object() if name == "DTLSSocket" else None
    )
    assert not defaults.dtls_missing_modules()

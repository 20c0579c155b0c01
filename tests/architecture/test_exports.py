"""Every documented name exists, takes what it is documented to take, and is worth the same.

The data is read from ``documented_names.json``, which ``extract_documented_names`` makes from
the documentation of the interface, so that nothing is forgotten.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.architecture import order

DATA = json.loads(Path(__file__).with_name("documented_names.json").read_text(encoding="utf-8"))

# Documented modules that do not exist yet. The first one that appears fails
# ``test_later_modules_are_enabled_when_they_appear`` until its row here is struck.
LATER = frozenset(
    {
        "aiocoap.oscore",
        "aiocoap.oscore_sitewrapper",
        "aiocoap.proxy",
        "aiocoap.proxy.client",
        "aiocoap.proxy.server",
        "aiocoap.resourcedirectory",
        "aiocoap.resourcedirectory.client",
        "aiocoap.resourcedirectory.client.register",
        "aiocoap.transports.oscore",
        "aiocoap.transports.tinydtls",
        "aiocoap.util.cryptography_additions",
    }
)
LATER_TOOLS = {
    "aiocoap-proxy": "aiocoap.cli.proxy",
    "aiocoap-rd": "aiocoap.cli.rd",
}

# Where the house differs from the documentation on purpose, and why. A row that is no longer
# needed fails the test as well.
DEVIATING_VALUES = {
    "aiocoap.meta.version": "the version of this distribution is its own, within the 0.4 line",
    "aiocoap.meta.library_uri": "the documented URI is the home of another implementation",
    "aiocoap.transports.ws.WSRemote.scheme": "every connection has one of its own",
}
DEVIATING_SIGNATURES = {
    "aiocoap.util.ExtensibleEnumMeta": (
        "only the class statement calls it, by place; a parameter named dict hides the builtin"
    ),
}
DEVIATING_DEFAULTS = {
    "aiocoap.resource.WKCResource.impl_info": "it is meta.library_uri, see there",
    "aiocoap.message.Message.get_request_uri.local_is_server": (
        "later releases know a message's direction, and take None for finding out"
    ),
}

# Modules that need a package which may be missing; the tests say so and go on without it.
NEEDS = {
    "aiocoap.transports.wslink": "websockets",
    "aiocoap.util.linkformat": "link_header",
    "aiocoap.util.linkformat_pygments": "pygments",
}

# Names of later releases that programs of today use (by module).
LATER_NAMES = {
    "aiocoap": """
        Context Message CON NON ACK RST GET POST PUT DELETE FETCH PATCH iPATCH CONTENT CHANGED
        CREATED DELETED VALID NOT_FOUND BAD_REQUEST Reliable Unreliable
    """,
    "aiocoap.numbers": "media_types media_types_rev ContentFormat OptionNumber GET CON",
    "aiocoap.numbers.codes": """
        GET POST PUT DELETE FETCH PATCH iPATCH CONTENT CONTINUE
        TOO_MANY_REQUESTS HOP_LIMIT_REACHED
    """,
    "aiocoap.numbers.constants": "TransportTuning Reliable Unreliable",
    "aiocoap.numbers.constants.TransportTuning": """
        ACK_TIMEOUT ACK_RANDOM_FACTOR MAX_RETRANSMIT NSTART DEFAULT_LEISURE EMPTY_ACK_DELAY
        MAX_LATENCY OBSERVATION_RESET_TIME DEFAULT_BLOCK_SIZE_EXP MAX_RTT MAX_TRANSMIT_SPAN
        MAX_TRANSMIT_WAIT EXCHANGE_LIFETIME PROCESSING_DELAY REQUEST_TIMEOUT reliability
    """,
    "aiocoap.numbers.contentformat.ContentFormat": """
        TEXT LINKFORMAT OCTETSTREAM JSON CBOR SENML by_media_type define is_known
        media_type encoding
    """,
    "aiocoap.options.Options": "oscore edhoc hop_limit size2 q_block1 q_block2",
    "aiocoap.optiontypes": "TypedOption ContentFormatOption",
    "aiocoap.message": "Direction Message NoResponse",
    "aiocoap.message.Direction": "INCOMING OUTGOING",
    "aiocoap.message.Message": "direction request transport_tuning get_request_uri",
    "aiocoap.error": """
        BadOption NotAcceptable PreconditionFailed Conflict Forbidden RequestEntityIncomplete
        RequestEntityTooLarge UnprocessableEntity TooManyRequests InternalServerError BadGateway
        ServiceUnavailable GatewayTimeout ProxyingNotSupported HopLimitReached TimeoutError
        ConRetransmitsExceeded RemoteServerShutdown ConToMulticast MissingRemoteError
        IncompleteUrlError MalformedUrlError NoRequestInterface HelpfulError
        LibraryShutdown NotObservable
    """,
    "aiocoap.error.HelpfulError": "extra_help",
    "aiocoap.credentials": "CredentialsMissingError CredentialsMap",
    "aiocoap.resource": "Message Resource ObservableResource Site WKCResource",
    "aiocoap.resource.Resource": "render_to_pipe",
    "aiocoap.protocol": "BlockwiseRequest Context Request ClientObservation",
    "aiocoap.protocol.Context": """
        __aenter__ __aexit__ server_credentials client_credentials serversite shutdown
    """,
    "aiocoap.protocol.ClientObservation": """
        register_callback register_errback cancel cancelled error __aiter__
    """,
    "aiocoap.pipe": "Pipe",
    "aiocoap.tokenmanager": "PlumbingRequest",
    "aiocoap.cli.client": "build_parser sync_main",
}

# Documented signatures as later releases extended them; each must be callable like this.
LATER_SIGNATURES = {
    "aiocoap.protocol.Context.create_client_context": "loggername loop transports",
    "aiocoap.protocol.Context.create_server_context": (
        "site bind loggername loop _ssl_context multicast server_credentials transports"
    ),
    "aiocoap.message.Message": "transport_tuning",
    "aiocoap.error.HelpfulError.extra_help": "hints",
    "aiocoap.message.Message.get_request_uri": "local_is_server",
}

NOW = [row for row in DATA["names"] if row["module"] not in LATER]


def ids(row: dict[str, Any]) -> str:
    return str(row["path"])


def load(name: str) -> ModuleType:
    """Import a module, skipping the test only where the package it stands on is missing."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs the package {NEEDS[name]}")
    return importlib.import_module(name)


def find_module(path: str) -> str:
    """Return the longest prefix of a path that is a module."""
    while "." in path:
        try:
            if importlib.util.find_spec(path) is not None:
                return path
        except ModuleNotFoundError:
            pass
        path = path.rpartition(".")[0]
    return path


def has_instance_attribute(owner: type, name: str) -> bool:
    """Tell whether instances get an attribute that the class itself does not show."""
    for cls in owner.__mro__:
        if name in cls.__dict__ or name in inspect.get_annotations(cls):
            return True
        if cls.__module__.startswith("aiocoap") and f"self.{name}" in inspect.getsource(cls):
            return True
    return False


def resolve(path: str) -> Any:
    """Return the object with a documented path; instance attributes give their name."""
    module = find_module(path)
    found: Any = load(module)
    for name in path.removeprefix(module).strip(".").split(".") if path != module else []:
        if isinstance(found, type) and not hasattr(found, name):
            assert has_instance_attribute(found, name), f"{path} is missing"
            return name
        found = getattr(found, name)
    return found


def documented_default(text: str) -> Any:
    return ast.literal_eval(text)


def takes(row: dict[str, Any]) -> list[str]:
    """List what is wrong with the signature of a documented callable."""
    found = resolve(row["path"])
    if isinstance(found, type) and issubclass(found, type):
        have = list(inspect.signature(found.__new__).parameters.values())[1:]
    else:
        have = list(inspect.signature(found).parameters.values())
    if row["kind"] == "method" and not inspect.ismethod(found):
        owner = resolve(row["path"].rpartition(".")[0])
        name = row["path"].rpartition(".")[2]
        if not isinstance(inspect.getattr_static(owner, name), staticmethod):
            have = have[1:]
    by_name = {parameter.name: parameter for parameter in have}
    positional = [p for p in have if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds = {p.kind for p in have}
    wrong = []
    place = 0
    for wanted in row["parameters"]:
        name, kind = wanted["name"], wanted["kind"]
        if kind in ("positionals", "keywords"):
            needed = {
                "positionals": inspect.Parameter.VAR_POSITIONAL,
                "keywords": inspect.Parameter.VAR_KEYWORD,
            }[kind]
            if needed not in kinds:
                wrong.append(f"does not take *{name}")
            continue
        if name not in by_name:
            wrong.append(f"does not take {name}")
            continue
        parameter = by_name[name]
        if kind == "positional":
            if len(positional) <= place or positional[place].name != name:
                wrong.append(f"{name} is not at place {place}")
            place += 1
        elif parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            wrong.append(f"{name} is not to be given by keyword")
        if "default" in wanted:
            exempt = f"{row['path']}.{name}" in DEVIATING_DEFAULTS
            want = documented_default(wanted["default"])
            same = parameter.default == want or (
                # An immutable empty sequence is the better default for a mutable one.
                want == [] and parameter.default == ()
            )
            if parameter.default is parameter.empty:
                wrong.append(f"{name} must be given")
            elif same == exempt:
                wrong.append(f"{name} defaults to {parameter.default!r}")
    named = {wanted["name"] for wanted in row["parameters"]}
    wrong += [
        f"{p.name} must be given, undocumented"
        for p in have
        if p.name not in named
        and p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return wrong


@pytest.mark.parametrize("row", NOW, ids=ids)
def test_documented_name(row: dict[str, Any]) -> None:
    found = resolve(row["path"])
    kind = row["kind"]
    if kind == "module":
        assert isinstance(found, ModuleType)
    elif kind in ("class", "exception"):
        assert isinstance(found, type)
        assert issubclass(found, Exception) == (kind == "exception")
    elif kind == "classmethod":
        assert inspect.ismethod(found)
    elif kind in ("method", "function"):
        assert callable(found)


@pytest.mark.parametrize("row", [r for r in NOW if "bases" in r], ids=ids)
def test_documented_bases(row: dict[str, Any]) -> None:
    found = resolve(row["path"])
    for base in row["bases"]:
        if base.rpartition(".")[2].startswith("_"):
            continue  # nobody can have leaned on it
        if base.startswith("aiocoap."):
            expected = resolve(base)
        else:
            module, _, name = base.rpartition(".")
            expected = getattr(importlib.import_module(module or "builtins"), name)
        assert issubclass(found, expected)


@pytest.mark.parametrize("row", [r for r in NOW if "parameters" in r], ids=ids)
def test_documented_signature(row: dict[str, Any]) -> None:
    assert (takes(row) != []) == (row["path"] in DEVIATING_SIGNATURES), takes(row)


@pytest.mark.parametrize(
    "row",
    # An instance attribute is rendered with the value None of its bare annotation.
    [r for r in NOW if "value" in r and r["value"] != "None"],
    ids=ids,
)
def test_documented_value(row: dict[str, Any]) -> None:
    found = resolve(row["path"])
    wanted = row["value"]
    try:
        same = found == ast.literal_eval(wanted)
    except (SyntaxError, ValueError):
        same = repr(found) == wanted
    assert same != (row["path"] in DEVIATING_VALUES), f"{found!r}, documented as {wanted}"


def test_deviations_have_reasons_and_exist() -> None:
    paths = {row["path"] for row in DATA["names"]}
    assert all(DEVIATING_VALUES.values())
    assert all(DEVIATING_SIGNATURES.values())
    assert all(DEVIATING_DEFAULTS.values())
    assert set(DEVIATING_VALUES) <= paths
    assert set(DEVIATING_SIGNATURES) <= paths
    assert {path.rpartition(".")[0] for path in DEVIATING_DEFAULTS} <= paths


def test_the_data_is_whole() -> None:
    modules = {row["path"] for row in DATA["names"] if row["kind"] == "module"}
    assert len(modules) == 50
    assert len(DATA["names"]) == 752
    assert modules >= LATER
    assert {row["module"] for row in DATA["names"]} == modules


@pytest.mark.parametrize("module", sorted({*LATER, *LATER_TOOLS.values()}))
def test_later_modules_are_enabled_when_they_appear(module: str) -> None:
    assert find_module(module) != module, f"{module} exists: strike its row in LATER"


@pytest.mark.parametrize(
    ("tool", "later"),
    [
        ("client", {"--timeout"}),
        ("fileserver", {"--write", "--etag-length", "--version"}),
    ],
)
def test_tool_options(tool: str, later: set[str]) -> None:
    parser = load(f"aiocoap.cli.{tool}").build_parser()
    have = {option for action in parser._actions for option in action.option_strings}
    assert {*DATA["tools"][f"aiocoap-{tool}"], *later} - have == set()


def test_environment_variables_are_read() -> None:
    text = order.path_of("defaults").read_text(encoding="utf-8")
    assert [name for name in DATA["environment"] if name not in text] == []


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in LATER_NAMES.items() for name in names.split()],
)
def test_names_of_later_releases(owner: str, name: str) -> None:
    resolve(f"{owner}.{name}")


@pytest.mark.parametrize("path", LATER_SIGNATURES)
def test_parameters_of_later_releases(path: str) -> None:
    have = inspect.signature(resolve(path)).parameters
    missing = [name for name in LATER_SIGNATURES[path].split() if name not in have]
    assert missing == []


def test_both_names_of_the_meeting_point_are_one() -> None:
    assert resolve("aiocoap.tokenmanager.PlumbingRequest") is resolve("aiocoap.pipe.Pipe")


PUBLIC = sorted(room for room in order.existing_rooms() if room != "_root")


@pytest.mark.parametrize("room", PUBLIC)
def test_all_agrees_with_the_public_names(room: str) -> None:
    module = load(f"aiocoap.{room}")
    listed = module.__all__
    assert len(listed) == len(set(listed))
    assert [name for name in listed if not hasattr(module, name)] == []
    # What the room itself defines without an underscore is meant for others.
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }
    assert own - set(listed) == set()
    documented = {
        row["path"].rpartition(".")[2]
        for row in NOW
        if row["module"] == module.__name__
        and row["path"].count(".") == module.__name__.count(".") + 1
        and importlib.util.find_spec(row["module"]) is not None
        and row["kind"] != "module"
    }
    assert documented - set(listed) == set()


def test_all_of_the_root() -> None:
    module = importlib.import_module("aiocoap")
    assert {"Context", "Message"} <= set(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    namespace: dict[str, Any] = {}
    exec("from aiocoap import *", namespace)
    assert set(module.__all__) <= set(namespace)


@pytest.mark.parametrize(
    ("whole", "parts", "own"),
    [
        (
            "aiocoap.numbers",
            ["codes", "constants", "types"],
            """
            ContentFormat OptionNumber media_types media_types_rev
            codes constants contentformat optionnumbers types
            """,
        ),
        ("aiocoap", ["numbers"], "Context Message NoResponse"),
    ],
)
def test_what_collects_names_lists_them_all(whole: str, parts: list[str], own: str) -> None:
    """Type checkers see what ``import *`` gives only where it is listed name by name."""
    expected = own.split()
    for part in parts:
        expected += importlib.import_module(f"{whole}.{part}").__all__
    source = Path(str(importlib.import_module(whole).__file__)).read_text(encoding="utf-8")
    (listed,) = [
        statement.value
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    ]
    assert sorted(ast.literal_eval(listed)) == sorted(expected)

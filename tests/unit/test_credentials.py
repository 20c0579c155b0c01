"""Credentials: loading, finding, and keeping quiet about keys."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from aiocoap._credentialdata import MAX_FILE_SIZE
from aiocoap.credentials import (
    DTLS,
    AllOf,
    AnyOf,
    CredentialReference,
    CredentialsLoadError,
    CredentialsMap,
    CredentialsMissingError,
    OscoreEntry,
    TLSCert,
    construct_oscore,
)
from aiocoap.message import Message
from aiocoap.numbers.codes import GET
from tests.certificates import Certificates

SECRET = "Correct Horse Battery Staple"
SETTINGS = {"sender-id_hex": "01", "recipient-id_ascii": "file", "secret_ascii": SECRET}


def psk(key: object = b"secretPSK", identity: object = b"me") -> dict[str, Any]:
    return {"dtls": {"psk": key, "client-identity": identity}}


def loaded(data: Any) -> CredentialsMap:
    credentials = CredentialsMap()
    credentials.load_from_dict(data)
    return credentials


def refused(data: Any) -> str:
    """Return what is said of data that are no credentials."""
    credentials = CredentialsMap()
    with pytest.raises(CredentialsLoadError) as caught:
        credentials.load_from_dict(data)
    assert credentials == {}
    return str(caught.value)


def context_directory(path: Path, **files: Any) -> str:
    path.mkdir()
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / f"{name}.json").write_text(text)
    return str(path)


# DTLS


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        (b"secretPSK", b"me"),
        ({"ascii": "secretPSK"}, {"ascii": "me"}),
        ({"hex": "73656372657450534b"}, {"hex": "6d 65"}),
    ],
)
def test_bytes_and_their_forms_in_json(key: Any, identity: Any) -> None:
    entry = loaded({"coaps://localhost/*": psk(key, identity)})["coaps://localhost/*"]
    assert isinstance(entry, DTLS)
    assert (entry.psk, entry.client_identity) == (b"secretPSK", b"me")
    assert entry.as_dtls_psk() == (b"me", b"secretPSK")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (psk({"ascii": "schl\u00fcssel"}), "dtls: psk: has characters that are not ASCII"),
        (psk({"hex": "0g"}), "dtls: psk: is no hexadecimal text"),
        (psk({"hex": 5}), "dtls: psk: needs to be bytes"),
        (psk({"base64": "AA"}), "dtls: psk: needs to be bytes"),
        (psk({}), "dtls: psk: needs to be bytes"),
        (psk("secretPSK"), "dtls: psk: needs to be bytes"),
        (psk(b""), "dtls: psk: is empty"),
        (psk(identity=b"a\0b"), "dtls: client-identity: has a zero byte"),
        (psk(identity=None), "dtls: client-identity: needs to be bytes"),
        ({"dtls": {"psk": b"a"}}, "dtls: lacks client-identity"),
        ({"dtls": {}}, "dtls: lacks psk, client-identity"),
        ({"dtls": []}, "dtls: needs to be an object with psk, client-identity"),
        ({"dtls": {"key": b"a"}}, "dtls: 'key' is not known here"),
        ({"dtsl": {}}, "'dtsl' is no kind of credentials; those are dtls, tlscert, oscore"),
        ({"dtls": {}, "oscore": {}}, "object of one of dtls, tlscert"),
        ({}, "needs to be a label"),
        ([], "needs to be a label"),
        (None, "needs to be a label"),
        ("label", "needs to be a label"),
        (":nowhere", "no credentials labelled ':nowhere'"),
        ({"any-of": [psk(), ":nowhere"]}, "no credentials labelled ':nowhere'"),
        ({"any-of": {}}, "any-of: needs to be a list"),
        ({"all-of": []}, "all-of: needs to be a list"),
        ({"any-of": [psk(), {"dtls": 5}]}, "any-of: [1]: dtls: needs to be an object"),
    ],
)
def test_what_is_wrong_is_named(entry: Any, said: str) -> None:
    text = refused({"coaps://h/*": entry, ":fine": psk()})
    assert text.startswith("'coaps://h/*': ")
    assert said in text
    assert "0g" not in text
    assert "secretPSK" not in text


def test_keys_never_show() -> None:
    credentials = loaded({"coaps://h/*": {"any-of": [psk(b"hush-hush"), ":a"]}, ":a": psk(b"hush")})
    for shown in (repr(credentials), str(credentials), f"{credentials[':a']}"):
        assert "hush" not in shown
        assert "b'me'" in shown
    assert repr(credentials["coaps://h/*"]).startswith("<AnyOf [<DTLS b'me', key not shown>, ")


# The map as such


@pytest.mark.parametrize("data", [None, [], "coap://h/*", 5])
def test_only_objects_are_maps(data: Any) -> None:
    assert "need to be an object" in refused(data)


@pytest.mark.parametrize("key", ["localhost", "", ":", "coap:", 5, None, b"coap://h/*"])
def test_keys_that_would_never_be_found(key: Any) -> None:
    text = refused({key: psk()})
    assert text.startswith(f"{key!r}: is n")


@pytest.mark.parametrize("key", ["*", "coap*", "coap://h", "*://h/a", ":a"])
def test_keys(key: str) -> None:
    assert key in loaded({key: psk()})


def test_loading_again_replaces_single_entries() -> None:
    credentials = loaded({"coaps://h/*": psk(b"1"), ":a": psk(b"2")})
    credentials.load_from_dict({":a": psk(b"3")})
    assert credentials["coaps://h/*"].psk == b"1"
    assert credentials[":a"].psk == b"3"


def test_nothing_is_loaded_where_something_is_wrong() -> None:
    credentials = loaded({":a": psk(b"1")})
    with pytest.raises(CredentialsLoadError):
        credentials.load_from_dict({":a": psk(b"2"), ":b": {}})
    assert credentials[":a"].psk == b"1"


def test_nesting_has_an_end() -> None:
    entry: Any = psk()
    for _ in range(2000):
        entry = {"any-of": [entry]}
    assert "nested too deeply" in refused({"*": entry})


# References


def test_references() -> None:
    credentials = loaded({":a": psk(b"1"), ":b": ":a", "coaps://h/*": ":b"})
    reference = credentials["coaps://h/*"]
    assert isinstance(reference, CredentialReference)
    assert reference.resolve() is credentials[":a"]
    assert reference.as_dtls_psk() == (b"me", b"1")
    assert repr(reference) == "<CredentialReference ':b'>"
    credentials.load_from_dict({":a": psk(b"2")})
    assert reference.as_dtls_psk() == (b"me", b"2")
    del credentials[":a"]
    with pytest.raises(CredentialsMissingError, match="no credentials labelled ':a'"):
        reference.resolve()
    with pytest.raises(CredentialsMissingError, match="has no key"):
        reference.as_dtls_psk()


def test_references_in_a_circle() -> None:
    assert "leads nowhere" in refused({":a": ":b", ":b": ":a"})
    credentials = loaded({":a": {"any-of": [":a", ":a", psk(b"1")]}})
    assert credentials[":a"].as_dtls_psk() == (b"me", b"1")


def test_references_to_what_was_loaded_before() -> None:
    credentials = loaded({":a": psk(b"1")})
    credentials.load_from_dict({"*": ":a"})
    assert credentials["*"].as_dtls_psk() == (b"me", b"1")


def test_lists() -> None:
    credentials = loaded(
        {
            ":any": {"any-of": [psk(b"1"), psk(b"2")]},
            ":all": {"all-of": [{"any-of": [":none", ":any"]}, psk(b"3")]},
            ":none": psk(b"4"),
        }
    )
    assert isinstance(credentials[":any"], AnyOf)
    assert isinstance(credentials[":all"], AllOf)
    assert credentials[":any"].as_dtls_psk() == (b"me", b"1")
    assert credentials[":all"].as_dtls_psk() == (b"me", b"4")
    with pytest.raises(CredentialsMissingError):
        AnyOf().as_dtls_psk()


# Finding what a request needs


def find(credentials: CredentialsMap, uri: str) -> Any:
    return credentials.credentials_from_request(Message(code=GET, uri=uri))


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("coaps://h.example/", "coaps://h.example/*"),
        ("coaps://h.example/b?c", "coaps://h.example/*"),
        ("coaps://H.Example:5684/a", "coaps://h.example/*"),
        ("coaps://h.example/exact", "coaps://h.example/exact"),
        ("coaps://h.example/a/secret", "coaps://h.example/a/*"),
        ("coaps://h.example:7/", "coaps://h*"),
        ("coaps://g.example/", "coaps://*"),
        ("coap://g.example/", "*"),
        ("coap://g.example/x/y/z", "coap://*/x*y*z"),
        ("coap://g.example/x/yz", "coap://*/x*y*z"),
        ("coap://g.example/xzy", "*"),
        ("coap://i.example/", "coap://I.example"),
        ("coap://i.example/a", "*"),
        ("coap://i.example/?a", "*"),
        ("coap://[2001:db8::1]/", "coap://[2001:DB8:0::1]:5683/*"),
        ("coap://[2001:db8::1]/a?b", "coap://[2001:DB8:0::1]:5683/a?b"),
        ("coap://[2001:db8::1]/a", "coap://[2001:DB8:0::1]:5683/*"),
    ],
)
def test_the_most_specific_pattern_counts(uri: str, key: str) -> None:
    keys = [
        "*",
        "coaps://*",
        "coaps://h*",
        "coaps://h.example/*",
        "coaps://h.example/exact",
        "coaps://h.example/a/*",
        "coap://*/x*y*z",
        "coap://[2001:DB8:0::1]:5683/*",
        "coap://[2001:DB8:0::1]:5683/a?b",
        "coap://I.example",
        "coap://i.example?a",
        "coap://a b/*",
        ":label",
    ]
    for order in (keys, keys[::-1]):
        credentials = loaded({k: psk(k.encode()) for k in order})
        assert find(credentials, uri).psk == key.encode()


def test_no_credentials() -> None:
    with pytest.raises(CredentialsMissingError, match=r"there are no credentials$"):
        find(CredentialsMap(), "coap://h/")
    with pytest.raises(CredentialsMissingError, match="no credentials for coap://h/a"):
        find(loaded({"coaps://h/*": psk(), ":a": psk()}), "coap://h/a")


def test_what_is_found_is_what_is_meant() -> None:
    credentials = loaded({"coaps://h/*": ":a", ":a": psk(b"1")})
    assert find(credentials, "coaps://h/") is credentials[":a"]


def test_patterns_take_time_in_proportion_to_their_length() -> None:
    pattern = "coap://h/" + 5000 * "*a" + "*b"
    credentials = loaded({pattern: psk()})
    request = Message(code=GET, uri="coap://h/" + "/".join(40 * [100 * "a"]))
    with pytest.raises(CredentialsMissingError):
        credentials.credentials_from_request(request)


# OSCORE


def test_documented_contexts(tmp_path: Path) -> None:
    directory = context_directory(tmp_path / "for-fileserver", settings=SETTINGS)
    credentials = loaded({"coap://localhost/*": {"oscore": {"contextfile": directory + "/"}}})
    entry = find(credentials, "coap://localhost/")
    assert isinstance(entry, OscoreEntry)
    assert entry.contextfile == directory + "/"
    assert (entry.sender_id, entry.recipient_id, entry.id_context) == (b"\1", b"file", None)
    assert SECRET not in repr(credentials)
    assert directory in repr(credentials)


def test_settings_in_two_files(tmp_path: Path) -> None:
    directory = context_directory(
        tmp_path / "c",
        settings={"sender-id_hex": "", "recipient-id_hex": "02", "id-context_hex": "abcd"},
        secrets={"secret_hex": "0011"},
    )
    entry = construct_oscore(directory)
    assert (entry.sender_id, entry.recipient_id, entry.id_context) == (b"", b"\2", b"\xab\xcd")
    alone = context_directory(tmp_path / "d", secrets={**SETTINGS, "id-context_ascii": "x"})
    assert construct_oscore(alone).id_context == b"x"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has neither a settings.json nor a secrets.json"),
        ({"settings": "{"}, "settings.json' is no JSON"),
        ({"settings": "[" * 100000}, "settings.json' is no JSON"),
        ({"settings": []}, "the outermost value is no object"),
        ({"settings": {}}, "needs one of secret_hex and secret_ascii"),
        ({"settings": {**SETTINGS, "secret_hex": "00"}}, "needs one of secret_hex and"),
        (
            {"settings": SETTINGS, "secrets": {"secret_ascii": SECRET}},
            "is in settings.json already",
        ),
        ({"settings": {**SETTINGS, "sender-id_hex": "Correct"}}, "sender-id_hex: is no hexadec"),
        ({"settings": {**SETTINGS, "id-context_hex": 7}}, "id-context_hex: needs to be bytes"),
        ({"settings": {"secret_ascii": SECRET}}, "needs one of sender-id_hex"),
    ],
)
def test_directories_that_are_no_context(tmp_path: Path, files: Any, said: str) -> None:
    directory = context_directory(tmp_path / "c", **files)
    text = refused({"coap://h/*": {"oscore": {"contextfile": directory}}})
    assert text.startswith("'coap://h/*': oscore: ")
    assert said in text
    assert directory in text
    assert "Correct" not in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/nonexistent/x", "is no directory"),
        ("", "can not be the name of a file"),
        ("a\0b", "can not be the name of a file"),
        ("\ud800", "can not be the name of a file"),
        (5, "needs to be text"),
    ],
)
def test_names_that_are_no_directory(name: Any, said: str) -> None:
    assert said in refused({"*": {"oscore": {"contextfile": name}}})


def test_only_files_of_a_moderate_size_are_read(tmp_path: Path) -> None:
    directory = context_directory(tmp_path / "c", settings=" " * (MAX_FILE_SIZE + 1))
    assert "is larger than" in refused({"*": {"oscore": {"contextfile": directory}}})
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "settings.json")
    assert "is no file" in refused({"*": {"oscore": {"contextfile": str(tmp_path / "d")}}})


def test_files_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> int:
        raise PermissionError(13, "Permission denied")

    directory = context_directory(tmp_path / "c", settings=SETTINGS)
    monkeypatch.setattr("os.path.getsize", fail)
    assert "Permission denied" in refused({"*": {"oscore": {"contextfile": directory}}})


KID, KID_CONTEXT = 4, 10


def test_find_oscore(tmp_path: Path) -> None:
    one = context_directory(tmp_path / "one", settings=SETTINGS)
    two = context_directory(
        tmp_path / "two",
        settings={**SETTINGS, "recipient-id_ascii": "two", "id-context_hex": "07"},
    )
    credentials = loaded(
        {
            ":psk": psk(),
            ":one": {"oscore": {"contextfile": one}},
            ":list": {"any-of": [psk(), ":again", {"oscore": {"contextfile": two}}]},
            ":again": ":one",
        }
    )
    assert credentials.find_oscore({KID: b"file"}) is credentials[":one"]
    second = credentials.find_oscore({KID: b"two"})
    assert second.contextfile == two
    assert credentials.find_oscore({KID: b"two", KID_CONTEXT: b"\7"}) is second
    for unprotected in (
        {},
        {KID: b"other"},
        {KID: b"two", KID_CONTEXT: b"\x08"},
        {KID: b"file", KID_CONTEXT: b""},
    ):
        with pytest.raises(KeyError):
            credentials.find_oscore(unprotected)


# TLS


@pytest.fixture
def certfile(tmp_path: Path) -> str:
    """Return a file with a certificate that nothing else has."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A test's own authority")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def names_in(context: ssl.SSLContext) -> list[Any]:
    return [
        dict(x[0] for x in cert["subject"]).get("commonName") for cert in context.get_ca_certs()
    ]


@pytest.mark.parametrize(
    "key",
    [
        "coaps+tcp://h.example/*",
        "coaps+tcp://h.example/",
        "coaps+tcp://*",
        "coaps+tcp://",
        "*",
    ],
)
def test_ssl_client_context(certfile: str, key: str) -> None:
    credentials = loaded({key: {"tlscert": {"certfile": certfile}}, "coaps+tcp://g*": psk()})
    assert credentials[key].as_ssl_params() == {"cafile": certfile}
    assert repr(credentials[key]) == f"<TLSCert {certfile!r}>"
    context = credentials.ssl_client_context("coaps+tcp", "H.example:5684")
    assert names_in(context) == ["A test's own authority"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_ssl_client_context_without_credentials(certfile: str) -> None:
    other = {"coaps+tcp://g.example/*": {"tlscert": {"certfile": certfile}}}
    for credentials in (CredentialsMap(), loaded(other), loaded({"*": psk()})):
        context = credentials.ssl_client_context("coaps+tcp", "h.example")
        assert "A test's own authority" not in names_in(context)
        assert context.verify_mode is ssl.CERT_REQUIRED


def test_what_the_system_trusts_is_read_once_for_each_scheme(certfile: str) -> None:
    credentials = loaded({"coaps+tcp://g.example/*": {"tlscert": {"certfile": certfile}}})
    context = credentials.ssl_client_context("coaps+tcp", "h.example")
    assert credentials.ssl_client_context("coaps+tcp", "i.example:1") is context
    # Schemes differ in what else is set; files may be others the next time.
    assert credentials.ssl_client_context("coaps+ws", "h.example") is not context
    other = credentials.ssl_client_context("coaps+tcp", "g.example")
    assert credentials.ssl_client_context("coaps+tcp", "g.example") is not other


def test_certificates_that_are_gone(certfile: str) -> None:
    credentials = loaded({"*": {"tlscert": {"certfile": certfile}}})
    Path(certfile).unlink()
    with pytest.raises(CredentialsMissingError, match=r"ca\.pem.*No such file"):
        credentials.ssl_client_context("coaps+tcp", "h.example")
    Path(certfile).write_text("nonsense")
    with pytest.raises(CredentialsMissingError, match=r"ca\.pem"):
        credentials.ssl_client_context("coaps+tcp", "h.example")


def test_files_without_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    name = str(tmp_path / "x.pem")
    assert "has no certificate" in refused({"*": {"tlscert": {"certfile": name}}})
    assert "is no file" in refused({"*": {"tlscert": {"certfile": str(tmp_path)}}})


def test_certificates_have_no_key_for_dtls(certfile: str) -> None:
    entry: Any = {"tlscert": {"certfile": certfile}}
    credentials = loaded({":a": {"any-of": [entry, psk(b"1")]}, ":b": entry, ":c": ":b"})
    assert credentials[":a"].as_dtls_psk() == (b"me", b"1")
    with pytest.raises(CredentialsMissingError, match="has no key for DTLS"):
        credentials[":c"].as_dtls_psk()
    assert TLSCert("ca.pem").certfile == "ca.pem"


def test_own_certificates_of_clients(made: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"client-certificate": made.client.file, "client-key": made.client.key_file}
    entry = loaded({"*": {"tlscert": own}})["*"]
    assert entry.as_ssl_params() == {}
    assert repr(entry) == f"<TLSCert {made.client.file!r}>"
    shown = []
    load = ssl.SSLContext.load_cert_chain

    def note(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        shown.append(args)
        load(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", note)
    context = loaded(
        {"coaps+tcp://h/*": {"tlscert": {"certfile": made.authority.file, **own}}}
    ).ssl_client_context("coaps+tcp", "h")
    assert names_in(context) == ["authority"]
    assert shown == [(made.client.file, made.client.key_file)]


def test_certificate_and_key_in_one_file(made: Certificates, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(made.client.file).read_text() + Path(made.client.key_file).read_text())
    loaded({"*": {"tlscert": {"client-certificate": str(both)}}}).ssl_client_context("x", "h")
    alone = loaded({"*": {"tlscert": {"client-certificate": made.client.file}}})
    with pytest.raises(CredentialsMissingError, match=r"in '.*me\.pem': they are not both there"):
        alone.ssl_client_context("x", "h")


def test_certificate_and_key_that_do_not_fit(made: Certificates) -> None:
    own = {"client-certificate": made.client.file, "client-key": made.server.key_file}
    credentials = loaded({"*": {"tlscert": own}})
    with pytest.raises(
        CredentialsMissingError, match=r"me\.pem' and '.*server-key\.pem': they do not fit"
    ) as caught:
        credentials.ssl_client_context("coaps+tcp", "h")
    assert "files" in (caught.value.extra_help() or "")


def test_encrypted_keys_ask_nobody(made: Certificates, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(made.client.encrypted_key())
    own = {"client-certificate": made.client.file, "client-key": str(key)}
    with pytest.raises(CredentialsMissingError, match=r"key\.pem': the key is encrypted"):
        loaded({"*": {"tlscert": own}}).ssl_client_context("coaps+tcp", "h")


def test_files_of_clients_that_are_something_else(made: Certificates) -> None:
    crt, key = made.client.file, made.client.key_file
    for entry, said in (
        ({}, "lacks certfile"),
        ({"client-key": key}, "lacks certfile"),
        ({"certfile": crt, "client-key": key}, "lacks client-certificate"),
        ({"client-certificate": key}, "has no certificate in PEM form"),
        ({"client-certificate": crt, "client-key": crt}, "has no private key in PEM form"),
        ({"certfile": crt, "keyfile": key}, "'keyfile' is not known here"),
    ):
        assert said in refused({"*": {"tlscert": entry}})


def test_keys_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    # This is how Python has it from 3.13 on.
    given: list[Any] = []
    monkeypatch.setattr(
        ssl.SSLContext, "set_psk_client_callback", lambda _, call: given.append(call), raising=False
    )
    for key in ("coaps+tcp://h/*", "coaps+tcp://*", "coaps+tcp://"):
        context = loaded({key: psk()}).ssl_client_context("coaps+tcp", "h")
        assert given.pop()("a hint") == ("me", b"secretPSK")
        # Whoever has no key must not get away with some certificate.
        assert context.maximum_version is ssl.TLSVersion.TLSv1_2
        suites = [c["name"] for c in context.get_ciphers() if not c["name"].startswith("TLS_")]
        assert suites
        assert all("PSK" in name and "RSA-PSK" not in name for name in suites)
    with pytest.raises(CredentialsMissingError, match="no UTF-8"):
        loaded({"coaps+tcp://*": psk(identity=b"\xff")}).ssl_client_context("coaps+tcp", "h")


def test_keys_for_tls_where_python_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "set_psk_client_callback", None, raising=False)
    with pytest.raises(CredentialsMissingError, match=r"from Python 3\.13 on"):
        loaded({"coaps+tcp://*": psk()}).ssl_client_context("coaps+tcp", "h")


# What servers look up


def test_authorities_of_clients(made: Certificates) -> None:
    crt, other = made.authority.file, made.server.file
    credentials = loaded(
        {
            ":a": {"tlscert": {"certfile": crt}},
            ":b": {"any-of": [psk(), ":a", {"tlscert": {"certfile": other}}]},
            ":c": {"tlscert": {"client-certificate": made.client.file}},
        }
    )
    assert credentials.client_authorities() == [crt, other]
    assert CredentialsMap().client_authorities() == []


def test_clients_by_their_keys(made: Certificates) -> None:
    credentials = loaded(
        {
            ":cert": {"tlscert": {"certfile": made.authority.file}},
            ":group": {"any-of": [psk(b"1", b"a"), psk(b"2", b"b")]},
            ":again": psk(b"3", b"a"),
        }
    )
    assert credentials.find_dtls_psk(b"a") == (":group", b"1")
    assert credentials.find_dtls_psk(b"b") == (":group", b"2")
    with pytest.raises(KeyError):
        credentials.find_dtls_psk(b"c")
    assert credentials.has_dtls_psk()
    del credentials[":group"], credentials[":again"]
    assert not credentials.has_dtls_psk()


@pytest.mark.parametrize("kind", [CredentialsLoadError, CredentialsMissingError])
def test_errors_are_known_by_the_module_that_users_take_them_from(kind: type[Exception]) -> None:
    assert kind.__module__ == "aiocoap.credentials"

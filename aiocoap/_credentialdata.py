"""What stands in the fields of a credentials file: bytes, names of files, keys.

Here live the readers of single values, and of the files that entries point to.

The room knows no entry and no map; errors tell what is wrong without repeating it, as it may be
a key.

RFC 4279 section 5 (keys and identities).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "MAX_FILE_SIZE",
    "CredentialsLoadError",
    "byte_setting",
    "load_json_object",
    "read_file",
    "to_bytes",
    "to_filename",
    "to_identity",
    "to_psk",
]

MAX_FILE_SIZE = 1 << 20
"""Largest file in bytes that an entry may point to."""


class CredentialsLoadError(ValueError):
    """Data do not describe credentials; the text says which entry is wrong, and why."""

    # What programs take it from, and their logs show.
    __module__ = "aiocoap.credentials"


def read_file(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        CredentialsLoadError: It can not be read, or should not.
    """
    import os.path

    try:
        # A pipe or a device would keep the program waiting.
        if not os.path.isfile(path):
            raise CredentialsLoadError(f"{path!r} is no file")
        if os.path.getsize(path) > MAX_FILE_SIZE:
            raise CredentialsLoadError(f"{path!r} is larger than {MAX_FILE_SIZE} bytes")
        with open(path, "rb") as file:
            return file.read()
    except OSError as problem:
        raise CredentialsLoadError(f"{path!r}: {problem.strerror}") from None


def load_json_object(path: str) -> dict[str, Any]:
    """Return the content of a file of JSON.

    Raises:
        CredentialsLoadError: It can not be read, or is no object.
    """
    import json

    content = read_file(path)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        # The decoder's text quotes the place, which may be a key's.
        raise CredentialsLoadError(f"{path!r} is no JSON") from None
    if not isinstance(value, dict):
        raise CredentialsLoadError(f"{path!r}: the outermost value is no object")
    return value


def byte_setting(settings: dict[str, Any], name: str) -> bytes:
    """Return a setting of bytes, which has ``_hex`` or ``_ascii`` behind its name.

    Raises:
        CredentialsLoadError: It is not there, is there twice or is malformed.
    """
    forms = [form for form in ("hex", "ascii") if f"{name}_{form}" in settings]
    if len(forms) != 1:
        raise CredentialsLoadError(f"needs one of {name}_hex and {name}_ascii")
    key = f"{name}_{forms[0]}"
    try:
        return to_bytes({forms[0]: settings[key]})
    except CredentialsLoadError as problem:
        raise CredentialsLoadError(f"{key}: {problem}") from None


def to_bytes(item: object) -> bytes:
    """Return bytes from their form in a credentials file.

    Raises:
        CredentialsLoadError: It is none; the text does not repeat it.
    """
    if isinstance(item, bytes):
        return item
    if isinstance(item, dict) and len(item) == 1:
        ((form, text),) = item.items()
        if isinstance(text, str):
            if form == "ascii":
                if text.isascii():
                    return text.encode("ascii")
                raise CredentialsLoadError("has characters that are not ASCII")
            if form == "hex":
                try:
                    return bytes.fromhex(text)
                except ValueError:
                    raise CredentialsLoadError("is no hexadecimal text") from None
    raise CredentialsLoadError('needs to be bytes, written as {"ascii": "…"} or {"hex": "…"}')


def to_filename(item: object) -> str:
    """Return a text that can be a file name.

    Raises:
        CredentialsLoadError: It is none.
    """
    if not isinstance(item, str):
        raise CredentialsLoadError("needs to be text")
    if "\0" in item or not item.isprintable() or not item:
        raise CredentialsLoadError("can not be the name of a file")
    return item


def to_psk(item: object) -> bytes:
    """Return a key.

    Raises:
        CredentialsLoadError: It is none.
    """
    key = to_bytes(item)
    if not key:
        raise CredentialsLoadError("is empty")
    return key


def to_identity(item: object) -> bytes:
    """Return an identity, which libraries take for a text that ends at the first zero.

    Raises:
        CredentialsLoadError: It is none.
    """
    identity = to_bytes(item)
    if b"\0" in identity:
        raise CredentialsLoadError("has a zero byte inside")
    return identity

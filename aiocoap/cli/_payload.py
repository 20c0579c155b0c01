"""From an argument to the payload that it stands for.

Here live the reading of files and of standard input, and the way from JSON, Python literals and
CBOR diagnostic notation to CBOR.

The room knows no message; what can not be used is a ``UsageError``.

RFC 8949 sections 6.2 (JSON) and 8 (diagnostic notation), RFC 8742 (sequences).
"""

from __future__ import annotations

import sys
from typing import Any

from ..numbers.contentformat import ContentFormat
from ..util.cbordiag import MAX_DEPTH
from ..util.cli import UsageError
from ..util.contenttype import categorize

__all__ = ["read_payload"]

_EXTRA = "(it comes with aiocoap[prettyprint])"


def read_payload(text: str, content_format: ContentFormat | None) -> bytes:
    """Return the payload that an argument of ``--payload`` stands for.

    Args:
        text: The argument: ``@FILE``, ``@-`` or the payload itself.
        content_format: The payload's format, if it has one; one that is based on CBOR is what
            the text is converted to.

    Raises:
        UsageError: A file can not be read, or the text not be converted.
    """
    if text.startswith("@"):
        name = "standard input" if text == "@-" else repr(text[1:])
        try:
            if text != "@-":
                with open(text[1:], "rb") as file:
                    return file.read()
            if sys.stdin is not None:
                return sys.stdin.buffer.read()
            why: object = "it is closed"
        except (OSError, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
        raise UsageError(f"--payload: can not read {name}: {why}")
    mime = None if content_format is None else content_format.media_type
    bare = "" if mime is None else mime.partition(";")[0]
    if bare.endswith("cbor-seq"):
        return _from_notation(text, bare, is_sequence=True)
    if mime is not None and categorize(mime) == "cbor":
        return _to_cbor(text, mime)
    # What is no UTF-8 in an argument is passed on as it was typed.
    return text.encode("utf-8", "surrogateescape")


def _to_cbor(text: str, mime: str) -> bytes:
    """Convert JSON, a Python literal or diagnostic notation to CBOR, whichever it is first.

    Raises:
        UsageError: It is none of them, or there is no converter.
    """
    try:
        import cbor2
    except ImportError:
        raise UsageError(
            f"--payload: converting to {mime} needs the Python module cbor2 {_EXTRA}; or give a "
            "file that is CBOR already (--payload @FILE)"
        ) from None
    try:
        encoded: bytes = cbor2.dumps(_literal(text))
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError):
        return _from_notation(text, mime)
    return encoded


def _literal(text: str) -> Any:
    """Read JSON or a Python literal.

    Raises:
        ValueError: It is neither.
    """
    import ast
    import json

    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, MemoryError) as problem:
        raise ValueError(str(problem)) from None


def _from_notation(text: str, mime: str, is_sequence: bool = False) -> bytes:
    """Convert CBOR diagnostic notation to CBOR.

    Raises:
        UsageError: It is none, or there is no converter.
    """
    kinds = "no" if is_sequence else "neither JSON nor a Python literal nor"
    try:
        import cbor_diag
    except ImportError:
        why = f"which needs the Python module cbor_diag {_EXTRA}"
    else:
        try:
            encoded: bytes = cbor_diag.diag2cbor(_prepare(text), seq=is_sequence)
        except ValueError as problem:
            why = str(problem).partition("\n")[0].partition(". Expected")[0]
        else:
            return encoded
    shown = repr(text) if len(text) <= 60 else f"{text[:57]!r}…"
    raise UsageError(
        f"--payload: {shown} is {kinds} CBOR diagnostic notation ({why}), from which {mime} "
        "could be made; --payload @FILE sends a file as it is"
    ) from None


def _prepare(text: str) -> str:
    r"""Make diagnostic notation what its converter can take.

    Digits in double quotes (``h"00"``) become those in single ones, which are so hard to write
    in a shell.

    >>> _prepare('{1: h"00", 2: "h\\"00\\""}')
    '{1: h\'00\', 2: "h\\"00\\""}'

    Raises:
        ValueError: It is nested so deeply that the converter would not survive it.
    """
    import re

    token = re.compile(
        r"""\b(h|b32|h32|b64)"([^"'\\]*)" | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' """
        r"""| /[^/]*/ | \#[^\n]* | ([\[{(]|<<) | ([\]})]|>>)""",
        re.VERBOSE | re.DOTALL,
    )
    depth = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal depth
        prefix, digits, opening, closing = match.groups()
        depth += bool(opening) - bool(closing)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        return match[0] if prefix is None else f"{prefix}'{digits}'"

    return token.sub(replace, text)

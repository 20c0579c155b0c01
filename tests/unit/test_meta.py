"""The names of the library."""

from __future__ import annotations

import re

from aiocoap import meta


def test_version_satisfies_what_dependents_ask_for() -> None:
    numbers = tuple(map(int, meta.version.split(".")))
    assert (0, 4, 17) <= numbers < (0, 5)


def test_library_uri_is_an_absolute_uri_that_tells_the_version() -> None:
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}#version-[0-9.]+", meta.library_uri)
    assert meta.library_uri.endswith(meta.version)

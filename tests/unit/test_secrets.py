"""The forwarded part of the standard library."""

from __future__ import annotations

import secrets as standard

import pytest

from aiocoap.util import secrets


@pytest.mark.parametrize("name", secrets.__all__)
def test_names_are_the_standard_ones(name: str) -> None:
    assert getattr(secrets, name) is getattr(standard, name)


def test_other_names_are_not_there() -> None:
    assert not hasattr(secrets, "no_such_name")

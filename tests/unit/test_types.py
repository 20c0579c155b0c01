"""Message types."""

from __future__ import annotations

from aiocoap.numbers import types
from aiocoap.numbers.types import ACK, CON, NON, RST, TYPES, Type


def test_the_numbers_of_rfc7252_section_3() -> None:
    assert [int(t) for t in (CON, NON, ACK, RST)] == [0, 1, 2, 3]
    assert tuple(Type) == TYPES
    assert all(Type(number) is TYPES[number] for number in range(4))


def test_text_says_what_kind_of_name_it_is() -> None:
    assert str(CON) == "Type.CON"
    assert f"{types.RST}" == "Type.RST"

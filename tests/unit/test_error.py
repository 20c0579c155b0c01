"""Errors that can be sent to a client."""

from __future__ import annotations

import pytest

from aiocoap import _faults, error
from aiocoap.error import ConstructionRenderableError, RenderableError, ResponseWrappingError
from aiocoap.message import Message
from aiocoap.numbers import codes
from aiocoap.numbers.codes import Code

RENDERABLE = [
    kind
    for kind in (getattr(error, name) for name in error.__all__)
    if issubclass(kind, ConstructionRenderableError)
]


def test_every_error_code_has_an_error() -> None:
    covered = {kind.code for kind in RENDERABLE}
    # 5.01 would be what NotImplemented is called already.
    assert covered == {code for code in Code if 128 <= code < 192} - {codes.NOT_IMPLEMENTED}


@pytest.mark.parametrize("kind", RENDERABLE)
def test_rendering(kind: type[ConstructionRenderableError]) -> None:
    plain = kind().to_message()
    assert plain.code is kind.code
    assert plain.payload == kind.message.encode()
    assert plain.opt.content_format is None
    own = kind("h\u00e9 said").to_message()
    assert own.payload == b"h\xc3\xa9 said"
    assert kind.message != "h\u00e9 said"


def test_documented_messages() -> None:
    assert error.NoResource().to_message().payload == b"Error: Resource not found!"
    assert error.UnallowedMethod.message == "Error: Method not allowed!"
    assert error.UnsupportedMethod.message == "Error: Method not recognized!"
    assert issubclass(error.NoResource, error.NotFound)
    assert error.UnsupportedMediaType is error.UnsupportedContentFormat


def test_texts_that_have_no_utf8_form_are_sent_nonetheless() -> None:
    assert error.BadRequest("\ud800").to_message().payload == b"?"


def test_looks() -> None:
    assert str(error.NotFound()) == "4.04 Not Found"
    assert str(error.NotFound("gone")) == "4.04 Not Found: gone"


def test_what_can_be_rendered_but_does_not_say_how() -> None:
    with pytest.raises(error.NotImplemented):
        RenderableError().to_message()


def test_wrapped_responses() -> None:
    response = Message(code=codes.NOT_FOUND, payload=b"g\xff")
    wrapped = ResponseWrappingError(response)
    assert wrapped.to_message() is response
    assert wrapped.coapmessage is response
    assert str(wrapped) == "4.04 Not Found: 'g\ufffd'"
    assert repr(wrapped) == "<ResponseWrappingError: 4.04 Not Found: 'g\ufffd'>"


def test_representations_are_not_shown_as_diagnostics() -> None:
    response = Message(code=codes.BAD_REQUEST, payload=b"\xa0", content_format=257)
    assert str(ResponseWrappingError(response)) == "4.00 Bad Request"
    assert str(ResponseWrappingError(Message(code=codes.CONFLICT))) == "4.09 Conflict"


def test_the_others_are_here_too() -> None:
    for name in _faults.__all__:
        assert getattr(error, name) is getattr(_faults, name)
        assert name in error.__all__

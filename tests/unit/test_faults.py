"""Errors without messages: what they say, and what they are caught by."""

from __future__ import annotations

import pickle

import pytest

from aiocoap import _faults
from aiocoap._faults import Error, HelpfulError, NetworkError, RequestTimedOut

ALL = [getattr(_faults, name) for name in _faults.__all__]


@pytest.mark.parametrize("kind", ALL)
def test_all_are_errors_with_a_text_of_their_own(kind: type[Error]) -> None:
    assert issubclass(kind, Error)
    assert str(kind("the text")) in ("the text", "the request has no destination")
    # Programs print what is raised without a text, too.
    assert str(kind())


@pytest.mark.parametrize("kind", [kind for kind in ALL if issubclass(kind, HelpfulError)])
def test_helpful_errors_say_something_without_being_told_anything(
    kind: type[HelpfulError],
) -> None:
    help_text = kind().extra_help(hints={"original_uri": "coap://h.example"})
    if kind in (HelpfulError,):
        assert help_text is None
    else:
        assert help_text is not None
        assert help_text.endswith(".")


def test_refused_connections_have_their_own_advice() -> None:
    plain = NetworkError("no")
    refused = NetworkError("no")
    refused.__cause__ = ConnectionRefusedError()
    assert plain.extra_help() != refused.extra_help()
    assert "port" in str(refused.extra_help())


def test_every_timeout_of_a_request_is_caught_by_its_old_name() -> None:
    with pytest.raises(RequestTimedOut):
        raise _faults.ConRetransmitsExceeded
    assert issubclass(RequestTimedOut, _faults.TimeoutError)
    assert issubclass(_faults.TimeoutError, NetworkError)


def test_input_of_the_user_is_a_value_error_too() -> None:
    for kind in (
        _faults.IncompleteUrlError,
        _faults.MalformedUrlError,
        _faults.MissingRemoteError,
        _faults.ConToMulticast,
    ):
        assert issubclass(kind, ValueError)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (_faults.ConToMulticast, "multicast"),
        (_faults.IncompleteUrlError, "no scheme or host"),
        (_faults.NoRequestInterface, "no transport"),
        (_faults.NotObservable, "can not be observed"),
        (_faults.ObservationCancelled, "the server ended"),
        (_faults.LibraryShutdown, "shut down"),
    ],
)
def test_what_needs_no_text_explains_itself(kind: type[Error], text: str) -> None:
    assert text in str(kind())
    assert str(kind("details")) == "details"


@pytest.mark.parametrize("kind", ALL)
def test_errors_are_known_by_the_module_that_users_take_them_from(kind: type[Error]) -> None:
    assert kind.__module__ == "aiocoap.error"
    error = pickle.loads(pickle.dumps(kind("the text")))
    assert type(error) is kind
    assert error.args == ("the text",)

"""The examples in docstrings are right."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.architecture import order


@pytest.mark.parametrize("room", order.rooms())
def test_examples(room: str) -> None:
    module = importlib.import_module("aiocoap" if room == "_root" else f"aiocoap.{room}")
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(example, out=said.append)
    assert "".join(said) == ""


def test_there_are_examples_and_the_runner_sees_them() -> None:
    module = importlib.import_module("aiocoap.util")
    assert sum(len(found.examples) for found in doctest.DocTestFinder().find(module)) > 5
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    said: list[str] = []
    doctest.DocTestRunner().run(wrong, out=said.append)
    assert "Expected" in "".join(said)

"""The documentation's examples are run, and its programs exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "doc"
PAGES = sorted(DOC.glob("*.rst"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    example = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert "".join(said) == ""


def test_the_tour_is_made_of_examples() -> None:
    text = (DOC / "tour.rst").read_text(encoding="utf-8")
    assert len(doctest.DocTestParser().get_examples(text)) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_included_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"^\.\. (?:literal)?include:: (\S+)$", text, re.MULTILINE)
    # What stands in api/ is written when the documentation is built.
    assert [n for n in names if not n.startswith("api/") and not (DOC / n).is_file()] == []


def test_every_page_is_reached() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    entries = set(re.findall(r"^   ([a-z]+)$", text, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"index"} <= entries

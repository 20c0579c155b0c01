#!/usr/bin/env python3
"""Shim: all metadata is in pyproject.toml.

Kept here are two commands that the documentation of the interface names, ``./setup.py cite
[--bibtex]`` and ``./setup.py build_sphinx``; neither needs setuptools.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
AUTHOR = "The authors of this aiocoap implementation"
TITLE = "aiocoap: an independent implementation of CoAP for Python"


def citation(version: str, bibtex: bool) -> str:
    """Return how to cite the library in a publication."""
    if not bibtex:
        return f"{AUTHOR}. {TITLE}. Version {version}, 2026."
    return "\n".join(
        [
            "@Misc{aiocoap,",
            f"  author = {{{{{AUTHOR}}}}},",
            f"  title = {{{TITLE}}},",
            f"  note = {{Version {version}}},",
            "  year = 2026",
            "}",
        ]
    )


def main(arguments: list[str]) -> int:
    """Run a command of ours, or hand over to setuptools."""
    if arguments[:1] == ["cite"] and arguments[1:] in ([], ["--bibtex"]):
        namespace: dict[str, str] = {}
        exec((HERE / "aiocoap" / "meta.py").read_text(encoding="utf-8"), namespace)
        print(citation(namespace["version"], bibtex=arguments[1:] == ["--bibtex"]))
        return 0
    if arguments == ["build_sphinx"]:
        target = HERE / "doc" / "_build" / "html"
        return subprocess.call(
            [sys.executable, "-m", "sphinx", "-W", "-b", "html", str(HERE / "doc"), str(target)]
        )
    from setuptools import setup

    setup()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Shim: all metadata is in pyproject.toml.

What is kept here are two commands that the documentation of the interface names:
``./setup.py cite [--bibtex]`` and ``./setup.py build_sphinx``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """Read the version without importing the package."""
    text = (HERE / "aiocoap" / "meta.py").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("version"))
    return line.rpartition("=")[2].strip().strip("\"'")


class Cite(Command):
    """Print how to cite the library in a publication."""

    description = "print how to cite the library"
    user_options: ClassVar = [("bibtex", None, "print a BibTeX entry")]
    boolean_options: ClassVar = ["bibtex"]

    def initialize_options(self) -> None:
        """Start with plain text."""
        self.bibtex = False

    def finalize_options(self) -> None:
        """Nothing to settle."""

    def run(self) -> None:
        """Print the citation."""
        title = "aiocoap: Python CoAP library, an independent implementation"
        author = "The authors of this aiocoap implementation"
        if self.bibtex:
            print(
                "@Misc{aiocoap,\n"
                f"  author = {{{{{author}}}}},\n"
                f"  title = {{{title}}},\n"
                f"  note = {{Version {version()}}},\n"
                "  year = 2026\n"
                "}"
            )
        else:
            print(f"{author}. {title}. Version {version()}, 2026.")


class BuildSphinx(Command):
    """Build the documentation into doc/_build/html."""

    description = "build the documentation"
    user_options: ClassVar = []

    def initialize_options(self) -> None:
        """No options."""

    def finalize_options(self) -> None:
        """Nothing to settle."""

    def run(self) -> None:
        """Run sphinx with warnings as errors."""
        target = HERE / "doc" / "_build" / "html"
        command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", HERE / "doc", target]
        subprocess.run(command, check=True)


setup(cmdclass={"cite": Cite, "build_sphinx": BuildSphinx})

"""Configuration of the documentation; sphinx runs with -W, so a warning is an error.

The pages of the API reference are written anew for every build, one per module, so that no
module can be forgotten. An object has one place there: the module it is written in, or, where
that module's name starts with an underscore, the first module that hands it on.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import aiocoap  # noqa: E402 (after the path)
from aiocoap import meta  # noqa: E402

project = "aiocoap"
author = "the authors of this project"
copyright = "2026, the authors of this project"
release = version = meta.version

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "CoAP for asyncio",
    "page_width": "60rem",
    "fixed_sidebar": True,
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes are described once, beside the class, and not again as members.
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# A class name in a signature may be that of two classes (a contract and what fulfils it).
suppress_warnings = ["ref.python"]


def modules() -> list[ModuleType]:
    """Import every module of the package whose name is public."""
    found = [aiocoap]
    for info in pkgutil.walk_packages(aiocoap.__path__, "aiocoap."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            found.append(importlib.import_module(info.name))
    return found


def assigned(module: ModuleType) -> set[str]:
    """Return the names that a module's own statements give a value."""
    names = set()
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def page(module: ModuleType, taken: dict[int, str]) -> str:
    """Write the page of one module."""
    own, handed_on = [], []
    here = assigned(module)
    for name in module.__all__:
        value = getattr(module, name)
        home = getattr(value, "__module__", None)
        if isinstance(value, ModuleType):
            continue
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            if name in here:
                own.append(name)
            continue
        private = isinstance(home, str) and any(p.startswith("_") for p in home.split("."))
        if home == module.__name__ or (private and id(value) not in taken):
            taken[id(value)] = f"{module.__name__}.{name}"
            own.append(name)
        else:
            handed_on.append(taken.get(id(value), f"{home}.{value.__name__}"))
    title = f"{module.__name__} module"
    lines = [title, "=" * len(title), "", f".. automodule:: {module.__name__}"]
    if own:
        lines += [f"   :members: {', '.join(own)}", "   :undoc-members:", "   :show-inheritance:"]
    if handed_on:
        links = ", ".join(f":py:obj:`{path}`" for path in handed_on)
        lines += ["", f"Also to be had from here: {links}."]
    return "\n".join([*lines, ""])


def write_reference(app: Any) -> None:
    """Write the pages of the API reference, touching only those that changed."""
    target = HERE / "api"
    target.mkdir(exist_ok=True)
    taken: dict[int, str] = {}
    wanted = set()
    for module in modules():
        path = target / f"{module.__name__}.rst"
        wanted.add(path)
        text = page(module, taken)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in set(target.glob("*.rst")) - wanted:
        path.unlink()


def write_help(app: Any) -> None:
    """Write what each tool prints for ``--help``."""
    os.environ.update(COLUMNS="80", NO_COLOR="1")
    for tool in ("client", "fileserver"):
        parser = importlib.import_module(f"aiocoap.cli.{tool}").build_parser()
        path = HERE / "api" / f"aiocoap-{tool}.txt"
        path.write_text(parser.format_help(), encoding="utf-8")


def setup(app: Any) -> None:
    """Hook into the build."""
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", write_help)

"""Read the names, signatures and values out of the text of the interface's documentation.

The documentation itself is no part of this project; what it fixes about the interface - which
names exist, what they take, what constants are worth - is kept in ``documented_names.json``
beside this file. Make it again with::

    python -m tests.architecture.extract_documented_names DOCUMENTATION.txt

The text is a rendering of Sphinx output with its indentation lost: an entry is a line at the
left edge after two empty lines, members follow their class, and a nested class is told from
its owner's further members only by the table ``NESTED`` below.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).with_name("documented_names.json")

# Which members belong to a nested class; the ones after these are the owner's again.
NESTED = {
    "aiocoap.optiontypes.BlockOption.BlockwiseTuple": {
        "size",
        "start",
        "is_bert",
        "is_valid_for_payload_size",
        "reduced_to",
    },
    "aiocoap.tokenmanager.PlumbingRequest.Event": {"exception", "is_last", "message"},
    "aiocoap.transports.tinydtls.DTLSClientConnection.SingleConnection": {
        "factory",
        "parent",
        "connection_made",
        "connection_lost",
        "error_received",
        "datagram_received",
    },
    "aiocoap.oscore.FilesystemSecurityContext.LoadError": set(),
}

MODULE = re.compile(r"(aiocoap(?:\.\w+)*) module$")
ENTRY = re.compile(
    r"(?:(?P<kind>class|exception|classmethod|staticmethod|property|abstract|async) )?"
    r"(?P<name>[A-Za-z_][\w.]*)"
    r"(?P<signature>\(.*\)(?: → .*)?)?"
    r"(?: = (?P<value>.*))?$"
)
TOOL = re.compile(r"usage: (aiocoap-\w+) ")
OPTION = re.compile(r"\t(-{1,2}\w[\w-]*(?:, -{1,2}\w[\w-]*)*)$")


def split_parameters(text: str) -> list[str]:
    """Cut a parameter list at its top-level commas."""
    parts, depth, quote, current = [], 0, "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        current += char
    return [*parts, current.strip()] if current.strip() else parts


def parameters(signature: str) -> list[dict[str, str]]:
    """Turn ``(a, *, b=1)`` into rows of name, kind and, where it has one, the default's text."""
    rows = []
    kind = "positional"
    inside = signature[1 : signature.rindex(")")] if "→" not in signature else None
    if inside is None:
        head = signature.partition("→")[0].rstrip()
        inside = head[1:-1]
    for part in split_parameters(inside):
        if part == "*":
            kind = "keyword"
            continue
        head, has_default, default = part.partition("=")
        name = head.partition(":")[0].strip()
        row = {"name": name.lstrip("*"), "kind": kind}
        if name.startswith("**"):
            row["kind"] = "keywords"
        elif name.startswith("*"):
            row["kind"] = "positionals"
            kind = "keyword"
        if has_default:
            row["default"] = default.strip()
        rows.append(row)
    return rows


def entries(lines: list[str]) -> list[dict[str, Any]]:
    """Collect every documented thing, in the order of the text."""
    found: dict[str, dict[str, Any]] = {}
    module = owner = ""
    for index, line in enumerate(lines):
        # A page's title may carry the leading blank of a page break; the indented ones are links.
        if match := MODULE.match(line.removeprefix(" ")):
            module, owner = match[1], ""
            found[module] = {"path": module, "module": module, "kind": "module"}
            continue
        if not line or line[0].isspace() or index < 2 or lines[index - 1] or lines[index - 2]:
            continue
        match = ENTRY.match(line)
        if not module or not match:
            # Everything between two module pages (examples, tools, FAQ) has no entries.
            module = owner = ""
            continue
        name, kind = match["name"], match["kind"]
        if name.startswith("aiocoap."):
            path, owner = name, ""
        elif owner:
            if owner in NESTED and name not in NESTED[owner]:
                owner = owner.rpartition(".")[0]
            path = f"{owner}.{name}"
        else:
            raise ValueError(f"line {index + 1}: {line!r} belongs to nothing")
        if not path.startswith(module + "."):
            raise ValueError(f"line {index + 1}: {path} is not of {module}")
        row: dict[str, Any] = {"path": path, "module": module}
        if kind in ("class", "exception"):
            owner = path
            row["kind"] = kind
            body = lines[index + 2] if index + 2 < len(lines) else ""
            if body.startswith("\tBases: "):
                row["bases"] = body.removeprefix("\tBases: ").split(", ")
        elif match["signature"]:
            row["kind"] = kind or ("method" if owner else "function")
        else:
            row["kind"] = "attribute" if owner else "data"
        if match["signature"]:
            row["parameters"] = parameters(match["signature"])
        # Longer ones are docstrings and tables rendered as values: no constants.
        if match["value"] is not None and len(match["value"]) < 100:
            row["value"] = match["value"]
        if found.setdefault(path, row) != row:
            raise ValueError(f"line {index + 1}: {path} is documented twice, differently")
    return list(found.values())


def tools(lines: list[str]) -> dict[str, list[str]]:
    """Collect the documented command line options of each tool."""
    found: dict[str, list[str]] = {}
    tool = ""
    for line in lines:
        if match := TOOL.match(line):
            tool = match[1]
            found[tool] = []
        elif MODULE.match(line) or line == "Frequently Answered Questions":
            tool = ""
        elif tool and (match := OPTION.match(line)):
            found[tool].extend(match[1].split(", "))
    return found


def extract(text: str) -> dict[str, Any]:
    """Collect everything that the interface promises."""
    lines = text.splitlines()
    return {
        "names": entries(lines),
        "tools": tools(lines),
        "environment": sorted(set(re.findall(r"AIOCOAP_[A-Z_]+", text))),
    }


def main() -> None:
    """Write the data file from the documentation named on the command line."""
    data = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    head = json.dumps({k: v for k, v in data.items() if k != "names"}, ensure_ascii=False)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in data["names"])
    # One row a line, so that a change of the interface is a readable diff.
    OUTPUT.write_text(f'{head[:-1]}, "names": [\n{rows}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()

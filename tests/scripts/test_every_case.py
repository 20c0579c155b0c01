"""That there is a script for each case and figure, in each role that the library takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

NO_CLIENT = {
    # A client whose tokens are never empty; see the modules.
    "TD_COAP_CORE_12",
    "figure_16",
}


def cases(prefix: str, numbers: Iterable[int], form: str = "02") -> list[str]:
    """Return the names of cases."""
    return [f"{prefix}_{number:{form}}" for number in numbers]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("test_etsi_core", cases("TD_COAP_CORE", [*range(1, 24), 31])),
        ("test_etsi_link", cases("TD_COAP_LINK", range(1, 10))),
        ("test_etsi_block", cases("TD_COAP_BLOCK", range(1, 7))),
        ("test_etsi_obs", cases("TD_COAP_OBS", [1, 2, *range(4, 15)])),
        ("test_rfc7252", cases("figure", [*range(2, 7), *range(16, 24)], "")),
        ("test_rfc7641", cases("figure", range(2, 7), "")),
        ("test_rfc7959", cases("figure", range(2, 14), "")),
        ("test_rfc8323", cases("figure", [5, 11, 13, 14], "")),
    ],
)
def test_there_is_a_script_for_each_case_and_role(module: str, names: list[str]) -> None:
    source = Path(__file__).with_name(f"{module}.py").read_text("utf-8")
    found = re.findall(r"^def test_(\w+?)_(client|server)(\w*)\(", source, re.MULTILINE)
    assert len(set(found)) == len(found), "one test hides another of the same name"
    kind = names[0].rpartition("_")[0]
    # What is not shown by a case or figure has other names.
    roles = {(name, role) for name, role, _ in found if name.startswith(kind)}
    wanted = {(name, role) for name in names for role in ("client", "server")}
    assert roles == wanted - {(name, "client") for name in NO_CLIENT}

"""What an endpoint answers to the malformed datagrams of the vectors (RFC 7252 section 4.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap import EMPTY, RST, Message
from aiocoap.resource import Resource, Site
from tests.harness import Script

ROWS = [
    row
    for row in json.loads((Path(__file__).parent / "coap-messages.json").read_text())["malformed"]
    # A token of 9 bytes is one with RFC 8974, which is supported.
    if row["transport"] == "udp" and row["name"] != "udp-tkl-9"
]

# What the vectors leave open: here both are as quiet as the RFC allows.
SILENCE = {
    "udp-too-short": "there is no Message ID to reset",
    "udp-non-empty": "section 4.3 allows silence",
}


class Never(Resource):
    async def render_get(self, request: Message) -> Message:
        raise AssertionError("a malformed request is not acted on")


def expects_reset(row: dict[str, Any]) -> bool:
    if row["name"] in SILENCE or "ignore" in row["expected"].split(";")[0]:
        return False
    return row["expected"].startswith(("format error", "CON: reject", "same"))


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_answers(row: dict[str, Any], multicast: bool) -> None:
    raw = bytes.fromhex(row["hex"])
    site = Site()
    site.add_resource([], Never())
    with Script(site) as script:
        script.send_raw(raw, multicast=multicast)
        if expects_reset(row) and not multicast:
            reset = script.expect(RST, EMPTY, mid=raw[2] << 8 | raw[3], token=b"")
            assert len(reset.raw) == 4
        script.quiet(300)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if expects_reset(row)], ids=lambda row: row["name"]
)
def test_what_is_not_confirmable_gets_silence(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["hex"])
    for mtype in (1, 2, 3):
        with Script() as script:
            script.send_raw(bytes((raw[0] & 0xCF | mtype << 4,)) + raw[1:])
            script.quiet(300)


def test_every_kind_of_answer_is_among_them() -> None:
    assert sum(expects_reset(row) for row in ROWS) == 15
    assert sum(not expects_reset(row) for row in ROWS) == 7

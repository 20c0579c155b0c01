"""The entrance to both sides of blockwise transfers."""

from __future__ import annotations

from aiocoap.sansio import blockclient, blockserver, blockwise


def test_it_leads_to_both_rooms() -> None:
    for name in blockwise.__all__:
        room = blockclient if name in blockclient.__all__ else blockserver
        assert name in room.__all__
        assert getattr(blockwise, name) is getattr(room, name)

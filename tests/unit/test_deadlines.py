"""The heap of deadlines: order, and leaving without being searched."""

from __future__ import annotations

from aiocoap.sansio.deadlines import Deadlines


class Item:
    def __init__(self, name: str) -> None:
        self.name = name
        self.deadline: float | None = None


def due(deadlines: Deadlines[Item], now: float) -> str:
    return "".join(item.name for item in deadlines.pop_due(now))


def test_items_come_in_order_when_they_are_due() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    for name, deadline in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 3.0)):
        deadlines.add(Item(name), deadline)
    assert len(deadlines) == 4
    assert deadlines.next_deadline() == 1.0
    assert due(deadlines, 0.9) == ""
    assert due(deadlines, 2.0) == "ab"
    assert deadlines.next_deadline() == 3.0
    # Equal deadlines: first come, first served.
    assert due(deadlines, 100.0) == "cd"
    assert len(deadlines) == 0
    assert deadlines.next_deadline() is None


def test_discarded_items_do_not_come() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a, b = Item("a"), Item("b")
    deadlines.add(a, 1.0)
    deadlines.add(b, 2.0)
    deadlines.discard(a)
    deadlines.discard(a)
    assert len(deadlines) == 1
    assert deadlines.next_deadline() == 2.0
    assert a.deadline is None
    assert due(deadlines, 5.0) == "b"
    assert b.deadline is None


def test_an_item_waits_anew_with_a_new_deadline() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a = Item("a")
    deadlines.add(a, 1.0)
    deadlines.discard(a)
    deadlines.add(a, 4.0)
    assert due(deadlines, 3.0) == ""
    assert due(deadlines, 4.0) == "a"


def test_an_item_comes_once_for_the_same_deadline_again() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a = Item("a")
    deadlines.add(a, 1.0)
    deadlines.discard(a)
    deadlines.add(a, 1.0)
    assert due(deadlines, 1.0) == "a"
    assert len(deadlines) == 0


def test_items_may_be_added_and_discarded_while_others_come() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a, b, c = Item("a"), Item("b"), Item("c")
    deadlines.add(a, 1.0)
    deadlines.add(b, 2.0)
    seen = []
    for item in deadlines.pop_due(10.0):
        seen.append(item.name)
        if item is a:
            deadlines.discard(b)
            deadlines.add(c, 3.0)
    assert seen == ["a", "c"]


def test_what_is_stale_is_swept_out() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    kept = Item("kept")
    deadlines.add(kept, 1000.0)
    for number in range(10_000):
        item = Item(str(number))
        deadlines.add(item, 500.0 + number)
        deadlines.discard(item)
    assert len(deadlines._heap) < 100
    assert deadlines.next_deadline() == 1000.0
    assert due(deadlines, 1000.0) == "kept"

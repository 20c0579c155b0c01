"""What tests of several rooms want to have around them."""

from __future__ import annotations

import gc
from typing import Any

import pytest


@pytest.fixture
def no_noise(caplog: pytest.LogCaptureFixture) -> Any:
    """Nothing is said about futures that nobody looked at."""
    yield
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    assert [record.message for record in records if record.name == "asyncio"] == []

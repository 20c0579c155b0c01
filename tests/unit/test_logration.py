"""A bound on lines that others make us log."""

from __future__ import annotations

import logging

import pytest

from aiocoap.util.logration import LogRation


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.INFO)
    return logging.getLogger("ration")


def test_there_is_a_last_word_and_then_silence_until_the_next_minute(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    ration = LogRation(2, "no more")
    for _ in range(5):
        ration.log(61.0, log.info, "line %d", 1)
    assert caplog.messages == ["line 1", "line 1", "no more"]
    ration.log(119.0, log.info, "still the same minute")
    ration.log(120.0, log.info, "the next")
    assert caplog.messages[3:] == ["the next"]


def test_the_first_minute_is_one_like_any_other(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    ration = LogRation(1, "no more")
    for _ in range(3):
        ration.log(0.0, log.info, "line")
    assert caplog.messages == ["line", "no more"]


def test_records_name_the_caller_and_carry_the_traceback(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    problem = RuntimeError("on purpose")
    LogRation(1, "no more").log(1.0, log.error, "failed", exc_info=problem)
    (record,) = caplog.records
    assert record.module == "test_logration"
    assert record.exc_info is not None
    assert record.exc_info[1] is problem

"""UDP transports in networks that a test machine may not have: each in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.rigs import LOOPS
from tests.integration.udp_scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, loop: str) -> None:
    missing = [tool for tool in ("unshare", "ip", "sysctl") if shutil.which(tool) is None]
    if os.getuid() != 0 or missing:
        reason = f"network namespaces need root and {missing or 'nothing else'}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    setup, _ = SCENARIOS[name]
    command = f'set -e\n{setup}\nexec "$@"'
    done = subprocess.run(
        [
            *("unshare", "-n", "sh", "-c", command, "sh"),
            *(sys.executable, "-X", "dev", "-W", "error"),
            *("-m", "tests.integration.udp_scenarios", name, loop),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

"""Groups with several members, each in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.rigs import LOOPS
from tests.integration.group_scenarios import SETUP

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("loop", LOOPS)
def test_groups(loop: str) -> None:
    missing = [tool for tool in ("unshare", "ip", "sysctl") if shutil.which(tool) is None]
    if os.getuid() != 0 or missing:
        reason = f"network namespaces need root and {missing or 'nothing else'}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # The names of namespaces are mounts, which are not to be seen outside.
    command = f'set -e\nmount -t tmpfs none /run\n{SETUP}\nexec "$@"'
    done = subprocess.run(
        [
            *("unshare", "-n", "-m", "sh", "-c", command, "sh"),
            *("ip", "netns", "exec", "client", sys.executable, "-X", "dev", "-W", "error"),
            *("-m", "tests.integration.group_scenarios", loop),
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

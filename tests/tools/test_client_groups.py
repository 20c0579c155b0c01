"""aiocoap-client and groups with several members, in network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.integration.group_scenarios import SETUP
from tests.tools.client_runs import ROOT, environment


def test_groups() -> None:
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
            *("-m", "tests.tools.group_client"),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

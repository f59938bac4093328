"""Two processes under ``torchrun``, as a user starts them."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

LIMIT = 300  # seconds until processes that wait for one another are given up


def torchrun(*command: str, beside: Path) -> str:
    """Run a script, or ``-m`` and a module, in two processes of one thread; returns what they said.

    Args:
        command: With its arguments.
        beside: A folder that is imported from.
    """
    paths = os.pathsep.join([str(beside), os.environ.get("PYTHONPATH", "")])
    launcher = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with launcher:
        try:
            said, complained = launcher.communicate(timeout=LIMIT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
    assert launcher.returncode == 0, complained
    return said

"""Streams that are closed, full or broken end no training."""

import shlex
import subprocess
import sys

import pytest

from keras_s5rl.runs import Checkpoints
from tests.support.small_runs import ROOT, metrics_of, train_flags

pytestmark = pytest.mark.slow

STREAMS = ["| head -n 0", "2>/dev/full", ">/dev/full", "2>&-", ">&- 2>&- <&-"]


@pytest.mark.parametrize("streams", STREAMS)
def test_training_goes_on_to_its_end_whatever_becomes_of_its_streams(streams, tmp_path):
    flags = [*train_flags(tmp_path / "run", 3), "--memory=mlp", "--log_every=1"]
    command = shlex.join([sys.executable, str(ROOT / "launch" / "train.py"), *flags])
    script = f"set -o pipefail; {command} {streams}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert len(metrics_of(tmp_path / "run")) == 3
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == 3
    for name in ("policy.keras", "learning_curve.png", "evaluation.json"):
        assert (tmp_path / "run" / name).exists()

"""The record of a training on a disk that plays tricks, without a training."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import Checkpoints, RunError, WriteError, read_metrics
from keras_s5rl.runs.migrations import FORMAT_VERSION
from keras_s5rl.training.recorder import Recorder
from tests.support.small_runs import NO_EVALUATION, small_config

pytestmark = pytest.mark.not_on_tensorflow

SETTINGS = {
    **{"env": "E", "env_args": {}, "memory": "mlp", "memory_args": {}, "encoder": "dense"},
    "backend": "jax",
    **{"imports": [], "seed": 0, "num_seeds": 1},
    **{"total_steps": 1280, "checkpoint_every": 1, "log_every": 1},
    **NO_EVALUATION,
    **vars(small_config()),
}
assert set(vars(PPOConfig())) < set(SETTINGS)


class Agent:
    """As much of one as a recorder asks for."""

    update = 0
    env_steps = 0
    seeds = (0,)

    def snapshot(self):
        arrays = {"optimizer/0": np.array(self.update), "optimizer/1": np.array(0.5, "float32")}
        return self.update, arrays, {"mmer": None, "wall_time_s": 0.5}

    def step(self, recorder):
        self.update += 1
        recorder.record({"update": self.update, "env_steps": 128 * self.update, "loss": 0.5})
        recorder.checkpoint(self)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def started(folder):
    """A recorder and its agent after three updates, each with a checkpoint."""
    agent, recorder = Agent(), Recorder.create(folder, SETTINGS)
    recorder.start(agent)
    for _ in range(3):
        agent.step(recorder)
    yield recorder, agent
    recorder.close()


def resumed(folder):
    agent, recorder = Agent(), Recorder.resume(folder, SETTINGS)
    recorder.restore(lambda state: setattr(agent, "update", state["update"]))
    recorder.start(agent)
    recorder.close()
    return agent.update


def test_a_folder_that_vanished_is_noticed_at_the_next_write(folder, started):
    recorder, agent = started
    shutil.rmtree(folder)
    for write in (agent.step, lambda r: r.checkpoint(agent)):
        with pytest.raises(WriteError, match="`run_dir` cannot be written any more.*was removed"):
            write(recorder)
    assert not folder.exists()


@pytest.mark.parametrize("replace", [lambda path: None, lambda path: path.write_text("")])
def test_metrics_that_were_removed_or_replaced_are_not_written_in_silence(folder, started, replace):
    recorder, agent = started
    (folder / "metrics.jsonl").unlink()
    replace(folder / "metrics.jsonl")
    with pytest.raises(WriteError, match="metrics.jsonl was removed or replaced"):
        agent.step(recorder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("function", ["fsync", "rename", "mkdir", "replace"])
def test_a_disk_that_fails_is_named_and_the_last_checkpoint_is_whole(
    function, number, folder, started, monkeypatch
):
    recorder, agent = started

    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        with pytest.raises(WriteError, match=os.strerror(number)) as raised:
            agent.step(recorder)
    assert "go on from the last checkpoint with --resume" in str(raised.value)
    assert str(raised.value).count("Received: run_dir=") == 1
    assert Checkpoints(folder / "checkpoints").load_newest()[0] == 3
    recorder.close()
    assert resumed(folder) == 3
    assert read_metrics(folder / "metrics.jsonl")["update"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("how", ["missing", "emptied"])
def test_a_run_that_trained_is_not_started_over_without_its_checkpoints(how, folder, started):
    started[0].close()
    shutil.rmtree(folder / "checkpoints")
    if how == "emptied":
        (folder / "checkpoints").mkdir()
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="has trained .metrics.jsonl say so., but its checkpoints"):
        resumed(folder)
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts(folder):
    Recorder.create(folder, SETTINGS).close()
    (folder / "metrics.jsonl").write_text('{"update": 1')
    assert resumed(folder) == 0
    assert Checkpoints(folder / "checkpoints").steps() == [0]


def garble(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "garbled\n" + lines[2])


DAMAGES = {
    "missing": (lambda path: path.unlink(), [], "metrics.jsonl is missing"),
    "short": (lambda path: os.truncate(path, path.stat().st_size - 60), [1], "has "),
    "empty": (lambda path: os.truncate(path, 0), [], "has 0 bytes"),
    "garbled": (garble, [1, 3], "has "),
    "edited": (lambda p: p.write_text(p.read_text().replace("0.5", "0.7")), [1, 2, 3], "altered"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_metrics_never_block_good_checkpoints(damage, folder, started, capsys):
    started[0].close()
    path, (do, left, reported) = folder / "metrics.jsonl", DAMAGES[damage]
    do(path)
    found = path.read_bytes() if path.exists() else None
    assert resumed(folder) == 3
    warning = capsys.readouterr().err
    assert warning.startswith("warning: metrics.jsonl ") and reported in warning
    assert warning.count("\n") == 1
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["update"] for row in rows] == left
    if found is not None:
        assert (folder / "metrics.damaged_1.jsonl").read_bytes() == found
    else:
        assert not list(folder.glob("metrics.damaged*"))


MALFORMED = {
    "no metrics_size": {"mmer": None, "wall_time_s": 0.5},
    "a text": {"mmer": "high", "wall_time_s": 0.5, "metrics_size": 0},
    "a list": {"mmer": None, "wall_time_s": [0.5], "metrics_size": 0},
    "a bool": {"mmer": None, "wall_time_s": 0.5, "metrics_size": True},
    "a negative size": {"mmer": None, "wall_time_s": 0.5, "metrics_size": -1},
    "overrides": {"mmer": None, "wall_time_s": 0.5, "metrics_size": 0, "overrides": None},
    "more overrides": {"mmer": None, "wall_time_s": 0.5, "metrics_size": 0, "overrides": 2},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_metadata_with_right_checksums_fall_back(case, folder, started, capsys):
    started[0].close()
    arrays = {"optimizer/0": np.array(4)}
    Checkpoints(folder / "checkpoints", keep=9).save(4, arrays, MALFORMED[case])
    assert resumed(folder) == 3
    assert "warning: checkpoint_00000004 cannot be used (" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_fit_the_agent_falls_back(folder, started, capsys):
    started[0].close()
    recorder = Recorder.resume(folder, SETTINGS)

    def restore(state):
        if state["update"] > 1:
            raise RunError("another shape")

    recorder.restore(restore)
    recorder.close()
    assert recorder.restored["update"] == 1
    assert capsys.readouterr().err.count("cannot be used (another shape)") == 2
    recorder = Recorder.resume(folder, SETTINGS)
    with pytest.raises(RunError, match="No checkpoint can be used.*another shape"):
        recorder.restore(lambda state: restore({"update": 2}))
    recorder.close()


def test_a_run_that_is_trained_is_not_resumed_but_read(folder, started):
    with pytest.raises(RunError, match="in use by process"):
        Recorder.resume(folder, SETTINGS)
    settings, restore = Recorder.read(folder)
    states = []
    restore(states.append)
    assert settings["env"] == "E" and states[0]["update"] == 3


def test_an_edited_config_is_refused_until_accepted_and_then_renewed(folder, started):
    started[0].close()
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"log_every": 1', '"log_every": 2'))
    for call in (Recorder.read, lambda f: Recorder.resume(f, SETTINGS)):
        with pytest.raises(RunError, match="config.json was edited or damaged"):
            call(folder)
    assert Recorder.read(folder, accept_edited_config=True)[0]["log_every"] == 2
    Recorder.resume(folder, SETTINGS, accept_edited_config=True).close()
    assert Recorder.read(folder)[0]["log_every"] == 1


def test_a_run_of_format_version_1_is_read_and_resumed(folder, started):
    started[0].close()
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["checksum"]
    path.write_text(json.dumps(config | {"format_version": 1, "log_every": 7}))
    assert Recorder.read(folder)[0]["log_every"] == 7
    assert resumed(folder) == 3
    assert json.loads(path.read_text())["format_version"] == FORMAT_VERSION

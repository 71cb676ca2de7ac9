"""The flags of a training by several processes, where none starts."""

import socket
import sys

import pytest

from keras_s5rl.cli import process_flags, train
from keras_s5rl.runs import Checkpoints, RunDirectory
from tests.support.small_runs import FLAGS

TOGETHER = ("--coordinator_address=127.0.0.1:1", "--num_processes=2", "--process_id=0")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (TOGETHER[:2], "`process_id` together. Received: distributed=False, coordinator_address="),
        (TOGETHER[2:], "`process_id` together. Received: distributed=False, process_id=0"),
        (("--distributed", *TOGETHER), "`distributed` should be given alone"),
        ((*TOGETHER, "--process_id=2"), "`process_id` should be below `num_processes`"),
        ((*TOGETHER, "--process_id=-1"), "process_id=-1"),
        ((*TOGETHER, "--num_processes=0"), "a positive integer"),
        ((*TOGETHER, "--coordinator_address=here"), "Received: coordinator_address=here"),
    ],
)
def test_flags_that_contradict_each_other_are_one_line(flags, expected, capsys, tmp_path):
    assert train.main(["train.py", *FLAGS, f"--run_dir={tmp_path / 'run'}", *flags]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_an_error_where_jax_would_crash(capsys):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert train.main(["train.py", *TOGETHER, f"--coordinator_address={address}"]) == 2
    error = capsys.readouterr().err
    assert "a free port" in error and f"Received: coordinator_address={address}" in error


def test_a_lost_process_is_reported_with_where_the_run_goes_on(tmp_path):
    folder = tmp_path / "run"
    assert process_flags.how_to_go_on(str(folder)).startswith(
        "Process 0 has the checkpoints; go on"
    )
    RunDirectory.create(folder, {}).release()
    way = f"go on with --resume --run_dir={folder}, with as many processes as there are"
    assert process_flags.how_to_go_on(str(folder)) == way
    for step in (5, 10):
        Checkpoints(folder / "checkpoints").save(step, {}, {})
    last = "The last checkpoint is of update 10; "
    assert process_flags.how_to_go_on(str(folder)) == last + way


@pytest.mark.parametrize("is_joined", [True, False])
def test_a_process_ends_at_once_only_while_it_belongs_to_others(is_joined, monkeypatch):
    from keras_s5rl import backend

    ended = []
    monkeypatch.setattr(backend.processes, "is_joined", lambda: is_joined)
    monkeypatch.setattr(process_flags.os, "_exit", ended.append)
    assert process_flags.end_process(lambda: 1) == 1
    with pytest.raises(SystemExit):
        process_flags.end_process(lambda: sys.exit(143))
    assert ended == ([1, 143] if is_joined else [])

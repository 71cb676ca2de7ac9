"""The lock of a run: whoever holds it, and however he ends."""

import os
import subprocess
import sys

import pytest

from keras_s5rl.runs import RunDirectory, RunError, WriteError
from keras_s5rl.runs.lock import RunLock

HOLD = """
import os, sys
from keras_s5rl.runs.lock import RunLock
lock = RunLock(sys.argv[1])
if sys.argv[2] == "fork":
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"x")  # it has run what a child runs first
        sys.stdin.read()
        os._exit(0)
    os.read(reader, 1)
print(os.getpid(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


def hold(path, how="alone"):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", HOLD, str(path), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, **pipes)
    assert int(process.stdout.readline()) == process.pid
    return process


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_another_process_is_named_and_a_killed_one_leaves_no_lock(path, how):
    with hold(path, how) as process:
        with pytest.raises(RunError, match=f"in use by process {process.pid} on .*Received: run_"):
            RunLock(path)
        process.kill()
        process.wait()
        assert path.exists()
        RunLock(path).release()  # though a child that it forked lives on
        assert not path.exists()
        process.stdin.close()


def test_a_lock_is_held_once_and_given_back(path):
    lock = RunLock(path)
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        RunLock(path)
    lock.release()
    lock.release()
    again = RunLock(path)
    del again
    RunLock(path).release()


def test_programs_that_are_started_do_not_hold_it(path):
    lock = RunLock(path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        RunLock(path).release()
        child.stdin.close()
        child.kill()


@pytest.mark.parametrize("replace", [lambda p: None, lambda p: p.write_text("another")])
def test_a_lock_that_was_removed_or_replaced_is_noticed(path, replace):
    lock = RunLock(path)
    lock.check()
    path.unlink()
    replace(path)
    with pytest.raises(WriteError, match="was removed or replaced"):
        lock.check()
    there = path.exists()
    lock.release()
    assert path.exists() == there  # another's is left alone


def test_two_runs_cannot_be_created_or_taken_in_one_folder(tmp_path):
    run = RunDirectory.create(tmp_path / "run", {"seed": 1})
    with pytest.raises(RunError, match="already holds a run"):
        RunDirectory.create(tmp_path / "run", {"seed": 2})
    with pytest.raises(RunError, match="in use by process"):
        RunDirectory.open(tmp_path / "run").take()
    assert RunDirectory.open(tmp_path / "run").read_config() == {"seed": 1}
    run.release()
    RunDirectory.open(tmp_path / "run").take()


def test_a_folder_that_is_being_made_a_run_is_refused(tmp_path):
    lock = RunLock(tmp_path / ".lock")  # before its config.json is there
    with pytest.raises(RunError, match="in use by process"):
        RunDirectory.create(tmp_path, {"seed": 2})
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["metrics.jsonl", "policy.keras", "config.json", "tensorboard"])
def test_a_part_that_is_a_link_is_refused(tmp_path, part):
    RunDirectory.create(tmp_path / "run", {}).release()
    path, target = tmp_path / "run" / part, tmp_path / "target"
    target.write_text("mine")
    if path.exists():
        os.rename(path, target)
    path.symlink_to(target)
    before = target.read_text()
    with pytest.raises(RunError, match=f"`{part}` in a run should not be a symbolic link"):
        RunDirectory.open(tmp_path / "run").take()
    assert target.read_text() == before and not (tmp_path / "run" / ".lock").exists()

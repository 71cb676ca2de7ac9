import json
import os
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from keras_s5rl.runs import Checkpoints, RunError

ARRAYS = {
    "policy/encoder/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "key": np.array([0, 2**32 - 1], np.uint32),
}


def save_steps(directory, steps, keep=3):
    checkpoints = Checkpoints(directory, keep)
    for step in steps:
        checkpoints.save(step, {"step": np.array(step)}, {"env_steps": 64 * step})
    return checkpoints


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, -0.0, np.nan, np.inf, 1e-45], np.float32),
        np.array(1 / 3, np.float64),
        np.array([[True], [False]]),
        np.array([-(2**31), 2**31 - 1], np.int32),
        np.array([2**32 - 1], np.uint32),
        np.array([2**63 - 1], np.int64),
        np.array([1 + 2j], np.complex64),
        np.array([1.5, -2.25, np.nan], ml_dtypes.bfloat16),
        np.array(0.1, ml_dtypes.bfloat16),
        np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3).T,
        np.array([0.5, 448], ml_dtypes.float8_e4m3fn),
        np.zeros((0, 4), np.float16),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(10)[::-2],
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_every_array_comes_back_bit_for_bit(tmp_path, array):
    Checkpoints(tmp_path).save(0, {"array": array}, {})
    _, arrays, _, _ = Checkpoints(tmp_path).load_newest()
    assert arrays["array"].dtype == array.dtype
    assert arrays["array"].shape == array.shape
    assert arrays["array"].tobytes() == array.tobytes()


@pytest.mark.parametrize("name", ["a/b", "file", "allow_pickle", "w.npy", "arr_0", "größe", ".."])
def test_any_name_of_an_array_comes_back(tmp_path, name):
    Checkpoints(tmp_path).save(0, {name: np.ones(2)}, {})
    _, arrays, _, _ = Checkpoints(tmp_path).load_newest()
    assert list(arrays) == [name]


def test_numpy_itself_reads_the_arrays(tmp_path):
    folder = Checkpoints(tmp_path).save(12, ARRAYS, {})
    assert folder == tmp_path / "checkpoint_00000012"
    with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
        assert sorted(archive) == sorted(ARRAYS)
        np.testing.assert_array_equal(archive["key"], ARRAYS["key"])


def test_the_metadata_comes_back_and_the_manifest_describes_the_arrays(tmp_path):
    metadata = {"metrics_bytes": np.int64(7), "mmer": None, "learning_rate": 0.1, "text": "ü"}
    folder = Checkpoints(tmp_path).save(3, ARRAYS, metadata)
    step, _, loaded, skipped = Checkpoints(tmp_path).load_newest()
    assert (step, skipped) == (3, [])
    assert loaded == {"metrics_bytes": 7, "mmer": None, "learning_rate": 0.1, "text": "ü"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["arrays"]["key"] == {"dtype": "uint32", "shape": [2]}


@pytest.mark.parametrize(
    "array",
    [np.array([{}, None]), np.array(["text"]), np.zeros(2, [("a", "f4")]), np.zeros(2, ">f4")],
)
def test_an_array_that_is_no_plain_number_is_refused_before_anything_is_written(tmp_path, array):
    with pytest.raises(RunError, match=r"`arrays\['x'\]` must be.*Received: dtype="):
        Checkpoints(tmp_path).save(0, {"x": array}, {})
    assert list(tmp_path.iterdir()) == []


def test_bad_metadata_step_and_keep_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RunError, match=r"`metadata\.loss` must be finite"):
        Checkpoints(tmp_path).save(0, ARRAYS, {"loss": float("nan")})
    with pytest.raises(RunError, match="`step` must be at least 0. Received: step=-1"):
        Checkpoints(tmp_path).save(-1, ARRAYS, {})
    with pytest.raises(RunError, match="`keep` must be at least 1. Received: keep=0"):
        Checkpoints(tmp_path, keep=0)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_few_are_kept(tmp_path):
    checkpoints = save_steps(tmp_path / "checkpoints", [0, 5, 10, 15], keep=2)
    assert checkpoints.steps() == [10, 15]
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == [
        "checkpoint_00000010",
        "checkpoint_00000015",
    ]


def test_without_a_checkpoint_loading_says_so(tmp_path):
    assert Checkpoints(tmp_path / "missing").steps() == []
    with pytest.raises(RunError, match="No checkpoint can be read.*there is none"):
        Checkpoints(tmp_path / "missing").load_newest()


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit_manifest(folder, **fields):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


CORRUPTIONS = {
    "arrays cut short": (lambda f: os.truncate(f / "arrays.npz", 40), "has 40 bytes in place of"),
    "arrays emptied": (lambda f: os.truncate(f / "arrays.npz", 0), "has 0 bytes"),
    "arrays altered": (lambda f: flip_a_byte(f / "arrays.npz"), "arrays.npz was altered"),
    "arrays gone": (lambda f: (f / "arrays.npz").unlink(), "arrays.npz is missing"),
    "manifest gone": (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    "manifest cut short": (lambda f: os.truncate(f / "manifest.json", 50), "not a whole JSON"),
    "manifest altered": (lambda f: edit_manifest(f, metadata={}), "manifest.json was altered"),
    "another format": (lambda f: edit_manifest(f, format_version=9), "format_version is 9"),
    "another step": (
        lambda f: shutil.copytree(f.parent / "checkpoint_00000001", f, dirs_exist_ok=True),
        "manifest.json was altered",
    ),
    "folder empty": (lambda f: [path.unlink() for path in f.iterdir()], "manifest.json is missing"),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, corruption):
    damage, reason = CORRUPTIONS[corruption]
    checkpoints = save_steps(tmp_path, [1, 2])
    damage(tmp_path / "checkpoint_00000002")
    step, arrays, metadata, skipped = checkpoints.load_newest()
    assert (step, int(arrays["step"]), metadata) == (1, 1, {"env_steps": 64})
    assert [name for name, _ in skipped] == ["checkpoint_00000002"]
    assert reason in skipped[0][1]


def test_every_byte_of_a_checkpoint_is_guarded(tmp_path):
    folder = Checkpoints(tmp_path).save(1, {"a": np.arange(3)}, {"mmer": 0.5})
    for path in folder.iterdir():
        whole = path.read_bytes()
        for position in range(len(whole)):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
            )
            with pytest.raises(RunError, match="No checkpoint can be read.*checkpoint_00000001"):
                Checkpoints(tmp_path).load_newest()
        path.write_bytes(whole)
    assert Checkpoints(tmp_path).load_newest()[0] == 1


def test_when_all_are_damaged_the_error_names_each_with_its_reason(tmp_path):
    checkpoints = save_steps(tmp_path, [1, 2])
    for step in (1, 2):
        os.truncate(tmp_path / f"checkpoint_0000000{step}" / "arrays.npz", 9)
    with pytest.raises(RunError, match="00000002: arrays.npz has 9.*00000001: arrays.npz has 9"):
        checkpoints.load_newest()


def test_saving_a_step_again_replaces_it(tmp_path):
    checkpoints = save_steps(tmp_path, [1, 2])
    checkpoints.save(2, {"step": np.array(20)}, {})
    step, arrays, _, _ = checkpoints.load_newest()
    assert (step, int(arrays["step"]), checkpoints.steps()) == (2, 20, [1, 2])


def test_going_on_from_an_earlier_checkpoint_removes_the_later_ones(tmp_path):
    checkpoints = save_steps(tmp_path, [1, 2, 3])
    checkpoints.save(2, {"step": np.array(20)}, {})
    assert checkpoints.steps() == [1, 2]
    assert int(checkpoints.load_newest()[1]["step"]) == 20


def test_a_crash_between_the_renames_of_a_replacement_loses_nothing(tmp_path):
    checkpoints = save_steps(tmp_path, [1, 2])
    os.rename(tmp_path / "checkpoint_00000002", tmp_path / ".checkpoint_00000002.replaced")
    assert checkpoints.load_newest()[0] == 2
    save_steps(tmp_path, [3])
    assert checkpoints.steps() == [1, 2, 3]
    checkpoints.save(2, {"step": np.array(20)}, {})
    assert int(checkpoints.load_newest()[1]["step"]) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_00000001",
        "checkpoint_00000002",
    ]


def test_what_a_crash_left_half_written_is_never_read_and_removed_by_the_next_save(tmp_path):
    checkpoints = save_steps(tmp_path, [1])
    stale = tmp_path / ".checkpoint_00000002.tmp"
    shutil.copytree(tmp_path / "checkpoint_00000001", stale)
    assert checkpoints.steps() == [1]
    save_steps(tmp_path, [2])
    assert not stale.exists()
    assert checkpoints.steps() == [1, 2]


def test_everything_is_on_disk_before_the_checkpoint_gets_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(
        os, "fsync", lambda number: calls.append(os.fstat(number).st_ino) or fsync(number)
    )
    monkeypatch.setattr(os, "rename", lambda *paths: calls.append("rename") or rename(*paths))
    folder = Checkpoints(tmp_path).save(1, ARRAYS, {})
    before, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    parts = [folder, folder / "arrays.npz", folder / "manifest.json"]
    assert {path.stat().st_ino for path in parts} <= set(before)
    assert after == [tmp_path.stat().st_ino]


def test_files_of_others_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "checkpoint_best").mkdir()
    checkpoints = save_steps(tmp_path, [1, 2, 3, 4])
    assert (tmp_path / "notes.txt").exists() and (tmp_path / "checkpoint_best").exists()
    assert checkpoints.steps() == [2, 3, 4]


ENDLESS_SAVES = """
import sys
import numpy as np
from keras_s5rl.runs import Checkpoints

checkpoints = Checkpoints(sys.argv[1], keep=2)
for count in range(1_000_000):
    # Every second save writes the step of the one before again.
    step = count // 2
    checkpoints.save(step, {name: np.full(5000, count) for name in "abc"}, {"count": count})
    print(count, flush=True)
"""


def test_a_process_killed_while_saving_leaves_a_whole_newest_checkpoint(tmp_path):
    script = [sys.executable, "-c", ENDLESS_SAVES, str(tmp_path)]
    for kills in range(4):
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3 + 2 * kills):
                last = int(process.stdout.readline())
            process.kill()
            for line in process.stdout:
                last = int(line)
        step, arrays, metadata, skipped = Checkpoints(tmp_path).load_newest()
        assert skipped == []
        # What was reported as saved is there, or the save that the kill interrupted is, whole.
        assert metadata["count"] in (last, last + 1)
        assert step == metadata["count"] // 2
        for name in "abc":
            np.testing.assert_array_equal(arrays[name], np.full(5000, metadata["count"]))


CRASH_AT_EVERY_FILE_OPERATION = """
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from keras_s5rl.runs import Checkpoints

base = Path(sys.argv[1])
old, new = {"a": np.zeros(3), "b": np.zeros(3)}, {"a": np.ones(3), "b": np.ones(3)}
step = int(sys.argv[2])
operations = 0
while True:
    directory = base / str(operations)
    for old_step in (1, 2):
        Checkpoints(directory, keep=2).save(old_step, old, {"value": 0})
    child = os.fork()
    if child == 0:
        left = operations

        def crash(event, arguments):
            global left
            if event == "open" or event.startswith(("os.", "shutil.")):
                if left == 0:
                    os._exit(9)
                left -= 1

        sys.addaudithook(crash)
        Checkpoints(directory, keep=2).save(step, new, {"value": 1})
        os._exit(0)
    crashed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    found, arrays, metadata, skipped = Checkpoints(directory).load_newest()
    value = metadata["value"]
    assert skipped == [], (operations, skipped)
    assert found == (step if value else 2), (operations, found)
    assert all((array == value).all() for array in arrays.values()), operations
    assert value == 1 or crashed
    Checkpoints(directory, keep=2).save(3, new, {"value": 1})
    assert Checkpoints(directory).steps() == [2, 3], operations
    assert len(list(directory.iterdir())) == 2, operations  # nothing stale is left
    if not crashed:
        break
    operations += 1
print(operations)
"""


@pytest.mark.parametrize("step", [2, 3], ids=["replacing a step", "a new step"])
def test_a_crash_before_any_file_operation_leaves_the_old_state_or_the_new(tmp_path, step):
    result = subprocess.run(
        [sys.executable, "-c", CRASH_AT_EVERY_FILE_OPERATION, str(tmp_path), str(step)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 15  # the crashes did happen

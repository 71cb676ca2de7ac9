import json
import os

import ml_dtypes
import numpy as np
import pytest

from keras_s5rl.runs.files import RunError, plain, read_json, replacing, write_json_atomically


def test_numpy_values_become_plain_ones_of_the_same_value():
    contents = {
        "float32": np.float32(0.25),
        "bfloat16": ml_dtypes.bfloat16(1.5),
        "int64": np.int64(2**40),
        "bool": np.bool_(True),
        "scalar_array": np.array(3, np.int32),
        "array": np.array([[1.5, 2.0]]),
        "tuple": (1, None, "text"),
    }
    converted = plain(contents)
    assert converted == {
        "float32": 0.25,
        "bfloat16": 1.5,
        "int64": 2**40,
        "bool": True,
        "scalar_array": 3,
        "array": [[1.5, 2.0]],
        "tuple": [1, None, "text"],
    }
    assert converted["bool"] is True
    assert type(converted["float32"]) is float and type(converted["int64"]) is int


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("-inf")])
def test_a_number_that_is_not_finite_is_refused_by_its_name(number):
    with pytest.raises(RunError, match=r"`loss\.terms\[1\]` must be finite.*Received"):
        plain({"terms": [0.0, number]}, "loss")


@pytest.mark.parametrize("value", [object(), 1j, {1, 2}, {1: "key"}, b"bytes"])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(RunError, match="`value` must"):
        plain(value)


def test_a_refused_dict_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "config.json"
    write_json_atomically(path, {"a": 1})
    with pytest.raises(RunError, match=r"`config\.a`"):
        write_json_atomically(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "policy.keras"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_contents_stay_until_the_new_ones_are_whole(tmp_path):
    path = tmp_path / "policy.keras"
    path.write_text("old")
    with replacing(path) as aside:
        aside.write_text("new")
        assert aside.parent == tmp_path and aside.suffix == ".keras"
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_reader_that_opened_the_old_file_reads_all_of_it(tmp_path):
    path = tmp_path / "config.json"
    write_json_atomically(path, {"a": "old"})
    with open(path) as reader:
        write_json_atomically(path, {"a": "new"})
        assert json.load(reader) == {"a": "old"}


def test_the_file_is_on_disk_before_it_takes_its_place_and_the_name_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: calls.append(os.fstat(number).st_ino) or fsync(number)
    )
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    write_json_atomically(tmp_path / "config.json", {})
    inodes = [(tmp_path / "config.json").stat().st_ino, tmp_path.stat().st_ino]
    assert calls == [inodes[0], "replace", inodes[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"a": [1, 2', "not a whole JSON"), ("[1]", "JSON object"), (None, "is missing")],
)
def test_a_broken_json_file_is_named(tmp_path, text, message):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match=rf"config\.json.*{message}.*Received: path="):
        read_json(path)

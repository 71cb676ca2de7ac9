import json

import numpy as np
import pytest

from keras_s5rl.runs import MetricsLog, RunError, read_metrics


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_each_update_is_one_line_of_plain_json_seen_at_once(path):
    with MetricsLog(path) as log:
        log.append({"update": np.int64(1), "loss": np.float32(0.5), "episode_return_mean": None})
        assert path.read_text() == '{"update": 1, "loss": 0.5, "episode_return_mean": null}\n'
        log.append({"update": 2, "loss_per_seed": np.array([1.0, 2.0])})
        lines = path.read_text().splitlines()
        assert json.loads(lines[1]) == {"update": 2, "loss_per_seed": [1.0, 2.0]}
        assert log.size == path.stat().st_size


@pytest.mark.parametrize("number", [float("nan"), np.float32("inf"), np.array([0.0, np.nan])])
def test_a_number_that_is_not_finite_is_refused_by_name_and_not_written(path, number):
    with MetricsLog(path) as log:
        with pytest.raises(RunError, match=r"`entropy(\[1\])?` must be finite"):
            log.append({"update": 1, "entropy": number})
        assert log.size == 0


def test_cutting_back_to_a_checkpoint_and_going_on(path):
    with MetricsLog(path) as log:
        for update in (1, 2, 3):
            log.append({"update": update})
            if update == 2:
                size = log.size
    with MetricsLog(path) as log:
        log.truncate(size)
        log.append({"update": 30})
        assert log.size == path.stat().st_size
    assert read_metrics(path)["update"].tolist() == [1, 2, 30]


def test_cutting_back_to_nothing(path):
    with MetricsLog(path) as log:
        log.append({"update": 1})
        log.truncate(0)
    assert path.read_bytes() == b""


def test_a_half_written_last_line_is_cut_off_on_opening(path):
    path.write_text('{"update": 1}\n{"update": 2')
    with MetricsLog(path) as log:
        assert log.size == len('{"update": 1}\n')
        log.append({"update": 2})
    assert path.read_text() == '{"update": 1}\n{"update": 2}\n'


@pytest.mark.parametrize("length", [10, 70_000, 200_000])
def test_a_half_written_line_of_any_length_is_cut_off(path, length):
    path.write_text('{"update": 1}\n' + "x" * length)
    MetricsLog(path).close()
    assert path.read_text() == '{"update": 1}\n'
    path.write_text("x" * length)
    MetricsLog(path).close()
    assert path.read_text() == ""


@pytest.mark.parametrize("size", [5, 15, 10_000])
def test_a_size_that_is_no_end_of_a_line_is_refused_and_nothing_cut(path, size):
    contents = '{"update": 1}\n{"update": 2}\n'
    path.write_text(contents)
    with MetricsLog(path) as log, pytest.raises(RunError, match=f"Received: size={size}"):
        log.truncate(size)
    assert path.read_text() == contents


def test_columns_have_the_type_of_their_numbers(path):
    with MetricsLog(path) as log:
        log.append({"update": 1, "loss": 1, "mmer": None, "mmer_per_seed": [None, 0.5]})
        log.append({"update": 2, "loss": 0.5, "mmer": 2, "mmer_per_seed": [1.0, 0.25], "new": 7})
    columns = read_metrics(path)
    assert columns["update"].dtype == np.int64
    np.testing.assert_array_equal(columns["update"], [1, 2])
    np.testing.assert_array_equal(columns["loss"], [1.0, 0.5])
    np.testing.assert_array_equal(columns["mmer"], [np.nan, 2.0])
    np.testing.assert_array_equal(columns["mmer_per_seed"], [[np.nan, 0.5], [1.0, 0.25]])
    np.testing.assert_array_equal(columns["new"], [np.nan, 7.0])


def test_a_line_without_a_list_that_others_have_is_a_row_of_nan(path):
    path.write_text('{"update": 1}\n{"eval_per_seed": null}\n{"eval_per_seed": [1.0, 2.0]}\n')
    expected = [[np.nan, np.nan], [np.nan, np.nan], [1.0, 2.0]]
    np.testing.assert_array_equal(read_metrics(path)["eval_per_seed"], expected)


def test_lists_of_unequal_lengths_stay_lists(path):
    path.write_text('{"returns": [1.0]}\n{"returns": [1.0, 2.0]}\n')
    assert read_metrics(path)["returns"] == [[1.0], [1.0, 2.0]]


def test_reading_passes_over_a_half_written_last_line(path):
    path.write_text('{"update": 1}\n{"upda')
    assert read_metrics(path)["update"].tolist() == [1]


def test_a_run_without_updates_has_no_columns(path):
    path.write_text("")
    assert read_metrics(path) == {}


@pytest.mark.parametrize("line", ["{broken", "3"])
def test_a_broken_line_in_the_middle_is_named(path, line):
    path.write_text(f'{{"update": 1}}\n{line}\n{{"update": 3}}\n')
    with pytest.raises(RunError, match="Line 2 is not a JSON object. Received: path="):
        read_metrics(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(RunError, match="no such file. Received: path="):
        read_metrics(path)

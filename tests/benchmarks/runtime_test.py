"""The experiment that measures updates over the length of sequences. No number is judged here."""

import pytest

from benchmarks import reproduce, runtime_suite
from benchmarks.experiments import runtime


def _results(memory, seconds_of, lengths=(256, 1024, 4096, 16384)):
    """What the suite reports of updates that take `seconds_of(length)`, give or take a little."""
    cases = {}
    for length in lengths:
        seconds = [seconds_of(length) * (1 + noise) for noise in (-0.01, 0.0, 0.02)]
        cases[f"{memory}_{length}"] = {
            **{"seconds": seconds, "seconds_median": seconds[1], "peak_memory_gib": 0.5},
            **{"seconds_min": seconds[0], "seconds_max": seconds[2]},
        }
    return cases


def test_the_exponent_of_growth_is_that_of_the_long_sequences():
    results = _results("s5", lambda length: 1e-3 * length)
    results |= _results("attention", lambda length: 5.0 if length < 1024 else 1e-6 * length**2)
    found = runtime.document(["python", "it"], results)["growth"]
    assert found["s5"]["exponent"] == pytest.approx(1.0)
    assert found["attention"]["exponent"] == pytest.approx(2.0)
    low, high = found["attention"]["interval"]
    assert 1.95 < low < 2.0 < high < 2.05


def test_the_page_compares_with_s5_and_names_what_failed(tmp_path):
    results = _results("s5", lambda length: 1e-3 * length)
    results |= _results("gru", lambda length: 2e-3 * length, lengths=(1024,))
    results["gru_4096"] = {"error": "exit status 1, MemoryError"}
    found = runtime.document(["python", "it"], results)
    page = runtime.table(found)
    assert "- at 1,024 steps: gru 2.00" in page and "- at 4,096 steps" not in page
    assert "| 4,096 | 4.1 s (4.06 to 4.18), 0.50 GiB | failed |" in page
    assert "Failed: gru_4096: exit status 1, MemoryError" in page
    assert "| 256 | 0.256 s (0.253 to 0.261), 0.50 GiB | - |" in page
    runtime.draw(found, tmp_path / "it.png")
    assert (tmp_path / "it.png").stat().st_size > 1000


def test_lengths_beyond_one_that_failed_are_not_tried(monkeypatch):
    tried = []

    def measured(case, repeats):
        tried.append(case)
        return {"error": "no memory"} if case == "s5_256" else {"seconds": [1.0]}

    monkeypatch.setattr(runtime, "_measured", measured)
    runtime.measure(["s5", "gru"], [64, 256, 1024], 1)
    assert tried == ["s5_64", "s5_256", "gru_64", "gru_256", "gru_1024"]


@pytest.mark.slow
def test_a_measurement_writes_numbers_page_and_picture(tmp_path, capsys):
    flags = ["--experiment=runtime", "--scale=smoke", "--only=s5", f"--output_dir={tmp_path}"]
    assert reproduce.main(["reproduce", *flags]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"smoke.json", "smoke.md", "smoke.png"}
    assert "| 64 | " in capsys.readouterr().out


def test_every_case_is_a_memory_at_a_length():
    assert len(runtime_suite.CASES) == len(runtime_suite.MEMORIES) * len(runtime_suite.LENGTHS)
    assert runtime_suite.CASES["lstm_4096"] == {"memory": "lstm", "length": 4096}

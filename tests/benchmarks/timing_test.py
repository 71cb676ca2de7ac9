"""Times of calls."""

import pytest

from benchmarks import timing


@pytest.fixture
def clock(monkeypatch):
    """Calls that take 8, 1, 3 and 2 seconds."""
    ticks = iter([0.0, 8.0, 20.0, 21.0, 30.0, 33.0, 40.0, 42.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))


def test_the_first_call_is_timed_apart(clock):
    calls = []
    first, later = timing.first_and_later_seconds(lambda: calls.append(1), repeats=3)
    assert (first, later) == (8.0, [1.0, 3.0, 2.0])
    assert len(calls) == 4


def test_the_first_call_is_left_out(clock):
    assert timing.seconds_of_calls(lambda: None, repeats=2) == [1.0, 3.0]


def test_median_and_spread():
    assert timing.milliseconds("x", [0.001, 0.009, 0.002]) == pytest.approx(
        {"x_ms": 2.0, "x_min_ms": 1.0, "x_max_ms": 9.0}
    )
    assert timing.rates("y", [5.0, 1.0, 2.0]) == {"y_median": 2.0, "y_min": 1.0, "y_max": 5.0}

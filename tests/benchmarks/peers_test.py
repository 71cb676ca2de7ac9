"""Which peers there are, and how results compare with theirs."""

import importlib.util

from benchmarks import peers

CASES = {
    "x": {"peer": "memorax", "beside": "a"},
    "y": {"peer": "sb3-contrib", "beside": "a"},
    "z": {"peer": "memorax", "beside": "b"},
}


def test_a_rate_is_compared_with_that_of_each_peer_beside_it():
    results = {"a": {"rate": 12.0}, "b": {"rate": 1.0}, "x": {"rate": 4.0}, "y": {"rate": 24.0}}
    assert peers.ratio_lines(results, CASES, "rate") == [
        "a: 3.00 times as fast as x, 0.50 times as fast as y"
    ]


def test_a_smaller_time_is_faster():
    results = {"b": {"time": 2.0}, "z": {"time": 5.0}, "y": {"time": 1.0}}
    assert peers.ratio_lines(results, CASES, "time", smaller_is_faster=True) == [
        "b: 2.50 times as fast as z"
    ]


def test_what_a_reader_should_know_is_printed_once_for_each_measured_peer():
    assert peers.about_lines({"x": {}, "z": {}}, CASES) == [peers.PEERS["memorax"].about]
    assert peers.about_lines({"a": {}}, CASES) == []


def test_a_peer_is_installed_if_all_that_it_needs_is(monkeypatch):
    for there, expected in (({"sb3_contrib"}, False), ({"sb3_contrib", "popgym"}, True)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda n, t=there: n in t or None)
        assert peers.is_installed("sb3-contrib") is expected


def test_the_variables_of_a_peer_are_set_where_they_are_not(monkeypatch):
    monkeypatch.setattr(peers.importlib, "import_module", lambda name: name)
    for already, expected in ((None, "1"), ("3", "3")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if already is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", already)
        assert peers.load("sb3-contrib") == "benchmarks.sb3_peer"
        assert peers.os.environ["OMP_NUM_THREADS"] == expected

"""Groups of runs compared."""

import pytest

from keras_s5rl.runs import compare_runs
from keras_s5rl.runs.comparison import ScoredRun


def runs_of(scores):
    """Runs of `{(group, task): scores}`."""
    return [
        ScoredRun(f"{group}/{task}/{seed}", task, group, (seed,), (score,))
        for (group, task), of_group in scores.items()
        for seed, score in enumerate(of_group)
    ]


LOW, HIGH = [0.1, 0.2, 0.3, 0.15, 0.25], [0.7, 0.9, 0.8, 0.75, 0.85]


def test_groups_are_ordered_by_iqm_and_pairs_by_who_is_more_often_better():
    (section,) = compare_runs(runs_of({("a", "X"): LOW, ("b", "X"): HIGH}))["tasks"]
    assert [row["group"] for row in section["groups"]] == ["b", "a"]
    (pair,) = section["comparisons"]
    assert (pair["group"], pair["other"]) == ("b", "a")
    assert section["conclusion"] == ["On X b is better than a."]


def test_the_verdict_is_unknown_exactly_where_the_best_scores_show_nothing():
    for number, verdict in ((3, "unknown"), (4, "better")):
        scores = {("a", "X"): LOW[:number], ("b", "X"): HIGH[:number]}
        (pair,) = compare_runs(runs_of(scores))["tasks"][0]["comparisons"]
        assert pair["verdict"] == verdict


def test_p_values_are_corrected_for_the_number_of_pairs():
    """Three groups of four runs, wholly apart: 2 / 70 each, by three pairs."""
    scores = {
        (name, "X"): [index + seed / 10 for seed in range(4)] for index, name in enumerate("abc")
    }
    (section,) = compare_runs(runs_of(scores))["tasks"]
    for pair in section["comparisons"]:
        assert pair["smallest_p_value"] == pytest.approx(3 * 2 / 70)
        assert pair["p_value"] == pytest.approx(3 * 2 / 70, abs=0.02)
        assert pair["verdict"] == "unknown"
    (sentence,) = section["conclusion"]
    assert "of any two of the groups: it takes 5 or more of each" in sentence


def test_tasks_together_are_those_that_groups_with_several_share():
    scores = {(group, task): LOW[:2] for group in "ab" for task in "XY"}
    scores |= {("a", "Z"): LOW[:2], ("c", "X"): LOW[:2]}
    report = compare_runs(runs_of(scores))
    assert [section["tasks"] for section in report["tasks"]] == [["X"], ["Y"], ["Z"]]
    assert report["overall"]["tasks"] == ["X", "Y"]
    assert {row["group"] for row in report["overall"]["groups"]} == {"a", "b"}
    assert compare_runs(runs_of({("a", "X"): LOW}))["overall"] is None


def test_what_nothing_is_known_of_stays_empty():
    runs = [ScoredRun("a", "X", "g", (0,), (1.0,)), ScoredRun("b", "X", "g", (1,), (2.0,), 10, 3.0)]
    (row,) = compare_runs(runs)["tasks"][0]["groups"]
    assert (row["env_steps"], row["seconds"]) == (10, 3.0)
    (row,) = compare_runs(runs[:1])["tasks"][0]["groups"]
    assert (row["env_steps"], row["seconds"], row["iqm_interval"]) == (None, None, [1.0, 1.0])

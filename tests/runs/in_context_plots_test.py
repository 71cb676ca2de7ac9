"""Pictures of scores inside contexts."""

import copy

import numpy as np
import pytest
from matplotlib.axes import Axes

from keras_s5rl.runs import RunError, compare_in_context, plot_in_context

TRIALS, BINS = 4, 8


def scores(level):
    returns = np.linspace(0.0, level, TRIALS)
    return {
        "trial_return_mean": returns.tolist(),
        "trial_return_ci95": [0.1] * TRIALS,
        "binned": {
            "step": (np.arange(BINS) * 10 + 4.5).tolist(),
            "reward_mean": [level] * BINS,
            "reward_ci95": [0.05] * BINS,
        },
    }


def report(level=0.8, tiers=("T1", "T2"), tasks=("reacher_easy", "cartpole_$wingup")):
    return {
        "scores": [
            {"tier": tier, "task": task, "num_trials": TRIALS, "trial_steps": 20}
            | {"trained": scores(level), "fresh": scores(0.1)}
            for tier in tiers
            for task in tasks
        ]
    }


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: lines and bands, as `(style, places, values, ...)`, and legends."""
    seen = {"lines": [], "bands": []}
    plot, fill_between = Axes.plot, Axes.fill_between

    def note_line(axes, x, y, **style):
        if len(x):
            seen["lines"].append((style.get("linestyle", "-"), np.array(x), np.array(y)))
        return plot(axes, x, y, **style)

    def note_band(axes, x, low, high, **style):
        seen["bands"].append((np.array(low), np.array(high)))
        return fill_between(axes, x, low, high, **style)

    monkeypatch.setattr(Axes, "plot", note_line)
    monkeypatch.setattr(Axes, "fill_between", note_band)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_suffix_chooses_the_format_and_nothing_else_is_left(tmp_path, suffix, magic):
    output = tmp_path / f"scores{suffix}"
    plot_in_context(report(), output, title="projected_control, s5, $eed 0")
    assert output.read_bytes().startswith(magic)
    compare_in_context([("s5", report())], output, title="5 $")
    assert output.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [output]


def test_one_run_is_drawn_in_its_confidence_interval_beside_the_fresh_agent(tmp_path, drawn):
    plot_in_context(report(tiers=("T1",), tasks=("reacher_easy",)), tmp_path / "a.png")
    trials, steps = np.arange(1, TRIALS + 1), np.arange(BINS) * 10 + 4.5
    expected = [
        ("--", trials, np.linspace(0, 0.1, TRIALS)),
        ("-", trials, np.linspace(0, 0.8, TRIALS)),
        ("--", steps, np.full(BINS, 0.1)),
        ("-", steps, np.full(BINS, 0.8)),
    ]
    for (style, x, y), (style_wanted, x_wanted, y_wanted) in zip(
        drawn["lines"], expected, strict=True
    ):
        assert style == style_wanted
        np.testing.assert_allclose(x, x_wanted)
        np.testing.assert_allclose(y, y_wanted)
    (returns, rewards) = drawn["bands"]
    np.testing.assert_allclose(returns, np.linspace(0, 0.8, TRIALS) + [[-0.1], [0.1]])
    np.testing.assert_allclose(rewards, np.full(BINS, 0.8) + [[-0.05], [0.05]])


def test_seeds_are_a_mean_in_their_range_and_only_the_tier_is_drawn(tmp_path, drawn):
    runs = [("s5", report(0.4)), ("gru", report(0.2, tiers=("T2",))), ("s5", report(0.8))]
    compare_in_context(runs, tmp_path / "a.png", tier="T2")
    assert [style for style, _, _ in drawn["lines"]] == ["--", "-", "-"] * 4
    assert [y[-1] for _, _, y in drawn["lines"]] == pytest.approx([0.1, 0.6, 0.2] * 4)
    bands = [(low[-1], high[-1]) for low, high in drawn["bands"]]
    expected = [(0.4, 0.8), (0.1, 0.3), (0.4, 0.8), (0.15, 0.25)] * 2
    np.testing.assert_allclose(bands, expected)
    for lists in drawn.values():
        lists.clear()
    compare_in_context(runs, tmp_path / "a.png")
    assert [y[-1] for _, _, y in drawn["lines"]] == pytest.approx([0.1, 0.6] * 4)


def test_what_cannot_be_drawn_is_named(tmp_path):
    with pytest.raises(RunError, match=r"`tier` must be one .* of T1, T2\. Received: tier='T3'"):
        compare_in_context([("s5", report())], tmp_path / "a.png", tier="T3")
    longer = copy.deepcopy(report())
    longer["scores"][0]["num_trials"] += 1
    with pytest.raises(RunError, match=r"same length.*Received:.*\(4, 20\) and \(5, 20\)"):
        compare_in_context([("s5", report()), ("gru", longer)], tmp_path / "a.png")
    with pytest.raises(RunError, match="`output` must end"):
        plot_in_context(report(), tmp_path / "a.gif")
    with pytest.raises(RunError, match="at least one score"):
        plot_in_context({"scores": []}, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []

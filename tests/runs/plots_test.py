import sys

import numpy as np
import pytest
from matplotlib.image import imread

from keras_s5rl.runs import RunError, plot_learning_curve, plot_learning_curves


def run(offset=0.0, updates=50, **columns):
    returns = np.linspace(-1, 1, updates) + offset
    return {"env_steps": np.arange(1, updates + 1) * 64, "episode_return_mean": returns, **columns}


def shows(path, colour):
    return bool(((imread(path)[..., :3] * 255).round() == colour).all(-1).any())


BLUE, VERMILION, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")],
)
def test_the_suffix_chooses_the_format_and_nothing_else_is_left(tmp_path, suffix, magic):
    output = tmp_path / f"curves{suffix}"
    plot_learning_curves([("S5", run())], output, title="RepeatFirstEasy")
    assert output.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [output]


def test_each_label_has_a_colour_and_runs_of_one_label_share_it(tmp_path):
    runs = [("S5", run()), ("GRU", run(-0.5)), ("S5", run(0.2))]
    plot_learning_curves(runs, tmp_path / "curves.png")
    shown = [shows(tmp_path / "curves.png", colour) for colour in (BLUE, VERMILION, GREEN)]
    assert shown == [True, True, False]


def test_seeds_are_a_mean_with_a_band_from_the_lowest_to_the_highest(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    bands, lines = [], []
    fill_between, plot = Axes.fill_between, Axes.plot
    monkeypatch.setattr(
        Axes, "fill_between", lambda *a, **k: bands.append(a[1:]) or fill_between(*a, **k)
    )
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: lines.append(a[1:]) or plot(*a, **k))
    steps = np.array([0, 100, 200])
    short = {"env_steps": steps[:2], "episode_return_mean": np.array([0.0, 2.0])}
    long = {"env_steps": steps, "episode_return_mean": np.array([4.0, 4.0, 9.0])}
    plot_learning_curves([("S5", short), ("S5", long)], tmp_path / "curves.png")
    ((grid, low, high),) = bands
    np.testing.assert_allclose(grid, [0, 100])
    np.testing.assert_allclose(low, [0, 2])
    np.testing.assert_allclose(high, [4, 4])
    ((grid, mean),) = lines
    np.testing.assert_allclose(mean, [2, 3])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["S5", "S5", "S5"], "mean of 3 seeds,\nband from lowest to highest"),
        (["S5", "S5", "GRU"], "mean of 2 seeds,\nband from lowest to highest"),
        (["S5", "S5", "GRU", "GRU", "GRU"], "mean of the seeds,\nband from lowest to highest"),
        (["S5", "GRU"], ""),
    ],
)
def test_the_legend_says_what_a_band_is_and_of_how_many_seeds(
    labels, expected, tmp_path, monkeypatch
):
    from matplotlib.axes import Axes

    legends, legend = [], Axes.legend
    monkeypatch.setattr(Axes, "legend", lambda *a, **k: legends.append(legend(*a, **k)))
    plot_learning_curves([(label, run()) for label in labels], tmp_path / "curves.png")
    (drawn,) = legends
    assert drawn.get_title().get_text() == expected
    assert [text.get_text() for text in drawn.get_texts()] == list(dict.fromkeys(labels))


def test_the_seeds_of_one_run_are_drawn_as_several_runs_would_be(tmp_path):
    per_seed = np.stack([run()["episode_return_mean"], run(0.5)["episode_return_mean"]], axis=1)
    together = run(0.25, episode_return_mean_per_seed=per_seed)
    plot_learning_curves([("S5", together)], tmp_path / "together.png")
    plot_learning_curves([("S5", run()), ("S5", run(0.5))], tmp_path / "apart.png")
    np.testing.assert_array_equal(imread(tmp_path / "together.png"), imread(tmp_path / "apart.png"))


def test_evaluations_are_dashed_beside_the_return_in_training(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    dashed, plot = [], Axes.plot

    def note(axes, x, y, linestyle="-", **style):
        if linestyle == "--":
            dashed.append((list(x), list(y)))
        return plot(axes, x, y, linestyle=linestyle, **style)

    monkeypatch.setattr(Axes, "plot", note)
    scores = np.full(50, np.nan)
    scores[[0, 9, 49]] = [0.0, 1.0, 0.5]
    evaluated = run(eval_return_mean=scores)
    plot_learning_curves([("S5", evaluated), ("GRU", run())], tmp_path / "beside.png")
    assert dashed == [([64, 640, 3200], [0.0, 1.0, 0.5])]
    plot_learning_curves([("S5", evaluated)], tmp_path / "a.png", metric="eval_return_mean")
    plot_learning_curve(run(), tmp_path / "none.png")
    assert len(dashed) == 1
    plot_learning_curve(evaluated, tmp_path / "alone.png")
    assert len(dashed) == 2


def test_updates_without_a_value_are_left_out(tmp_path):
    with_gaps, without = run(), run()
    with_gaps["episode_return_mean"] = with_gaps["episode_return_mean"].copy()
    with_gaps["episode_return_mean"][[0, 10, 11, 49]] = np.nan
    known = np.isfinite(with_gaps["episode_return_mean"])
    without = {name: column[known] for name, column in without.items()}
    plot_learning_curve(with_gaps, tmp_path / "gaps.png")
    plot_learning_curve(without, tmp_path / "without.png")
    np.testing.assert_array_equal(imread(tmp_path / "gaps.png"), imread(tmp_path / "without.png"))


def test_a_run_in_which_no_episode_ended_is_drawn_empty(tmp_path):
    empty = run(episode_return_mean=np.full(50, np.nan))
    plot_learning_curve(empty, tmp_path / "alone.png")
    plot_learning_curves([("S5", empty), ("GRU", run())], tmp_path / "beside.png")
    assert not shows(tmp_path / "alone.png", BLUE)
    assert shows(tmp_path / "beside.png", VERMILION)


def test_labels_and_titles_are_text_and_not_formulas(tmp_path):
    plot_learning_curves([(r"$\bad$", run())], tmp_path / "a.svg", title=r"$\frac$ & 5_000")
    assert (tmp_path / "a.svg").exists()


@pytest.mark.parametrize(
    ("runs", "output", "message"),
    [
        ([], "a.png", "`runs` must hold at least one run"),
        ([("S5", run())], "a.gif", r"`output` must end in one of \.png.*Received: output="),
        ([("S5", {"loss": np.ones(2)})], "a.png", "'S5' has no column `episode_return_mean`"),
    ],
)
def test_what_cannot_be_drawn_is_named(tmp_path, runs, output, message):
    with pytest.raises(RunError, match=message):
        plot_learning_curves(runs, tmp_path / output)
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_pyplot_alone(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    plot_learning_curve(run(), tmp_path / "a.png")
    assert ("matplotlib.pyplot" in sys.modules) == before

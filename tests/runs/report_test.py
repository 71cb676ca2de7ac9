"""Reports of made-up runs, read back by Python's own parser of HTML."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from keras_s5rl.runs import write_report
from tests.support.report_pages import Page
from tests.support.small_runs import run_settings

EVIL = "</script><script>alert('1')</script>&amp;\"'"


def square(row):
    frame = np.full((20, 30, 3), 250, np.uint8)
    frame[5:15, row : row + 5] = (200, 30, 40)
    return frame


def made_up_episodes(**given):
    """Two episodes of 2 and 3 steps."""
    nan = np.nan
    return {
        **{"deterministic": True, "seed": 7, "policy_seed": 3, "seconds_per_step": 0.1},
        "frame": square,
        "episode": np.array([0, 0, 0, 1, 1, 1, 1]),
        "step": np.array([0, 1, 2, 0, 1, 2, 3]),
        "reward": np.array([0, 0.5, -1, 0, 0.25, 0.25, 1]),
        "episode_return": np.array([0, 0.5, -0.5, 0, 0.25, 0.5, 1.5]),
        "action": ["", "left", EVIL, "", "left", "left", "right"],
        "action_number": np.array([[nan], [0], [1], [nan], [0], [0], [1]]),
        "observation": np.array([[nan, nan], [0, 5], [1, 5], [nan, nan], [2, 5], [4, 5], [4, 5]]),
        "reset": np.array([0, 1, 0, 0, 1, 0, 0], bool),
        "trial_start": np.array([0, 0, 0, 0, 0, 1, 0], bool),
        "memory_norms": {"layer 1": np.array([0, 1, 2, 0, 1, 1.5, 1.75])},
        "time_constants": [("layer 1", np.array([10.0, 1000.0, np.inf, 100.0]))],
        **given,
    }


def made_up_run(label="s5", **given):
    metrics = {
        "env_steps": np.array([128, 256, 384]),
        "episode_return_mean": np.array([np.nan, 0.125, 0.123456789]),
        "wall_time_s": np.array([1.0, 2.0, 3.0]),
    }
    return {
        **{"label": label, "path": f"runs/{label}", "config": run_settings(seed=3)},
        **{"metrics": metrics, "best_evaluation": None, "best_policies": []},
        "evaluation": {"return_mean": 0.987654321, "return_ci95": 0.01, "num_episodes": 256},
        **{"command": f"train {label}", **given},
    }


def page_of(path, runs, **given):
    report = {
        **{"title": "title", "runs": runs, "differing": {}, "common": {"env": "CountRecallEasy"}},
        **{"episodes": None, "played_run": 0, **given},
    }
    write_report(report, path)
    return Page(path.read_text(encoding="utf-8"))


def test_scores_are_those_of_the_files(tmp_path):
    best = [{"update": 2, "eval_return_mean": 0.75}]
    runs = [made_up_run(), made_up_run("gru", evaluation=None, best_policies=best)]
    page = page_of(tmp_path / "report.html", runs)
    header, one, other = page.tables["scores"]
    assert header[:3] == ["run", "seed", "return"] and "best policy" not in header
    assert one[:3] == ["s5", "3", "0.988 ± 0.010"]
    assert other[header.index("best while training")] == "0.750 (update 2)"
    assert page.numbers["scores"][1:] == [
        [0.987654321, 0.01, 256, 0.123456789, 384, 3.0],
        [0.75, 2, 0.123456789, 384, 3.0],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_several_seeds_have_the_statistics_of_their_scores(tmp_path):
    scores = {"return_mean": 0.6, "return_ci95": 0.01, "num_episodes": 256}
    scores |= {"return_iqm": 0.7, "return_iqm_interval": [0.5, 0.9]}
    best = [{"update": 4, "eval_return_mean": 0.5}, {"update": 2, "eval_return_mean": 1.0}]
    page = page_of(tmp_path / "report.html", [made_up_run(evaluation=scores, best_policies=best)])
    header, row = page.tables["scores"]
    assert row[header.index("return")] == "0.700 [0.500, 0.900]"
    assert row[header.index("best while training")] == "0.750 (updates 2 to 4)"


def test_the_script_gets_the_numbers_of_the_episodes(tmp_path):
    given = made_up_episodes()
    page = page_of(tmp_path / "report.html", [made_up_run()], episodes=given)
    played = page.episode
    assert played["reward"] == given["reward"].tolist()
    assert played["return"] == given["episode_return"].tolist()
    assert [played["actionTexts"][index] for index in played["action"]] == given["action"]
    assert played["actionNumbers"] == [[None, 0, 1, None, 0, 0, 1]]
    assert played["memory"] == {"layer 1": [0, 1, 2, 0, 1, 1.5, 1.75]}
    assert (played["resets"], played["trials"]) == ([1, 4], [5])
    assert (played["step"], played["seconds"]) == (given["step"].tolist(), 0.1)
    bytes_of_strip = np.frombuffer(base64.b64decode(played["observation"]["pixels"]), np.uint8)
    assert bytes_of_strip.reshape(2, 7).tolist() == [[0, 0, 64, 0, 128, 255, 255], [0] * 7]
    rows = page.numbers["time_constants_table"]
    assert rows[1] == [4, 10.0, 1000.0]  # the longest is infinite


def test_a_picture_is_the_frame_of_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_s5rl.runs.report_player._MOST_PICTURES", 4)
    page = page_of(tmp_path / "report.html", [made_up_run()], episodes=made_up_episodes())
    pictures = page.episode["pictures"]
    assert (pictures["rows"], pictures["stride"]) == ([0, 2, 3, 5, 6], 2)
    for row, address in zip(pictures["rows"], pictures["images"], strict=True):
        encoded = address.removeprefix("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            shown = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(shown - square(row)).max() <= 16


def test_an_environment_without_pictures_has_its_observations(tmp_path):
    many = np.zeros((7, 65))
    for given in (made_up_episodes(frame=None), made_up_episodes(frame=None, observation=many)):
        page = page_of(tmp_path / "report.html", [made_up_run()], episodes=given)
        assert page.episode["pictures"] is None
        assert (page.episode["observation"] is None) == (given["observation"] is many)


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    page = page_of(tmp_path / "report.html", [made_up_run()], episodes=made_up_episodes())
    loading = {"src", "srcset", "href", "xlink:href", "action", "formaction", "poster", "data"}
    for tag, name, value in page.attributes:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if name in loading:
            assert value.startswith(("#", "data:")), (tag, name, value)
        else:
            assert not re.search(r"url\((?!#)", value or ""), (tag, name, value)
    assert not re.search(r"url\(|@import", "".join(page.styles))
    assert not re.search(r"fetch\(|import\(|XMLHttp|https?:", page.scripts[-1])


def test_the_ids_of_a_page_are_there_once_and_references_lead_to_them(tmp_path):
    page = page_of(tmp_path / "report.html", [made_up_run()], episodes=made_up_episodes())
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in page.attributes:
        for found in re.findall(r"url\(#([^)]+)\)", value or ""):
            assert found in ids
        if name == "xlink:href":
            assert value[1:] in ids


def test_text_of_files_stays_text(tmp_path):
    run = made_up_run(EVIL, path=EVIL, command=EVIL, config=run_settings(env=EVIL, device=EVIL))
    settings = {"differing": {EVIL: [EVIL]}, "common": {EVIL: EVIL}, "title": EVIL}
    plain = page_of(tmp_path / "plain.html", [made_up_run()], episodes=made_up_episodes())
    page = page_of(tmp_path / "report.html", [run], episodes=made_up_episodes(), **settings)
    assert len(page.scripts) == len(plain.scripts) == 2
    assert page.scripts[1] == plain.scripts[1]
    assert page.tables["differing"] == [["setting", EVIL], [EVIL, EVIL]]
    assert page.tables["common"][1] == [EVIL, EVIL]
    assert page.commands == [EVIL] and EVIL in page.episode["actionTexts"]
    assert page.tables["machine"][0][1] == EVIL


def test_without_an_episode_there_is_no_script(tmp_path):
    page = page_of(tmp_path / "report.html", [made_up_run(metrics={}, evaluation=None)])
    assert page.headings == ["Scores", "Settings", "Machine", "Run it again"]
    assert page.episode == {} and page.scripts[1].strip() == ""


def test_a_failure_leaves_the_old_report_alone(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    metrics = {"env_steps": [1, "two"], "episode_return_mean": ["three", 4]}
    with pytest.raises(ValueError, match="must be numbers"):
        page_of(path, [made_up_run(metrics=metrics)])
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]

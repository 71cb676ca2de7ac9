"""The benchmark of the environments. No number is judged here, only that each is there."""

import json
import sys

import gymnasium
import numpy as np
import pytest
from keras import ops

from benchmarks import benchmark, env_suite
from keras_s5rl import random
from keras_s5rl.envs.control.tasks import TASKS
from tests.envs.popgym.families import FAMILIES


def test_the_cases_are_all_environments_of_popgym_and_of_control():
    names = {family + level for family in FAMILIES for level in ("Easy", "Medium", "Hard")}
    assert set(env_suite.CASES) == names | {*TASKS, "projected_cartpole", "projected_control"}
    assert all(case["env"] == name for name, case in env_suite.CASES.items())


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(env_suite, "_MIN_BATCHED_STEPS", 4)
    monkeypatch.setattr(env_suite, "_MIN_SINGLE_STEPS", 4)


class Counting(gymnasium.Env):
    """An environment of another package: every second step ends an episode."""

    observation_space = action_space = gymnasium.spaces.Discrete(4)
    steps = resets = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Counting.resets += 1
        return 0, {}

    def step(self, action):
        Counting.steps += 1
        return 0, 0.0, self.steps % 2 == 0, False, {}


@pytest.fixture
def popgym(monkeypatch):
    """A stand-in for popgym, installed or not."""
    monkeypatch.setattr(Counting, "steps", 0)
    monkeypatch.setattr(Counting, "resets", 0)
    make = gymnasium.make

    def make_either(env_id, **options):
        return Counting() if env_id.startswith("popgym:") else make(env_id, **options)

    monkeypatch.setattr(env_suite.gymnasium, "make", make_either)


@pytest.mark.slow
def test_a_case_reports_steps_a_second_beside_popgym(few_steps, popgym, monkeypatch, capsys):
    argv = ["benchmark.py", "--suite=env", "--only=MineSweeperEasy", "--repeats=3", "--json=-"]
    assert benchmark.main(argv) == 0
    result = json.loads(capsys.readouterr().out)["results"]["MineSweeperEasy"]
    assert set(env_suite.COLUMNS) <= set(result)
    for name in ("batched_64", "batched_1024", "single", "popgym"):
        rates = [result[f"{name}_{kind}"] for kind in ("min", "median", "max")]
        assert rates == sorted(rates) and rates[0] > 0
    assert result["ratio"] == result["batched_1024_median"] / result["popgym_median"]
    # Warming up twice and three measurements of 14 steps, the longest episode, each from a reset.
    assert Counting.steps == 5 * 14 and Counting.resets == 1 + 5 * (1 + 7)
    assert "ratio" in env_suite.note({"MineSweeperEasy": result})


@pytest.mark.slow
def test_without_popgym_its_columns_are_empty_and_a_line_says_how_to_install_it(
    few_steps, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "popgym", None)
    assert benchmark.main(["b", "--suite=env", "--only=MineSweeperEasy", "--repeats=1"]) == 0
    heading, row, note = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "case" and row.split()[-2:] == ["-", "-"]
    assert note == "popgym is not installed: pip install 'keras-s5rl[popgym]'"


@pytest.mark.parametrize(
    "space",
    [
        gymnasium.spaces.Discrete(5),
        gymnasium.spaces.MultiDiscrete([2, 3]),
        gymnasium.spaces.Box(np.float32([-2.0, 1.0]), np.float32([2.0, 3.0])),
    ],
)
def test_random_actions_are_legal_and_fill_the_space(space):
    actions = ops.convert_to_numpy(env_suite._draw_actions(space, random.key(1), 400))
    assert actions.shape == (400, *space.shape)
    assert all(space.contains(action.astype(space.dtype)) for action in actions)
    if isinstance(space, gymnasium.spaces.Box):
        np.testing.assert_allclose(actions.min(0), space.low, atol=0.05)
        np.testing.assert_allclose(actions.max(0), space.high, atol=0.05)
    else:
        sizes = np.atleast_1d(space.n if hasattr(space, "n") else space.nvec)
        columns = actions.reshape(400, -1).T
        assert [len(set(column)) for column in columns] == sizes.tolist()

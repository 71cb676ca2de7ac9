"""Scores of a policy trial by trial inside contexts."""

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, backend, envs, random
from keras_s5rl.training import evaluate_in_context, in_context
from tests.support.small_runs import small_config

pytestmark = pytest.mark.not_on_tensorflow

TRIALS, STEPS, MAX_REWARD = 3, 4, 2.0
NEW_TASKS = [
    *("cartpole_two_poles", "reacher_hard", "cartpole_swingup_sparse", "cartpole_balance_sparse"),
    "cartpole_three_poles",
]


class TwoTrades(envs.Environment):
    """Each step of the first task rewards action 1, of all others action 0, while a trial lasts.

    In the bank every eighth context is of the last task, and trials have lengths that follow
    from the number of the context.
    """

    def __init__(
        self, tasks=("acrobot_swingup", "reacher_easy"), tier="train", strength=0.5, size=9
    ):
        if tier not in ("train", "T1", "T2", "T3"):
            raise ValueError(f"`tier` is not known. Received: tier={tier}")
        if size < 11 and "cartpole_three_poles" in tasks:
            raise ValueError(f"`size` should be at least 11. Received: size={size}")
        self.tasks, self.tier, self.strength = tuple(tasks), tier, strength
        self.num_trials, self.trial_steps, self.max_reward = TRIALS, STEPS, MAX_REWARD
        self.max_episode_steps = TRIALS * STEPS
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,))
        self.action_space = gymnasium.spaces.Discrete(2)
        self.size = size

    def draw_initial(self, key, num_envs):
        task = random.randint(key, (num_envs,), 0, len(self.tasks))
        return {"task": task, "lengths": ops.full((num_envs, TRIALS), STEPS, dtype="int32")}

    def draw_bank(self, num_envs):
        index = np.arange(num_envs, dtype="int32")
        task = np.where(index % 8 == 7, len(self.tasks) - 1, index % max(len(self.tasks) - 1, 1))
        draws = {"task": task.astype("int32"), "lengths": bank_lengths(index).astype("int32")}
        return {name: ops.convert_to_tensor(draw) for name, draw in draws.items()}

    def initial(self, draws):
        zeros = ops.zeros_like(draws["task"])
        return {**draws, "trial": zeros, "trial_step": zeros + 0, "over": zeros > 0}

    def transition(self, state, action, draws):
        right = ops.equal(action, ops.where(ops.equal(state["task"], 0), 1, 0))
        reward = ops.where(right, MAX_REWARD, 0.0)
        trial = ops.expand_dims(ops.minimum(state["trial"], TRIALS - 1), 1)
        length = ops.take_along_axis(state["lengths"], trial, axis=1)[:, 0]
        trial_over = state["trial_step"] + 1 >= length
        trial = state["trial"] + ops.cast(trial_over, "int32")
        over = trial >= TRIALS
        step = ops.where(trial_over, 0, state["trial_step"] + 1)
        state = {**state, "trial": trial, "trial_step": step, "over": over}
        return state, reward, ops.zeros_like(over), over

    def observation(self, state):
        return ops.zeros((state["task"].shape[0], self.size))

    def discount(self, state):
        return ops.ones_like(state["task"], dtype="float32")

    def info(self, state):
        return {name: state[name] for name in ("task", "trial", "trial_step")}


class NoTiers(TwoTrades):
    """The same with one task, which has no name and no tiers."""

    def __init__(self, size=9):
        super().__init__(size=size)
        del self.tier, self.max_reward
        self.tasks = ()


def bank_lengths(index):
    return 1 + (index[:, None] * 5 + np.arange(TRIALS) * 3) % STEPS


@pytest.fixture(scope="module", autouse=True)
def registered():
    envs.register_env("two_trades", TwoTrades)
    envs.register_env("no_tiers", NoTiers)


def agent_for(env, log_odds=None, seed=0, **env_args):
    """An agent that takes action 1 with these odds, whatever it sees."""
    config = small_config(observe_previous_action=False)
    agent = PPO(env, env_args, memory="mlp", config=config, seed=seed)
    if log_odds is not None:
        for variable in agent.policy.trainable_variables:
            variable.assign(np.zeros(variable.shape))
        agent.policy.actor[-1].bias.assign([0.0, log_odds])
    return agent


@pytest.mark.slow
def test_each_task_is_scored_alone_on_the_first_of_its_contexts_in_the_bank():
    report = evaluate_in_context(agent_for("two_trades", np.log(3.0)), 40, env_args={"tier": "T1"})
    common, rare = report["scores"]
    assert (common["task"], rare["task"]) == ("acrobot_swingup", "reacher_easy")
    index = np.arange(400)
    for score, numbers, reward, sampled in (
        (common, index[index % 8 != 7][:40], 1.0, 0.75),
        (rare, index[index % 8 == 7][:40], 0.0, 0.25),
    ):
        trained, lengths = score["trained"], bank_lengths(numbers)
        expected = reward * lengths.mean(axis=0) / STEPS
        np.testing.assert_allclose(trained["trial_return_mean"], expected, atol=1e-6)
        assert trained["return_mean"] == pytest.approx(expected.mean(), abs=1e-6)
        under_way = lengths.sum(axis=1, keepdims=True) > np.arange(TRIALS * STEPS)
        assert trained["count"] == under_way.sum(axis=0).tolist()
        assert set(trained["reward_mean"]) <= {reward, None}
        other = trained["other_mode"]
        assert other["deterministic"] is False
        expected, num_steps = sampled * lengths.mean() / STEPS, lengths.sum()
        assert abs(other["return_mean"] - expected) < 4 * 0.44 / num_steps**0.5
        assert (score["num_trials"], score["trial_steps"]) == (TRIALS, STEPS)


@pytest.mark.slow
def test_the_modes_can_be_played_the_other_way_around():
    agent = agent_for("two_trades", np.log(3.0))
    first, second = (
        evaluate_in_context(agent, 8, mode, {"tier": "T1"})["scores"][0]["trained"]
        for mode in (True, False)
    )
    for one, other in ((first, second), (second, first)):
        assert one["return_mean"] == other["other_mode"]["return_mean"]
        assert one["trial_return_mean"] == other["other_mode"]["trial_return_mean"]
    assert second["other_mode"]["deterministic"] is True


@pytest.mark.slow
def test_the_fresh_agent_is_the_one_from_before_the_training():
    never_trained = agent_for("two_trades", seed=5)
    expected = evaluate_in_context(never_trained, 8, env_args={"tier": "T1"})["scores"]
    scores = evaluate_in_context(agent_for("two_trades", 9.0, seed=5), 8, env_args={"tier": "T1"})
    for score, of_never_trained in zip(scores["scores"], expected, strict=True):
        assert score["fresh"] == of_never_trained["trained"] == of_never_trained["fresh"]
        assert score["fresh"]["other_mode"] != score["trained"]["other_mode"]


@pytest.mark.slow
def test_every_tier_is_played_by_one_program_without_the_curriculum(monkeypatch):
    compiled, compile_function = [], backend.compile

    def count(function):
        compiled.append(function)
        return compile_function(function)

    monkeypatch.setattr(backend, "compile", count)
    report = evaluate_in_context(agent_for("two_trades", 9.0, size=10), 3)
    assert len(compiled) == 3
    trained_on = ["acrobot_swingup", "reacher_easy"]
    played = [("T1", task) for task in trained_on] + [("T2", task) for task in NEW_TASKS[:-1]]
    played += [("T3", task) for task in trained_on]
    assert [(score["tier"], score["task"]) for score in report["scores"]] == played
    (skipped,) = report["skipped"]
    assert (skipped["tier"], skipped["task"]) == ("T2", "cartpole_three_poles")
    assert "at least 11" in skipped["reason"]
    arguments = {score["tier"]: score["env_args"] for score in report["scores"]}
    assert arguments == {
        "T1": {"size": 10, "strength": 1.0, "tier": "T1", "tasks": trained_on},
        "T2": {"size": 10, "strength": 1.0, "tier": "T2", "tasks": NEW_TASKS[:-1]},
        "T3": {"size": 10, "strength": 1.0, "tier": "T3", "tasks": trained_on},
    }
    assert {name: report[name] for name in ("env", "env_args", "memory", "num_contexts")} == {
        "env": "two_trades",
        "env_args": {"size": 10},
        "memory": "mlp",
        "num_contexts": 3,
    }


@pytest.mark.slow
def test_tasks_of_a_run_are_kept_but_for_new_tasks_and_arguments_take_their_place():
    agent = agent_for("two_trades", tasks=["reacher_easy"], size=11)

    def tiers(**env_args):
        played, skipped = in_context._tiers(agent, env_args)
        return [(tier, list(env.tasks), env.strength) for tier, env, _ in played], len(skipped)

    kept = ["reacher_easy"]
    assert tiers() == ([("T1", kept, 1.0), ("T2", NEW_TASKS, 1.0), ("T3", kept, 1.0)], 0)
    assert tiers(tier="T3", strength=0.2) == ([("T3", kept, 0.2)], 0)
    assert tiers(tier="T2", tasks=["pendulum_swingup"]) == (
        [("T2", ["pendulum_swingup"], 1.0)],
        0,
    )


@pytest.mark.slow
def test_the_tiers_of_projected_control():
    agent = PPO(
        "projected_control",
        {"projected_size": 8, "tasks": ["reacher_easy"], "strength": "mixed"},
        memory="mlp",
        config=small_config(),
    )
    tiers, skipped = in_context._tiers(agent, {"num_trials": 2})
    played = [
        (tier, env.tier, list(env.tasks), env.strength, env.num_trials) for tier, env, _ in tiers
    ]
    assert played == [
        ("T1", "T1", ["reacher_easy"], 1.0, 2),
        ("T2", "T2", NEW_TASKS[:-1], 1.0, 2),
        ("T3", "T3", ["reacher_easy"], 1.0, 2),
    ]
    assert [task["task"] for task in skipped] == ["cartpole_three_poles"]


def test_an_environment_without_tiers_has_one_and_rewards_as_they_are():
    report = evaluate_in_context(agent_for("no_tiers", 9.0), 5)
    (score,) = report["scores"]
    assert (score["tier"], score["task"]) == ("T1", "no_tiers")
    assert score["trained"]["count"][0] == 5
    assert set(score["trained"]["reward_mean"]) <= {0.0, MAX_REWARD, None}


def test_a_policy_of_the_users_own_is_scored_beside_a_new_one_of_its_class():
    drawn = agent_for("no_tiers", 9.0).policy
    config = small_config(observe_previous_action=False)
    given = PPO("no_tiers", config=config, policy=drawn, seed=3)
    (score,) = evaluate_in_context(given, 5)["scores"]
    (expected,) = evaluate_in_context(agent_for("no_tiers", 9.0), 5)["scores"]
    assert score["trained"] == expected["trained"]
    assert score["fresh"]["reward_mean"] != score["trained"]["reward_mean"]


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        ("RepeatPreviousEasy", {}, "`env` should be made of trials.*num_trials.*Received: env="),
        ("no_tiers", {"num_contexts": 0}, "`num_contexts` should be a positive integer"),
        ("no_tiers", {"env_args": {"size": 3}}, "`env` should have the spaces"),
        ("no_tiers", {"env_args": {"trials": 3}}, "`env_args` should fit"),
        ("two_trades", {"env_args": {"tier": "T9"}}, "`tier`"),
    ],
)
def test_what_cannot_be_scored_is_named(env, arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate_in_context(agent_for(env), **arguments)


def test_a_tier_of_which_no_task_fits_says_why(monkeypatch):
    tier = in_context.TIERS["T2"]
    monkeypatch.setitem(in_context.TIERS, "T2", type(tier)(("cartpole_three_poles",), tier.bank))
    with pytest.raises(ValueError, match="`size` should be at least 11"):
        evaluate_in_context(agent_for("two_trades"), 3, env_args={"tier": "T2"})

"""Scores of a policy."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, envs, random
from keras_s5rl.training import agent_evaluation, ppo
from keras_s5rl.training.evaluation import compile_episodes, summarize
from keras_s5rl.training.recording import record_episodes
from tests.envs.counting import Counting, broken
from tests.support.small_runs import STEPS, as_bytes, small_config, without_times

pytestmark = pytest.mark.not_on_tensorflow


class KnownReturns(envs.Environment):
    """Episode `i` lasts `1 + i % 7` steps, rewards each with `i + 1`, and past its end with NaN.

    Odd episodes are terminated, even ones truncated. The observation is a number that was drawn.
    """

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), "float32")
    action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 7

    def draw_initial(self, key, num_envs):
        return {
            "index": ops.arange(num_envs, dtype="int32"),
            "mark": random.uniform(key, (num_envs,)),
        }

    def initial(self, draws):
        never = ops.zeros_like(draws["index"], dtype="bool")
        return {**draws, "time": ops.zeros_like(draws["index"]), "terminated": never}

    def transition(self, state, action, draws):
        time = state["time"] + 1
        length = 1 + state["index"] % 7
        reward = ops.cast(state["index"] + 1, "float32")
        reward = ops.where(time > length, float("nan"), reward)
        over, odd = time >= length, state["index"] % 2 == 1
        terminated = ops.logical_and(over, odd)
        truncated = ops.logical_and(over, ops.logical_not(odd))
        return {**state, "time": time, "terminated": terminated}, reward, terminated, truncated

    def observation(self, state):
        return state["mark"][:, None]


class RewardIsMark(KnownReturns):
    """Episodes of one step, whose return is the number that was drawn at its start."""

    max_episode_steps = 1

    def transition(self, state, action, draws):
        over = ops.ones_like(state["terminated"])
        return {**state, "terminated": over}, state["mark"], over, ops.logical_not(over)


class RewardIsAction(KnownReturns):
    """Episodes of seven steps that reward action 1."""

    def transition(self, state, action, draws):
        time = state["time"] + 1
        over = time >= 7
        state = {**state, "time": time, "terminated": over}
        return state, ops.cast(action, "float32"), over, ops.zeros_like(over)


def agent_for(env, **settings):
    return PPO(env, memory="mlp", config=small_config(**settings))


@pytest.mark.parametrize("num_episodes", [1, 20])
def test_every_episode_counts_once_and_to_its_own_end(num_episodes):
    report = agent_for(KnownReturns()).evaluate(num_episodes)
    lengths = [1 + i % 7 for i in range(num_episodes)]
    returns = [(i + 1) * length for i, length in enumerate(lengths)]
    assert report["returns"] == returns
    assert report["length_mean"] == pytest.approx(np.mean(lengths))
    assert report["return_mean"] == pytest.approx(np.mean(returns))
    std = np.std(returns, ddof=1) if num_episodes > 1 else 0.0
    assert report["return_std"] == pytest.approx(std)
    assert report["return_ci95"] == pytest.approx(1.96 * std / num_episodes**0.5)
    assert report["num_episodes"] == num_episodes and report["env"] == "KnownReturns"


def test_the_numbers_of_a_report_are_plain():
    report = summarize(np.array([1, 2], "float32"), np.array([3, 4], "float32"))
    assert {type(value) for value in report.values()} == {float}


def test_the_mode_is_the_most_probable_action_and_draws_follow_the_probabilities():
    agent = agent_for(RewardIsAction())
    for variable in agent.policy.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    outputs = agent.policy.actor[-1]
    outputs.bias.assign([0.0, -1.0])  # action 1 with probability 1 / (1 + e)
    report = agent.evaluate(400)
    assert report["deterministic"] is True and report["return_mean"] == 0.0
    other = report["other_mode"]
    expected = 7 / (1 + np.e)
    assert other["deterministic"] is False
    assert abs(other["return_mean"] - expected) < 4 * other["return_std"] / 20
    assert other["return_std"] == pytest.approx(np.sqrt(7 * np.e) / (1 + np.e), rel=0.15)
    sampled = agent.evaluate(400, deterministic=False)
    assert {name: sampled[name] for name in ("return_mean", "return_std")} == {
        name: other[name] for name in ("return_mean", "return_std")
    }
    assert sampled["other_mode"]["return_mean"] == 0.0


def test_the_memory_begins_empty_and_lives_through_an_episode():
    """An agent that acts on its own count of steps: a policy double whose state counts."""

    class Counting:
        variables = ()

        class distribution:
            @staticmethod
            def mode(parameters):
                return parameters

            @staticmethod
            def sample(parameters, key):
                return parameters

        def get_initial_state(self, batch_size):
            return [ops.full((batch_size,), 100, dtype="int32")]

        def step(self, observation, reset, state):
            count = ops.where(reset, 0, state[0]) + 1
            return count, None, [count]

    environment = envs.AgentView(RewardIsAction())
    play = compile_episodes(environment, Counting(), 3)
    ((returns, lengths),) = play(Counting(), random.key(0), (True,))
    assert returns.tolist() == [1 + 2 + 3 + 4 + 5 + 6 + 7] * 3 and lengths.tolist() == [7] * 3


@pytest.mark.slow
def test_evaluation_never_plays_an_episode_of_training():
    agent = agent_for(RewardIsMark())
    agent.fit(STEPS, verbose=False)
    _, arrays, _ = agent.snapshot()
    seen = {mark for name in arrays if name.endswith("mark") for mark in arrays[name].tolist()}
    assert len(seen) >= 8
    played = agent.evaluate(256)["returns"]
    assert len(set(played)) > 250 and not seen & set(played)
    assert agent.evaluate(256)["returns"] == played
    assert PPO(RewardIsMark(), memory="mlp", config=small_config(), seed=1).evaluate(256)[
        "returns"
    ] != pytest.approx(played)


def test_evaluation_and_training_draw_from_different_keys(monkeypatch):
    keys = []

    def note(key):
        keys.append(tuple(np.asarray(key).tolist()))
        raise InterruptedError

    play = lambda policy, key, modes: note(key)  # noqa: E731
    monkeypatch.setattr(
        agent_evaluation, "compile_episodes", lambda view, policy, num_episodes: play
    )
    monkeypatch.setattr(ppo.Learner, "initial_state", lambda learner, key: note(key))
    for seed in (0, 1):
        agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config(), seed=seed)
        with pytest.raises(InterruptedError):
            agent.evaluate(4)
        with pytest.raises(InterruptedError):
            agent.fit(STEPS, verbose=False)
    assert len(set(keys)) == 4


@pytest.mark.slow
def test_an_evaluation_in_the_middle_changes_nothing_bit_for_bit():
    def train(*callbacks):
        agent = agent_for("RepeatPreviousEasy")
        history = agent.fit(8 * STEPS, log_every=2, callbacks=callbacks, verbose=False)
        return history.history, as_bytes(agent.snapshot()[1])

    class Evaluate(keras.callbacks.Callback):
        returns = []

        def on_epoch_end(self, epoch, logs=None):
            self.returns.append(agent.evaluate(16, deterministic=False)["returns"])

    agent = agent_for("RepeatPreviousEasy")
    history = agent.fit(8 * STEPS, log_every=2, callbacks=[Evaluate()], verbose=False)
    plain_history, plain_arrays = train()
    assert as_bytes(agent.snapshot()[1]) == plain_arrays
    np.testing.assert_equal(without_times(history.history), without_times(plain_history))
    assert len(Evaluate.returns) == 4 and Evaluate.returns[0] != Evaluate.returns[-1]


@pytest.mark.slow
def test_another_environment_must_fit_the_policy():
    agent = agent_for("RepeatPreviousEasy")
    report = agent.evaluate(3, env="RepeatPreviousMedium")
    assert report["env"] == "RepeatPreviousMedium" and report["length_mean"] == 2 * 52 - 1
    report = agent.evaluate(3, env_args={"num_decks": 2})
    assert report["env"] == "RepeatPreviousEasy" and report["length_mean"] == 2 * 52 - 1
    with pytest.raises(ValueError, match="`env` should have the spaces"):
        agent.evaluate(3, env="PositionOnlyCartPoleEasy")
    with pytest.raises(ValueError, match="`env_args`"):
        agent_for(KnownReturns()).evaluate(3, env_args={"k": 1})


@pytest.mark.slow
def test_the_own_name_keeps_the_arguments_of_the_run_and_all_that_decides_is_reported():
    agent = PPO("RepeatPreviousEasy", {"num_decks": 2}, "mlp", small_config(), seed=3)
    own, named = agent.evaluate(3), agent.evaluate(3, env="RepeatPreviousEasy")
    assert named == own and own["length_mean"] == 2 * 52 - 1
    decided = {
        "env": "RepeatPreviousEasy",
        "env_args": {"num_decks": 2, "k": 4},
        "num_episodes": 3,
        "deterministic": True,
        "seed": 3,
        "update": 0,
        "env_steps": 0,
    }
    assert list(own.items())[:7] == list(decided.items())
    given = agent.evaluate(3, env="RepeatPreviousEasy", env_args={"k": 2})
    assert given["env_args"] == {"num_decks": 1, "k": 2} and given["length_mean"] == 51
    assert agent.evaluate(3, env_args={}) == agent.evaluate(3, env_args={"num_decks": 1})
    other = agent.evaluate(3, env="RepeatPreviousMedium")
    assert other["env_args"] == {"num_decks": 2, "k": 32}
    assert agent_for(KnownReturns()).evaluate(3)["env_args"] is None


def test_a_seed_stands_for_a_set_of_episodes_and_none_for_the_agents_own():
    agent = PPO(RewardIsMark(), memory="mlp", config=small_config(), seed=6)
    own = agent.evaluate(5)
    assert agent.evaluate(5, seed=6) == own and own["seed"] == 6
    others = [agent.evaluate(5, seed=seed) for seed in (0, 1, 2**32 - 1)]
    assert [report["seed"] for report in others] == [0, 1, 2**32 - 1]
    assert len({tuple(report["returns"]) for report in [own, *others]}) == 4
    assert agent.evaluate(5, seed=1) == others[1]


@pytest.mark.slow
def test_a_name_that_is_registered_anew_is_another_environment():
    agent = agent_for("RepeatPreviousEasy")
    make = envs.make
    for num_decks in (1, 2):

        def factory(n=num_decks):
            return make("RepeatPreviousEasy", num_decks=n)

        factory.__qualname__ = "factory"  # as a reloaded module defines it
        envs.register_env("mine", factory)
        report = agent.evaluate(3, env="mine")
        assert report["length_mean"] == 52 * num_decks - 1
        assert report["env_args"] == {"n": num_decks}


@pytest.mark.slow
def test_an_agent_that_does_not_see_its_actions_is_trained_scored_and_recorded(tmp_path):
    agent = agent_for("PositionOnlyPendulumEasy", observe_previous_action=False)
    seeing = agent_for("PositionOnlyPendulumEasy")
    assert agent.policy.observation_size == seeing.policy.observation_size - 1 == 4
    agent.fit(STEPS, verbose=False)
    assert len(agent.evaluate(3)["returns"]) == 3
    env = envs.make("PositionOnlyPendulumEasy", max_episode_steps=5)
    assert len(record_episodes(agent.policy, env, tmp_path, 1)) == 1


@pytest.mark.parametrize("num_episodes", [0, -1, 2.0, True, "8"])
def test_the_number_of_episodes_is_a_positive_integer(num_episodes):
    agent = agent_for("RepeatPreviousEasy")
    with pytest.raises(ValueError, match="`num_episodes` should be a positive integer. Received"):
        agent.evaluate(num_episodes)


@pytest.mark.slow
def test_an_episode_that_never_ends_is_trained_and_scored_up_to_its_time_limit():
    agent = PPO(Counting(), config=small_config())
    history = agent.fit(4 * STEPS, verbose=False, log_every=1).history
    assert sum(history["episodes"]) > 0
    assert {length for length in history["episode_length_mean"] if length == length} == {7.0}
    report = agent.evaluate(num_episodes=5)
    assert report["returns"] == [7.0] * 5
    assert report["length_mean"] == report["other_mode"]["length_mean"] == 7.0


@pytest.mark.slow
@pytest.mark.parametrize("high", [2.0, -1.0])
def test_training_and_scores_are_of_actions_within_their_box(high):
    # A step pays the action, so that no score lies out of the bounds of seven of them.
    env = broken(action_space=gymnasium.spaces.Box(-1.0, high, (1,)))
    agent = PPO(env, config=small_config(initial_log_std=2.0))
    agent.fit(2 * STEPS, verbose=False)
    returns = agent.evaluate(num_episodes=64, deterministic=False)["returns"]
    assert min(returns) >= -7.0 and max(returns) <= 7.0 * high
    if high == -1.0:
        assert set(returns) == {-7.0}

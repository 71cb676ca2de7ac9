"""Scores of a policy in environments of Gymnasium."""

import contextlib
import functools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from keras import ops

from keras_s5rl import envs
from keras_s5rl.backend.programs import Programs
from keras_s5rl.layers import S5Stack
from keras_s5rl.models import ActorCritic, distribution_for
from keras_s5rl.training.gymnasium_evaluation import evaluate_gymnasium

pytestmark = pytest.mark.not_on_tensorflow


class Cards(gymnasium.Env):
    """Episodes of 1 to 6 steps of random cards; the reward encodes card, action and time."""

    observation_space = spaces.Tuple((spaces.Discrete(3, start=1), spaces.Discrete(2)))
    action_space = spaces.MultiDiscrete([3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length = 0, self.np_random.integers(1, 7)
        return self._show(), {}

    def step(self, action):
        assert self.time < self.length, "it steps past the end"
        reward = self.card[0] + 10 * action[0] + 100 * action[1] + 1000 * self.time
        self.time += 1
        over, odd = self.time == self.length, self.length % 2 == 1
        return self._show(), float(reward), bool(over and odd), bool(over and not odd), {}

    def _show(self):
        self.card = int(self.np_random.integers(1, 4)), int(self.np_random.integers(2))
        return self.card


class Numbers(gymnasium.Env):
    """Episodes of three steps that show a picture of numbers and reward the action."""

    observation_space = spaces.Box(0, 255, (2, 2), "uint8")
    action_space = spaces.Box(np.float32([-1.0]), np.float32([3.0]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.full((2, 2), 7, "uint8"), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        return np.full((2, 2), 7, "uint8"), float(action[0]), self.time == 3, False, {}


def policy_for(env, view_size, **arguments):
    memory = S5Stack(1, 8, state_size=8, return_state=True, seed=3)
    distribution = distribution_for(env.action_space)
    policy = ActorCritic(view_size, distribution, memory, (8,), (8,), seed=4, **arguments)
    kernel = policy.actor[-1].kernel
    kernel.assign(300 * kernel)  # so that actions follow what is seen and remembered
    return policy


@pytest.fixture(scope="module")
def cards_policy():
    return policy_for(Cards, 3 + 2 + 3 + 2 + 2)


@functools.cache
def cards_played_by_hand(policy, num_episodes, num_copies):
    """Returns and mean length of episodes played one after the other, seen by numpy's own view."""
    returns, num_steps = [None] * num_episodes, 0
    for copy in range(num_copies):
        env, seed = Cards(), 5 + copy
        for episode in range(copy, num_episodes, num_copies):
            observation, _ = env.reset(seed=seed)
            seed, state, over, total = None, policy.get_initial_state(1), False, 0.0
            action, is_first = np.zeros(2, int), True
            while not over:
                parts = [
                    spaces.flatten(env.observation_space, observation),
                    spaces.flatten(env.action_space, action),
                    [0, 1] if is_first else [1, 0],
                ]
                flat = np.concatenate(parts).astype("float32")[None]
                action, state = policy.act(flat, np.array([is_first]), state)
                action, is_first = ops.convert_to_numpy(action)[0], False
                observation, reward, terminated, truncated, _ = env.step(action)
                total, over = total + reward, terminated or truncated
            returns[episode] = total
            num_steps += env.time
    return returns, num_steps / num_episodes


@pytest.mark.slow
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_vector_env_plays_whole_episodes_shared_out_over_its_copies(mode, cards_policy):
    copies = SyncVectorEnv([Cards] * 4, autoreset_mode=mode, copy=False)
    report = evaluate_gymnasium(cards_policy, copies, 11, seed=5)
    expected, length = cards_played_by_hand(cards_policy, 11, 4)
    assert report["returns"] == expected and report["length_mean"] == pytest.approx(length)
    assert len({value % 1000 // 10 for value in expected}) > 3  # actions differ
    assert not copies.closed
    names = "env env_args num_episodes deterministic seed"
    numbers = "return_mean return_std return_ci95 length_mean other_mode returns"
    assert list(report) == [*names.split(), *numbers.split()]
    assert report["env"] == "Cards" and report["seed"] == 5
    assert report["return_mean"] == pytest.approx(np.mean(expected))


@pytest.mark.slow
def test_environments_in_processes_of_their_own_give_the_same_returns():
    make = functools.partial(gymnasium.make, "CartPole-v1")
    policy = policy_for(make(), 4 + 2 + 2)
    with contextlib.closing(AsyncVectorEnv([make] * 2, context="spawn")) as copies:
        report = evaluate_gymnasium(policy, copies, 3)
    expected = evaluate_gymnasium(policy, SyncVectorEnv([make] * 2), 3)
    assert report["returns"] == expected["returns"]


@pytest.mark.slow
def test_one_env_plays_one_after_the_other_and_a_callable_makes_copies(cards_policy):
    report = evaluate_gymnasium(cards_policy, Cards(), 3, seed=5)
    assert report["returns"] == cards_played_by_hand(cards_policy, 3, 1)[0]
    made = []

    class Closing(Cards):
        def __init__(self):
            made.append(self)
            self.closed = False

        def close(self):
            self.closed = True

    report = evaluate_gymnasium(cards_policy, Closing, 3, seed=5)
    assert report["returns"] == cards_played_by_hand(cards_policy, 3, 3)[0]
    assert len(made) == 3 and all(env.closed for env in made)


@pytest.mark.slow
def test_draws_follow_the_seed_and_stand_beside_the_mode(cards_policy):
    mode = evaluate_gymnasium(cards_policy, Cards, 6, seed=5)
    sampled = evaluate_gymnasium(cards_policy, Cards, 6, deterministic=False, seed=5)
    assert mode["other_mode"]["return_mean"] == sampled["return_mean"] != mode["return_mean"]
    assert sampled["other_mode"]["return_mean"] == mode["return_mean"]
    assert mode["deterministic"] is True and mode["other_mode"]["deterministic"] is False
    other = evaluate_gymnasium(cards_policy, Cards, 6, deterministic=False, seed=6)
    assert other["returns"] != sampled["returns"]


class Seen:
    """A policy double that says 5, far outside the range, and keeps what it is shown."""

    observation_size, variables = 4 + 1 + 2, ()
    distribution = distribution_for(Numbers.action_space)
    programs = Programs()

    def get_initial_state(self, batch_size):
        return [ops.zeros((batch_size, 6, self.observation_size)), ops.zeros((), "int32")]

    def act(self, observation, reset, state, deterministic=True, key=None):
        seen, time = state
        self.seen = seen = ops.concatenate([seen[:, 1:], observation[:, None]], axis=1)
        return ops.full((len(observation), 1), 5.0), [seen, time + 1]


def test_actions_are_clipped_for_the_environment_and_shown_as_they_were(monkeypatch):
    monkeypatch.setattr("keras_s5rl.backend.compile", lambda function: function)
    policy = Seen()
    assert evaluate_gymnasium(policy, Numbers(), 1)["returns"] == [9.0]
    later = [7, 7, 7, 7, 5, 1, 0]
    seen = ops.convert_to_numpy(policy.seen)[0, -3:]
    np.testing.assert_array_equal(seen, [[7, 7, 7, 7, 0, 0, 1], later, later])


def test_an_environment_of_other_spaces_is_refused(cards_policy):
    with pytest.raises(ValueError, match=r"`env` should have the spaces.*12 numbers.*env=Numbers"):
        evaluate_gymnasium(cards_policy, Numbers, 3)
    with pytest.raises(ValueError, match=r"num_actions=\[3, 2\].*Received: env=CartPole-v1.*8 num"):
        evaluate_gymnasium(cards_policy, "CartPole-v1", 3)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple((spaces.Box(0, 1, (2,)), spaces.Text(3))),
        spaces.Sequence(spaces.Discrete(2)),
    ],
)
@pytest.mark.parametrize("kind", ["observation_space", "action_space"])
def test_a_space_without_a_format_is_refused_and_not_cast(kind, space, cards_policy):
    env = type("Odd", (Cards,), {kind: space})
    with pytest.raises(ValueError, match=f"`Odd.{kind}` should be Discrete.* Received: "):
        evaluate_gymnasium(cards_policy, env, 3)


@pytest.mark.parametrize(
    ("env", "env_args", "expected"),
    [
        ("Nowhere-v0", None, "`env` should be the id"),
        ("no_such_module:Nowhere-v0", None, "no_such_module"),
        ("CartPole-v1", {"wheels": 2}, "wheels"),
        (Cards, {"wheels": 2}, "`env_args` are the arguments"),
        (3, None, "Received: env=3"),
    ],
)
def test_an_environment_that_cannot_be_made_raises(env, env_args, expected, cards_policy):
    with pytest.raises(ValueError, match=expected):
        evaluate_gymnasium(cards_policy, env, 3, env_args=env_args)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["RepeatPreviousEasy", "PositionOnlyPendulumHard"])
def test_the_reference_gives_a_policy_the_returns_that_the_package_gives(name):
    pytest.importorskip("popgym", reason="the reference: pip install 'keras-s5rl[popgym]'")
    draws, env = [], envs.AgentView(envs.make(name))
    field = "init_state" if "Pendulum" in name else "deck_idx"

    class Recorded(gymnasium.Wrapper):
        def reset(self, **options):
            outcome = super().reset(**options)
            inner = self.unwrapped
            draws.append(np.array(inner.state if "Pendulum" in name else inner.deck.idx))
            return outcome

    policy = policy_for(env, env.observation_space.shape[0])
    make = functools.partial(gymnasium.make, f"popgym:popgym-{name}-v0")
    report = evaluate_gymnasium(policy, lambda: Recorded(make()), 3, seed=2)
    assert report["env"] == f"popgym-{name}-v0"
    draws = np.stack(draws[:3]).astype("float32" if "Pendulum" in name else "int32")
    state, memory = env.initial({field: draws}), policy.get_initial_state(3)
    total = np.zeros(3)
    for _ in range(env.max_episode_steps):
        action, memory = policy.act(env.observation(state), state["is_first"], memory)
        state, reward, _, _ = env.transition(state, action, {})
        total += ops.convert_to_numpy(reward)
    np.testing.assert_allclose(report["returns"], total, rtol=0, atol=1e-4)
    assert report["length_mean"] == env.max_episode_steps

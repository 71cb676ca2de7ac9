"""Scores of a policy in environments of Gymnasium: the reference's own, or anybody's."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.gymnasium.action_masks import ActionMaskObservation, gives_masks
from keras_s5rl.envs.gymnasium.making import (
    OF_COPIES,
    env_name,
    is_given,
    make_vector_env,
)
from keras_s5rl.training.arguments import check_count, check_env_args, check_policy
from keras_s5rl.training.evaluation import summarize
from keras_s5rl.training.player import Player
from keras_s5rl.training.views import plain_arguments
from keras_s5rl.typing import Array

MAX_COPIES = 64


def evaluate_gymnasium(
    policy: Any,
    env: Any,
    num_episodes: int = 256,
    deterministic: bool = True,
    seed: int = 0,
    env_args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Plays whole episodes of a Gymnasium environment and returns the policy's score.

    The policy sees what `keras_s5rl.envs.AgentView` shows: flat observation, previous action and
    first-step flag. Its memory is cleared where an episode starts. Of `n` copies of the environment
    copy `i` plays the episodes `i, i + n, i + 2 n, ...`, each to its own end: taking the first that
    finish would favour short ones. Continuous actions are clipped to the action space on their way
    to the environment.

    Args:
        policy: `keras_s5rl.models.Policy`, such as `agent.policy`, or `load_policy(path)`.
        env: What to play in: the id of an environment (`"CartPole-v1"`; in `"module:id"` the module
            is imported first, which registers its ids, as in
            `"popgym:popgym-RepeatPreviousEasy-v0"`); a callable that returns a new
            `gymnasium.Env`; an `Env`; or a `VectorEnv`, in any mode of autoreset. An environment
            that was given is left open.
        num_episodes: Positive integer. Defaults to `256`.
        deterministic: Whether to play the mode of the policy rather than draws from it. Defaults to
            `True`.
        seed: Integer from 0 to 2**32 - 1, from which the environments are reset and the draws are
            made. Defaults to `0`.
        env_args: Dict of keyword arguments of an environment given by its id, or `None`. Defaults
            to `None`.

    Returns:
        Dict, as of `PPO.evaluate`: `env env_args num_episodes deterministic seed return_mean
        return_std return_ci95 length_mean other_mode returns`. `env_args` holds the defaults too;
        it is `None` where Gymnasium does not know how the environment was made. In `other_mode` is
        the score of the policy played the other way, from the same seed.

    Raises:
        ValueError: If there is no such environment, or its spaces are not those of the policy.

    Example:

    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.models import ActorCritic, Categorical
    >>> from keras_s5rl.training.gymnasium_evaluation import evaluate_gymnasium
    >>> memory = S5Stack(1, 16, state_size=8, return_state=True)
    >>> policy = ActorCritic(8, Categorical(2), memory)  # 4 numbers, 2 actions, 2 for the flag
    >>> report = evaluate_gymnasium(policy, "CartPole-v1", num_episodes=4)
    >>> len(report["returns"])
    4
    """
    check_policy(policy)
    check_count("num_episodes", num_episodes)
    check_boolean("deterministic", deterministic)
    check_env_args(env_args)
    copies = make_copies(policy, env, num_episodes, env_args)
    name = env if isinstance(env, str) else env_name(copies)
    try:
        arguments = _arguments(copies)
        played, other = (
            play_episodes(policy, copies, num_episodes, mode, seed)
            for mode in (deterministic, not deterministic)
        )
    finally:
        if not is_given(env):
            copies.close()
    return {
        "env": name,
        "env_args": arguments,
        "num_episodes": num_episodes,
        "deterministic": deterministic,
        "seed": seed,
        **summarize(*played),
        "other_mode": {"deterministic": not deterministic, **summarize(*other)},
        "returns": played[0].tolist(),
    }


def make_copies(policy: Any, env: Any, num_episodes: int, env_args: dict[str, Any] | None) -> Any:
    """Returns a `VectorEnv` in which a policy can play so many episodes; the arguments are those of
    `evaluate_gymnasium`."""
    copies = make_vector_env(env, min(num_episodes, MAX_COPIES), env_args)
    if getattr(policy, "action_mask", None) is not None and gives_masks(copies):
        return ActionMaskObservation(copies)
    return copies


def play_episodes(
    policy: Any, env: Any, num_episodes: int, deterministic: bool, seed: int
) -> tuple[Array, Array]:
    """Plays episodes in the copies of a `VectorEnv`; returns `returns, lengths`."""
    player = Player(policy, env, deterministic, seed)
    mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes)
    episode = np.arange(env.num_envs)  # which one each copy plays
    starting = np.zeros(env.num_envs, "bool")  # whether the next step starts an episode, no more
    observations, _ = env.reset(seed=seed)
    while np.any(episode < num_episodes):
        observations, rewards, terminated, truncated, _ = env.step(player.act(observations))
        counts = ~starting & (episode < num_episodes)
        returns[episode[counts]] += rewards[counts]
        lengths[episode[counts]] += 1
        over = terminated | truncated
        episode = np.where(over, episode + env.num_envs, episode)
        starting = over & (mode == AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED and over.any():
            observations, _ = env.reset(options={"reset_mask": over})
        player.reset(over)
    return returns, lengths


def _arguments(copies: Any) -> dict[str, Any] | None:
    """All arguments of the environments as plain values, or `None` where they are unknown."""
    spec = copies.spec or getattr(copies, "envs", [copies])[0].spec
    if spec is None:
        return None
    factory = spec.entry_point
    if isinstance(factory, str):
        factory = gymnasium.envs.registration.load_env_creator(factory)
    given = {name: value for name, value in spec.kwargs.items() if name not in OF_COPIES}
    try:
        return plain_arguments(factory, given)
    except (TypeError, ValueError):  # its arguments are unknown
        return plain_arguments(lambda **arguments: None, given)

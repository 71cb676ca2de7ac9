"""`record_episodes`: animations of what a policy does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl import envs, random
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.environment_check import check_unless_built_in
from keras_s5rl.envs.rendering import render, renderer_for
from keras_s5rl.runs.animations import animation_writer
from keras_s5rl.training.arguments import check_count
from keras_s5rl.training.keys import RECORDING
from keras_s5rl.training.trajectories import Trajectory, compile_trajectories
from keras_s5rl.training.views import env_key, view_for
from keras_s5rl.typing import Array, StrPath

_LONGEST = 60.0  # seconds of an animation: the steps of a longer one are shown faster


def record_episodes(
    policy: Any,
    env: Any,
    folder: StrPath,
    num_episodes: int = 3,
    deterministic: bool = True,
    seed: int = 0,
    record_format: str = "gif",
) -> list[Any]:
    """Plays episodes and writes each as an animation: `episode_0.gif`, `episode_1.gif`, ...

    The first frame is the start of the episode, each further one a step. They are other episodes
    than `PPO.evaluate` plays from the same seed.

    Args:
        policy: `keras_s5rl.models.Policy`, such as `agent.policy`, or `load_policy(path)`.
        env: `keras_s5rl.envs.Environment`, or the name of a registered one.
        folder: Where to write; made if it is not there.
        num_episodes: Positive integer. Defaults to `3`.
        deterministic: Whether to play the mode of the policy rather than draws from it. Defaults to
            `True`.
        seed: Non-negative integer, from which environments and draws are made. Defaults to `0`.
        record_format: `"gif"`, or `"mp4"`, which needs FFmpeg. Defaults to `"gif"`.

    Returns:
        List of `(path, num_steps, episode_return)`, one of each episode.

    Raises:
        ValueError: If an argument is out of its range, the spaces of `env` are not those of the
            policy, or there is no FFmpeg for an mp4.

    Example:

    >>> import tempfile
    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.models import ActorCritic, Categorical
    >>> from keras_s5rl.training.recording import record_episodes
    >>> memory = S5Stack(1, 16, state_size=8, return_state=True)
    >>> policy = ActorCritic(6, Categorical(2), memory)  # 2 numbers, 2 actions, 2 for the flag
    >>> recorded = record_episodes(policy, "StatelessCartPoleEasy", tempfile.mkdtemp(), 1)
    >>> recorded[0][0].name
    'episode_0.gif'
    """
    write = animation_writer(record_format)
    view, trajectories = play_trajectories(policy, env, num_episodes, deterministic, seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    recorded = []
    for index, trajectory in enumerate(trajectories):
        path = folder / f"episode_{index}.{record_format}"
        num_frames = len(trajectory.states)
        seconds = seconds_per_step(view.env, num_frames)
        write(path, frames_of(view.env, trajectory), num_frames, seconds)
        recorded.append((path, num_frames - 1, sum(trajectory.rewards)))
    return recorded


def play_trajectories(
    policy: Any, env: Any, num_episodes: int, deterministic: bool, seed: int
) -> tuple[AgentView, list[Trajectory]]:
    """Returns the environment as the policy sees it, and episodes of it; the arguments are those of
    `record_episodes`."""
    check_count("num_episodes", num_episodes)
    check_boolean("deterministic", deterministic)
    made = envs.make(env) if isinstance(env, str) else env
    check_unless_built_in(made)
    view = view_for(policy, made, type(made).__name__)
    play = policy.programs.get(
        ("trajectories", env_key(env, {}), view.previous_action, num_episodes),
        lambda: compile_trajectories(view, policy, num_episodes),
    )
    return view, play(random.fold_in(random.key(seed), RECORDING), deterministic)


def seconds_per_step(env: Any, num_frames: int) -> float:
    """Returns how long an animation of so many frames shows a step."""
    return min(renderer_for(env).duration(env), _LONGEST / num_frames)


def frames_of(env: Any, trajectory: Trajectory) -> Callable[[int], Array]:
    """Returns the function of a number that draws this frame of an episode: 0 is its start."""
    returns = np.cumsum(trajectory.rewards)

    def frame(index: int) -> Any:
        last_step: tuple[Any, ...] = ()
        if index > 0:
            last_step = trajectory.actions[index - 1], trajectory.rewards[index - 1]
            last_step += (returns[index - 1],)
        return render(env, trajectory.states[index], "rgb_array", *last_step)

    return frame

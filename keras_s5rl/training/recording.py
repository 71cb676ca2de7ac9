"""`record_episodes`: animations of what a policy does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl import envs, random
from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.environment_check import check_unless_built_in
from keras_s5rl.envs.rendering import render, renderer_for
from keras_s5rl.runs.animations import write_gif
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
) -> list[Any]:
    """Plays episodes and writes each as an animated GIF: `episode_0.gif`, `episode_1.gif`, ...

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

    Returns:
        List of `(path, num_steps, episode_return)`, one of each episode.

    Raises:
        ValueError: If an argument is out of its range, or the spaces of `env` are not those of the
            policy.

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
    check_count("num_episodes", num_episodes)
    check_boolean("deterministic", deterministic)
    made = envs.make(env) if isinstance(env, str) else env
    check_unless_built_in(made)
    view = view_for(policy, made, type(made).__name__)
    play = policy.programs.get(
        ("trajectories", env_key(env, {}), view.previous_action, num_episodes),
        lambda: compile_trajectories(view, policy, num_episodes),
    )
    trajectories = play(random.fold_in(random.key(seed), RECORDING), deterministic)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    recorded = []
    for index, trajectory in enumerate(trajectories):
        path = folder / f"episode_{index}.gif"
        num_frames = len(trajectory.states)
        seconds = min(renderer_for(view.env).duration(view.env), _LONGEST / num_frames)
        write_gif(path, _frames(view.env, trajectory), num_frames, seconds)
        recorded.append((path, num_frames - 1, sum(trajectory.rewards)))
    return recorded


def _frames(env: Any, trajectory: Trajectory) -> Callable[[int], Array]:
    """Returns the function of a number that draws this frame of an episode."""
    returns = np.cumsum(trajectory.rewards)

    def frame(index: int) -> Any:
        last_step: tuple[Any, ...] = ()
        if index > 0:
            last_step = trajectory.actions[index - 1], trajectory.rewards[index - 1]
            last_step += (returns[index - 1],)
        return render(env, trajectory.states[index], "rgb_array", *last_step)

    return frame

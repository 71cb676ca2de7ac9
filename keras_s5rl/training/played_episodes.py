"""Episodes of an agent as arrays: what happened, and what its memory did."""

from typing import Any

import keras
import numpy as np

from keras_s5rl.envs import Environment
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.envs.rendering import Renderer, renderer_for
from keras_s5rl.layers.time_constants import time_constants
from keras_s5rl.training.recording import frames_of, play_trajectories, seconds_per_step
from keras_s5rl.training.trajectories import Trajectory


def play_episodes(
    agent: Any, num_episodes: int = 1, deterministic: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Plays episodes one after the other, and keeps all that a report shows of them.

    They are those that `record_episodes` draws from the same arguments. Each has a row for its
    start and one for every step: an episode of `T` steps has `T + 1` rows.

    Args:
        agent: `keras_s5rl.PPO` with the policy to be played, in an environment of the package.
        num_episodes: Positive integer. Defaults to `1`.
        deterministic: Whether to play the mode of the policy rather than draws from it. Defaults to
            `True`.
        seed: Non-negative integer, from which environments and draws are made. Defaults to `0`.

    Returns:
        Dict of plain values and numpy arrays:

        - `deterministic`, `seed`: As given. `policy_seed`: the agent's.
        - `seconds_per_step`: how long a step should be shown.
        - `frame`: function of a row that draws it, uint8 `(height, width, 3)`; `None` where
          nothing but the numbers of the observation could be drawn.
        - `episode`, `step` `(rows,)`: the number of the episode, and steps since its start.
        - `reward`, `episode_return` `(rows,)`: that of the step, and the sum so far.
        - `action`: list of texts, what was done in the step; `""` at a start. `action_number`
          `(rows, k)`: the numbers of these actions, NaN at a start.
        - `observation` `(rows, features)`: what the policy saw before the step; NaN at a start.
        - `reset` `(rows,)`: whether the memory was cleared before that was taken in.
        - `trial_start` `(rows,)`: whether a trial begins here inside an episode made of several.
        - `memory_norms`: dict of layers to the norms of their states after the step `(rows,)`.
        - `time_constants`: list of pairs of a layer and its time constants in steps.

    Raises:
        NotImplementedError: If the environment is one of Gymnasium.
    """
    if is_gymnasium(agent.given_env):
        raise NotImplementedError(
            "episodes are shown of environments of the package, not of Gymnasium's. Received: "
            f"env={agent.env}"
        )
    view, trajectories = play_trajectories(
        agent.policy, agent.environment.env, num_episodes, deterministic, seed
    )
    renderer = renderer_for(view.env)
    has_picture = type(renderer) is not Renderer
    lengths = [len(trajectory.states) for trajectory in trajectories]
    starts = np.cumsum([0, *lengths[:-1]])

    def frame(row: int) -> Any:
        episode = int(np.searchsorted(starts, row, side="right")) - 1
        return frames_of(view.env, trajectories[episode])(row - int(starts[episode]))

    parts = [_rows(view.env, renderer, trajectory) for trajectory in trajectories]
    episodes = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    norms = episodes.pop("norms")
    names = _memory_layers(agent.policy, norms.shape[1])
    return {
        "deterministic": deterministic,
        "seed": seed,
        "policy_seed": agent.seed,
        "seconds_per_step": seconds_per_step(view.env, max(lengths)),
        "frame": frame if has_picture else None,
        "episode": np.repeat(np.arange(len(lengths)), lengths),
        **episodes,
        "action": episodes["action"].tolist(),
        "memory_norms": {
            name: np.sqrt(np.square(norms[:, [n == name for n in names]]).sum(1))
            for name in dict.fromkeys(names)
        },
        "time_constants": [
            (f"layer {index}", steps)
            for index, (_, steps) in enumerate(time_constants(agent.policy), start=1)
        ],
    }


def _rows(env: Environment, renderer: Renderer, trajectory: Trajectory) -> dict[str, Any]:
    """The rows of one episode: before the first step there are no numbers of a step."""
    num_steps = len(trajectory.rewards)
    numbers = np.stack(trajectory.actions).reshape(num_steps, -1)
    trial_steps = [state.get("trial_step", 0) for state in trajectory.states]
    texts = ["", *(renderer.name_action(env, action) for action in trajectory.actions)]
    return {
        "step": np.arange(num_steps + 1),
        "reward": np.array([0.0, *trajectory.rewards]),
        "episode_return": np.cumsum([0.0, *trajectory.rewards]),
        "action": np.array(texts, dtype=object),
        "action_number": _below_a_start(numbers),
        "observation": _below_a_start(np.stack(trajectory.observations)),
        "reset": np.arange(num_steps + 1) == 1,
        "trial_start": np.array(
            [
                0 < row < num_steps and "trial_step" in state and trial_step == 0
                for row, (state, trial_step) in enumerate(
                    zip(trajectory.states, trial_steps, strict=True)
                )
            ]
        ),
        "norms": np.concatenate(
            [np.zeros((1, len(trajectory.memory_norms[0]))), np.stack(trajectory.memory_norms)]
        ),
    }


def _below_a_start(values: Any) -> Any:
    return np.concatenate([np.full((1, values.shape[1]), np.nan), values])


def _memory_layers(policy: Any, num_tensors: int) -> list[str]:
    """The layer that each tensor of the memory belongs to."""
    blocks = getattr(getattr(policy, "memory", None), "blocks", None) or []
    names = [
        f"layer {index}"
        for index, block in enumerate(blocks, start=1)
        for _ in keras.tree.flatten(block.get_initial_state(1))
    ]
    if len(names) != num_tensors:
        names = [f"state {index}" for index in range(1, num_tensors + 1)]
    return names

"""`AgentView`: the observation that a policy sees."""

import gymnasium
import keras
import numpy as np
from keras import ops

from keras_s5rl.envs import spaces
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors


class AgentView(Environment):
    """An environment whose flat observation also holds the previous action and a first-step flag.

        observation = [observation of `env` | previous action | flag]          float32 (num_envs, D)

    Discrete parts are one-hots side by side, `Box` and `MultiBinary` parts raw numbers, pixels of
    images too (four bytes each, in a rollout as well). The previous action is the one given to the
    step that led here, not clipped, while `env` gets it clipped to its action space; at the start
    of an episode it is the null action (class 0, or zeros). The flag is `[0, 1]` at the start of an
    episode and `[1, 0]` after it, so that the null action can be distinguished from a real action
    0.

    Where the observation space is a `Dict`, its entry `"action_mask"` (`MultiBinary`, or a `Box` of
    0 and 1) says which actions are legal, with a number for each logit of the policy. `action_mask`
    are its columns `(start, stop)`, or `None` where there is none.

    `entries` describes to an encoder what the vector holds, one part after the other: a list of
    dicts with the `shape` of an entry and a `scale` that brings pixels into `[0, 1]`.

    The state is `{"env": state of env, "previous_action": ..., "is_first": bool (num_envs,)}`.

    Args:
        env: An `Environment`.
        previous_action: Whether the previous action is seen. Without it (and without a memory) a
            policy knows nothing of the past. Defaults to `True`.

    Reference: popgym's `Flatten(Antialias(PreviousAction(env)))`, which Morad et al., 2023, use for
        every baseline.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.AgentView(envs.make("RepeatPreviousEasy"))
    >>> env.observation_space.shape
    (10,)
    """

    def __init__(self, env: Environment, previous_action: bool = True) -> None:
        self.env = env
        self.previous_action = previous_action
        self.action_space = env.action_space
        self.max_episode_steps = env.max_episode_steps
        self.tasks = getattr(env, "tasks", ())
        low, high = spaces.flat_bounds(env.observation_space)
        action_low, action_high = spaces.flat_bounds(env.action_space)
        is_number = spaces.flat_is_number(env.action_space)
        action_low = np.where(is_number, -np.inf, action_low)
        action_high = np.where(is_number, np.inf, action_high)
        if not previous_action:
            action_low = action_high = action_low[:0]
        self.observation_space = gymnasium.spaces.Box(
            np.concatenate([low, action_low, [0, 0]]).astype("float32"),
            np.concatenate([high, action_high, [1, 1]]).astype("float32"),
        )
        self.action_mask = spaces.mask_columns(env.observation_space)
        seen = spaces.flat_size(env.action_space) if previous_action else 0
        self.entries = [
            *spaces.flat_entries(env.observation_space),
            {"shape": [seen + 2], "scale": 1.0},
        ]
        self._null_action = spaces.null_value(env.action_space)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return self.env.draw_initial(key, num_envs)

    def initial(self, draws: Tensors) -> Tensors:
        state = self.env.initial(draws)
        num_envs = ops.shape(keras.tree.flatten(state)[0])[0]
        null_action = ops.convert_to_tensor(self._null_action)
        return {
            "env": state,
            "previous_action": ops.broadcast_to(null_action, (num_envs, *null_action.shape)),
            "is_first": ops.ones((num_envs,), dtype="bool"),
        }

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        return self.env.draw_step(key, num_envs)

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        env_state, reward, terminated, truncated = self.env.transition(
            state["env"], spaces.clip(self.action_space, action), draws
        )
        state = {
            "env": env_state,
            "previous_action": ops.cast(action, self._null_action.dtype.name),
            "is_first": ops.zeros_like(state["is_first"]),
        }
        return state, reward, terminated, truncated

    def observation(self, state: Tensors) -> Tensor:
        parts = [spaces.flatten(self.env.observation_space, self.env.observation(state["env"]))]
        if self.previous_action:
            parts.append(spaces.flatten(self.env.action_space, state["previous_action"]))
        is_first = ops.cast(state["is_first"], "float32")
        parts.append(ops.stack([1.0 - is_first, is_first], axis=1))
        return ops.concatenate(parts, axis=1)

    def discount(self, state: Tensors) -> Tensor:
        return self.env.discount(state["env"])

    def info(self, state: Tensors) -> Tensors:
        return self.env.info(state["env"])

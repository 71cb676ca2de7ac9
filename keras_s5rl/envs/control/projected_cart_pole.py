"""`ProjectedCartPole`: a pole seen through an unknown projection, several trials in a row."""

import math

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs import cart_pole
from keras_s5rl.envs.arguments import check_boolean, check_positive_integer
from keras_s5rl.envs.control import projection, trials
from keras_s5rl.envs.control.banks import draw_bank
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {
    "ProjectedCartPole": {"projected_cartpole": {}}
}

# What the speeds seldom pass in a trial, beside the limits of the positions.
_SCALES = {"x": cart_pole.MAX_POSITION, "x'": 2.0, "h": cart_pole.MAX_ANGLE, "h'": 2.0}


class ProjectedCartPole(Environment):
    """The paper's third experiment: cart-poles under random projections, several trials each.

    A context is one projection, drawn when the episode starts and kept for all its trials; what was
    found out about it in one trial helps in the next. The pole moves as in `PositionOnlyCartPole`.
    A trial ends when it falls or after `trial_steps`; the next one starts in the same step, so that
    the observation is then the first of the new trial. The episode ends after `num_trials` trials
    (the observation is then that of one more trial, from the start of the last one).

        observation = [sqrt(2) M [x / 2.4, h / 0.2095] | 1 where a trial starts, else 0]
        reward      = 1 / trial_steps

    `M` has orthonormal columns of Haar distribution: a trial is worth at most 1.

    Where the return ends is a choice. With `failure_ends_return=True` a fall ends it (`discount` is
    0), while the episode and the agent's memory go on; the end of the episode is a truncation. With
    False nothing but the end of the episode does, which terminates: a fall then costs nothing but
    the time until it, since the next trial pays as well.

    Projections, trials, the return through falls and the sizes are the paper's. Its text projects
    actions too, the authors' code does not; in the code `sqrt(2) M` is the kernel of a layer, and
    every trial of a context starts at the same state. Ours are the scales, the end of the return at
    a fall, `observe_speeds`, `project_actions` and fresh starts. The previous action and the flag
    for the start of the episode, which the authors show as well, are added by `AgentView`.

    Args:
        num_trials: Integer, trials of a context.
        trial_steps: Integer, steps of the longest trial.
        projected_size: Integer, entries of the projected observation.
        project_observations: Boolean. If False, the scaled numbers themselves are shown.
        project_actions: Boolean. If True, the two actions are swapped in half of the contexts.
        observe_speeds: Boolean. If True, `[x / 2.4, x' / 2, h / 0.2095, h' / 2]` is projected.
        same_start: Boolean. If False, each trial has a start of its own.
        failure_ends_return: Boolean, whether a fall ends the return.

    Attributes:
        num_trials, trial_steps: As given.
        max_reward: `1 / trial_steps`, the largest reward of a step.

    Raises:
        ValueError: If a size is not a positive integer, or `projected_size` is less than the number
            of entries to project.

    Reference: Lu et al., 2023, "Structured State Space Models for In-Context Reinforcement
        Learning", section 5.3.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("projected_cartpole", num_trials=4)
    >>> env.observation_space.shape, env.max_episode_steps
    ((5,), 800)
    """

    def __init__(
        self,
        num_trials: int = 16,
        trial_steps: int = 200,
        projected_size: int = 4,
        project_observations: bool = True,
        project_actions: bool = False,
        observe_speeds: bool = False,
        same_start: bool = True,
        failure_ends_return: bool = True,
    ) -> None:
        trials.check_sizes(num_trials, trial_steps)
        check_positive_integer("projected_size", projected_size, largest=1_000)
        for name, value in {
            "project_observations": project_observations,
            "project_actions": project_actions,
            "observe_speeds": observe_speeds,
            "same_start": same_start,
            "failure_ends_return": failure_ends_return,
        }.items():
            check_boolean(name, value)
        observed = ["x", "x'", "h", "h'"] if observe_speeds else ["x", "h"]
        if project_observations and projected_size < len(observed):
            raise ValueError(
                f"`projected_size` should be at least {len(observed)}, the number of entries to "
                f"project. Received: projected_size={projected_size}"
            )
        self.num_trials = num_trials
        self.trial_steps = trial_steps
        self.projected_size = projected_size
        self.project_observations = project_observations
        self.project_actions = project_actions
        self.same_start = same_start
        self.failure_ends_return = failure_ends_return
        self.max_episode_steps = num_trials * trial_steps
        self.max_reward = 1.0 / trial_steps
        self._stride = 1 if observe_speeds else 2
        self._scales = np.array([_SCALES[name] for name in observed], "float32")
        size = projected_size if project_observations else len(observed)
        low, high = np.full(size + 1, -np.inf, "float32"), np.full(size + 1, np.inf, "float32")
        low[-1], high[-1] = 0, 1
        self.observation_space = gymnasium.spaces.Box(low, high)
        self.action_space = gymnasium.spaces.Discrete(2)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        start_key, projection_key, swap_key = ops.unstack(random.split(key, 3), 3)
        shape = (num_envs, 4) if self.same_start else (num_envs, self.num_trials, 4)
        draws = {"init_state": random.uniform(start_key, shape, -0.05, 0.05)}
        if self.project_observations:
            matrix = projection.haar(
                projection_key, num_envs, self.projected_size, len(self._scales)
            )
            draws["projection"] = math.sqrt(2.0) * matrix
        if self.project_actions:
            draws["swapped"] = ops.equal(random.randint(swap_key, (num_envs,), 0, 2), 1)
        return draws

    def draw_bank(self, num_envs: int) -> Tensors:
        """Returns draws for the first `num_envs` contexts of a fixed bank; see `banks`."""
        return draw_bank(self, 0, num_envs)

    def initial(self, draws: Tensors) -> Tensors:
        starts = ops.cast(draws["init_state"], "float32")
        num_envs = starts.shape[0]
        starts = ops.reshape(starts, (num_envs, -1, 4))
        context = {name: draws[name] for name in ("projection", "swapped") if name in draws}
        return {
            "physics": starts[:, 0],
            "starts": starts,
            "discount": ops.ones((num_envs,), dtype="float32"),
            **context,
            **trials.begin(num_envs, self.num_trials),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        to_the_right = ops.equal(action, 1)
        if self.project_actions:
            to_the_right = ops.not_equal(to_the_right, state["swapped"])
        physics = cart_pole.push(state["physics"], to_the_right)
        fallen = cart_pole.has_fallen(physics)
        trial_over = ops.logical_or(fallen, state["trial_step"] + 1 >= self.trial_steps)
        reward = ops.full_like(physics[:, 0], 1.0 / self.trial_steps)

        progress = trials.advance(state, reward, trial_over)
        start = trials.start_of_trial(state["starts"], progress["trial"])
        physics = ops.where(ops.expand_dims(trial_over, 1), start, physics)
        over = progress["trial"] >= self.num_trials
        never = ops.zeros_like(over)
        terminated, truncated = (never, over) if self.failure_ends_return else (over, never)
        return_ends = fallen if self.failure_ends_return else over
        discount = 1.0 - ops.cast(return_ends, "float32")
        state = {**state, **progress, "physics": physics, "discount": discount}
        return state, reward, terminated, truncated

    def observation(self, state: Tensors) -> Tensor:
        entries = ops.divide(state["physics"][:, :: self._stride], self._scales)
        if self.project_observations:
            entries = projection.project(state["projection"], entries)
        return ops.concatenate([entries, trials.start_flag(state)], axis=1)

    def discount(self, state: Tensors) -> Tensor:
        return state["discount"]

    def info(self, state: Tensors) -> Tensors:
        return trials.info(state)

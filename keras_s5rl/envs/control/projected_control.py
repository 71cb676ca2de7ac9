"""`ProjectedControl`: control tasks seen and moved through unknown projections, trial by trial."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.arguments import (
    check_boolean,
    check_choice,
    check_positive_integer,
    check_range,
)
from keras_s5rl.envs.autoreset import select_envs
from keras_s5rl.envs.control import trials
from keras_s5rl.envs.control.banks import draw_bank
from keras_s5rl.envs.control.engines import make_engine
from keras_s5rl.envs.control.observation_entries import scaling_tables, task_entries
from keras_s5rl.envs.control.per_task import action_repeats, task_bounds
from keras_s5rl.envs.control.projection import gaussian, haar, project
from keras_s5rl.envs.control.tiers import MAX_PHYSICS_RANGE, SCALED, TIERS, draw_scales
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {
    "ProjectedControl": {"projected_control": {}}
}

_LEAST_STRENGTH = 0.02
_CONTEXT = ("task", "observation_projection", "action_projection", *SCALED)


class ProjectedControl(Environment):
    """Control tasks under random projections, several trials a context.

    A context is one task, one projection of its observations and one of its actions (and its
    physics, if that varies), drawn when the episode starts and kept for all its trials. Nothing
    says which they are: an agent has to find out, and what it found out in one trial helps in the
    next. A trial starts afresh from the task's own distribution of starts and ends after
    `trial_steps`; the next one starts in the same step, so that the observation is then the first
    of the new trial. The episode ends after `num_trials` trials, as a truncation (the observation
    is then that of one more trial, from the start of the last one).

        observation = [M_o s(o) | reward of the last step | 1 where a trial starts, else 0]
        control     = clip(sqrt(m) M_a action, -1, 1)

    `o` is DMC's observation, `s` centres each entry and divides it by its typical size (see
    `observation_entries`) and pads with zeros. `M_o` has orthonormal columns, `M_a` `m` orthonormal
    rows, where `m` is 1 or 2, the number of controls of the task; both have the Haar distribution.
    With the factor `sqrt(m)` every control in `[-1, 1]^m` is reached by some action in `[-1, 1]^2`.
    The reward of a step is DMC's, in `[0, 1]`, averaged over the control steps of the decision.

    Projections to 12 entries and 2 actions, the observed reward and held-out tasks are the paper's,
    whose context is one episode of 1000 steps; it does not state the distribution of the
    projections, and its code has no control tasks. Trials, scales, the factor `sqrt(m)`, varied
    physics, `strength` and the choice of tasks, those without contacts, are ours.

    Args:
        tasks: Tuple of names of tasks, or None for those of the tier.
        tier: String: `"train"`; or, each with a bank of contexts of its own, `"T1"` (new
            projections, tasks as in training), `"T2"` (new tasks) or `"T3"` (tasks as in training;
            mass, length, gear and damping are each 1.3 to 1.6 times as large or as small).
        task_weights: Dict of positive numbers by task: how often each is drawn, relative to the
            others. By default, and for tasks that it lacks, 1.
        num_trials: Integer, trials of a context.
        trial_steps: Integer, decisions of a trial.
        action_repeat: Control steps of a decision: an integer, a dict of them by task, or None. By
            default a decision takes 0.04 s, with the point masses 0.08 s.
        projection: String, distribution of `M_o`: `"haar"`, `"gaussian"` (independent normal
            numbers of variance `1 / projected_size`) or `"identity"`.
        projected_size: Integer, entries of the projected observation.
        project_actions: Boolean. If False, the first `m` actions are the controls.
        strength: How far Haar projections are from the identity: a float from 0 (there) to 1 (the
            Haar distribution), or `"mixed"`: 1 in a third of the contexts, else uniform between
            0.02 and 1, which is a curriculum.
        observations: String, `"native"` or `"minimal"`: without the entries that others determine
            or that hardly vary (when balancing, the cosine).
        physics_range: Float `r` from 0 to 0.3: mass, length, gear and damping are each multiplied
            by a factor from `1 / (1 + r)` to `1 + r`, uniform in its logarithm. Tier `"T3"` has
            ranges of its own.
        end_on_fall: Boolean. If True, a trial of a balance task ends when a pole is more than 0.25
            rad off upright, and the return with it (`discount` is 0).
        observe_reward: Boolean. If False, the entry of the reward is 0.
        engine: String: `"native"`, or with the extras of these names `"mujoco"` (any task of
            DeepMind Control with at most two controls, stepped on the host) and `"mjx"`. Both step
            the models as they are: their physics do not vary.

    Attributes:
        tasks, tier, num_trials, trial_steps: As given; `tasks` is a tuple of names.
        state_sizes, control_sizes: Lists of integers by task: entries of its observation before it
            is projected, and its controls.

    Raises:
        ValueError: If an argument is none of these, or the observation of a task has more than
            `projected_size` entries.

    Reference: Lu et al., 2023, "Structured State Space Models for In-Context Reinforcement
        Learning", section 5.4.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("projected_control", tasks=("reacher_easy", "cartpole_balance"))
    >>> env.observation_space.shape, env.action_space.shape, env.max_episode_steps
    ((14,), (2,), 800)
    """

    def __init__(
        self,
        tasks: Sequence[str] | None = None,
        tier: str = "train",
        task_weights: Mapping[str, float] | None = None,
        num_trials: int = 8,
        trial_steps: int = 100,
        action_repeat: int | dict[str, int] | None = None,
        projection: str = "haar",
        projected_size: int = 12,
        project_actions: bool = True,
        strength: float | str = 1.0,
        observations: str = "native",
        physics_range: float = 0.0,
        end_on_fall: bool = False,
        observe_reward: bool = True,
        engine: str = "native",
    ) -> None:
        check_choice("tier", tier, TIERS)
        check_choice("projection", projection, ("haar", "gaussian", "identity"))
        check_choice("observations", observations, ("native", "minimal"))
        trials.check_sizes(num_trials, trial_steps)
        check_positive_integer("projected_size", projected_size, largest=1_000)
        check_boolean("project_actions", project_actions)
        check_boolean("end_on_fall", end_on_fall)
        check_boolean("observe_reward", observe_reward)
        if not isinstance(strength, str) or strength != "mixed":
            check_range("strength", strength, 1.0, ' or "mixed"')
        check_range("physics_range", physics_range, MAX_PHYSICS_RANGE)
        self.physics_range = TIERS[tier].physics_range or (0.0, physics_range)
        if engine != "native" and self.physics_range[1] > 0:
            raise ValueError(
                '`engine` should be "native" where the physics vary, with a `physics_range` or in '
                f"tier T3. Received: engine={engine!r}"
            )
        self._engine = make_engine(engine, TIERS[tier].tasks if tasks is None else tasks)
        self.tasks = self._engine.tasks
        entries = [
            task_entries(task, size, observations == "minimal")
            for task, size in zip(self.tasks, self._engine.observation_sizes, strict=True)
        ]
        self.state_sizes = [len(kept) for kept in entries]
        self.control_sizes = list(self._engine.control_sizes)
        self._check_sizes(projected_size)
        self._task_bounds = task_bounds(self.tasks, {} if task_weights is None else task_weights)
        self.tier = tier
        self.num_trials = num_trials
        self.trial_steps = trial_steps
        self.projection = projection
        self.projected_size = projected_size
        self.project_actions = project_actions
        self.strength = strength
        self.end_on_fall = end_on_fall
        self.observe_reward = observe_reward
        self.max_episode_steps = num_trials * trial_steps
        low, high = np.full((2, projected_size + 2), [[-np.inf], [np.inf]], "float32")
        low[-2:], high[-2:] = 0, 1
        self.observation_space = gymnasium.spaces.Box(low, high)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        repeats = action_repeats(self.tasks, self._engine.time_steps, action_repeat)
        self._repeats = np.array(repeats, "int32")
        self._num_controls = np.array(self.control_sizes, "float32")
        self._scaling = scaling_tables(entries, self._engine.observation_size)

    def _check_sizes(self, projected_size: int) -> None:
        for task, size, num_controls in zip(
            self.tasks, self.state_sizes, self.control_sizes, strict=True
        ):
            if size > projected_size:
                raise ValueError(
                    f"`projected_size` should be at least {size}, the number of entries of the "
                    f"observation of {task}, or the task be left out of `tasks`. Received: "
                    f"projected_size={projected_size}"
                )
            if num_controls > 2:
                raise ValueError(
                    "`tasks` should have at most two controls, as many as there are actions; "
                    f"{task} has {num_controls}. Received: tasks={self.tasks}"
                )

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        keys = ops.unstack(random.split(key, 6), 6)
        task = self._draw_task(keys[0], num_envs)
        strength = self._draw_strength(keys[1], num_envs)
        draws = {"task": task}
        size = (self.projected_size, self._scaling.matrix.shape[1])
        if self.projection == "haar":
            draws["observation_projection"] = haar(keys[2], num_envs, *size, strength)
        elif self.projection == "gaussian":
            draws["observation_projection"] = gaussian(keys[2], num_envs, *size)
        if self.project_actions:
            draws["action_projection"] = haar(keys[3], num_envs, 2, 2, strength)
        if self.physics_range[1] > 0:
            draws |= draw_scales(keys[4], num_envs, *self.physics_range)
        return {**draws, **self._engine.draw_starts(keys[5], task, self.num_trials)}

    def _draw_task(self, key: Tensor, num_envs: int) -> Tensor:
        which = ops.expand_dims(random.uniform(key, (num_envs,)), 1)
        later = ops.greater_equal(which, self._task_bounds)
        return ops.sum(ops.cast(later, "int32"), axis=1)

    def _draw_strength(self, key: Tensor, num_envs: int) -> Tensor:
        if self.strength != "mixed":
            return ops.full((num_envs,), self.strength, dtype="float32")
        which, strength = ops.unstack(random.uniform(key, (2, num_envs)), 2)
        strength = _LEAST_STRENGTH + (1.0 - _LEAST_STRENGTH) * strength
        return ops.where(which < 1.0 / 3.0, 1.0, strength)

    def draw_bank(self, num_envs: int) -> Tensors:
        """Returns draws for the first `num_envs` contexts of the tier's fixed bank; see `banks`."""
        return draw_bank(self, TIERS[self.tier].bank, num_envs)

    def initial(self, draws: Tensors) -> Tensors:
        task = ops.cast(draws["task"], "int32")
        num_envs = task.shape[0]
        scales = {name: draws[name] for name in SCALED} if "mass" in draws else None
        starts = {name: value for name, value in draws.items() if name not in _CONTEXT}
        state = {
            "task": task,
            "constants": self._engine.constants(task, scales),
            "starts": starts,
            "body": trials.start_of_trial(starts, ops.zeros_like(task)),
            "previous_reward": ops.zeros((num_envs,), dtype="float32"),
            "discount": ops.ones((num_envs,), dtype="float32"),
            **self._view(task, draws),
            **trials.begin(num_envs, self.num_trials),
        }
        if np.any(self._repeats != self._repeats[0]):
            state["repeats"] = ops.take(self._repeats, task)
        if scales is not None:
            state["length"] = scales["length"]  # which pictures show
        if self.project_actions:
            gain = ops.reshape(ops.sqrt(ops.take(self._num_controls, task)), (-1, 1, 1))
            state["controls"] = gain * ops.transpose(draws["action_projection"], (0, 2, 1))
        return state

    def _view(self, task: Tensor, draws: Tensors) -> Tensors:
        """Returns scaling and projection as one matrix and one vector of each environment."""
        scaling = self._scaling
        matrix, offset = (ops.take(table, task, axis=0) for table in scaling[:2])
        size = (self.projected_size, matrix.shape[1])
        mixing = draws.get("observation_projection", ops.expand_dims(ops.eye(*size), 0))
        view = {
            "view": ops.sum(ops.expand_dims(mixing, 3) * ops.expand_dims(matrix, 1), axis=2),
            "view_offset": ops.sum(mixing * ops.expand_dims(offset, 1), axis=2),
        }
        if np.any(scaling.periods):
            view["periods"] = ops.take(scaling.periods, task, axis=0)
        return view

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        action = ops.cast(action, "float32")
        if self.project_actions:
            action = project(state["controls"], action)
        control = ops.clip(action, -1.0, 1.0)
        body, reward = self._decide(state, control)
        trial_over = state["trial_step"] + 1 >= self.trial_steps
        fallen = ops.zeros_like(trial_over)
        if self.end_on_fall:
            fallen = self._engine.has_fallen(state["constants"], body)
            trial_over = ops.logical_or(trial_over, fallen)

        progress = trials.advance(state, reward, trial_over)
        start = trials.start_of_trial(state["starts"], progress["trial"])
        state = {
            **state,
            **progress,
            "body": select_envs(trial_over, start, body),
            "previous_reward": reward,
            "discount": 1.0 - ops.cast(fallen, "float32"),
        }
        truncated = progress["trial"] >= self.num_trials
        return state, reward, ops.zeros_like(truncated), truncated

    def _decide(self, state: Tensors, control: Tensor) -> tuple[Tensors, Tensor]:
        """Takes the control steps of one decision; returns the body and the mean reward."""

        def step(body: Tensors) -> Any:
            body = self._engine.step(state["constants"], body, control)
            return body, self._engine.reward(state["constants"], body, control)

        most = int(self._repeats.max())
        if most == 1:
            return step(state["body"])

        def repeat(carry: Any, number: Tensor) -> Any:
            body, total = carry
            next_body, reward = step(body)
            if "repeats" in state:
                under_way = number < state["repeats"]
                next_body = select_envs(under_way, next_body, body)
                reward = ops.where(under_way, reward, 0.0)
            return (next_body, total + reward), None

        carry = (state["body"], ops.zeros_like(state["previous_reward"]))
        (body, total), _ = backend.scan(repeat, carry, ops.arange(most, dtype="int32"))
        return body, total / ops.cast(state.get("repeats", most), "float32")

    def observation(self, state: Tensors) -> Tensor:
        entries = self._engine.observation(state["constants"], state["body"])
        if "periods" in state:
            periods = state["periods"]
            turns = ops.round(entries / ops.where(periods > 0.0, periods, np.inf))
            entries = entries - periods * turns
        reward = ops.expand_dims(state["previous_reward"], 1)
        if not self.observe_reward:
            reward = ops.zeros_like(reward)
        projected = project(state["view"], entries) + state["view_offset"]
        return ops.concatenate([projected, reward, trials.start_flag(state)], axis=1)

    def discount(self, state: Tensors) -> Tensor:
        return state["discount"]

    def info(self, state: Tensors) -> Tensors:
        return {"task": state["task"], **trials.info(state)}

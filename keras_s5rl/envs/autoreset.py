"""`AutoReset`: restarts finished environments in the same step."""

import keras
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

_NEVER = 2**31 - 1


class AutoReset:
    """Runs environments without end: where an episode ends, the next starts in the same step.

    All methods are pure functions that compile. The state carries its own key, so equal states and
    actions give equal bits.

    An episode that has not ended after `max_episode_steps` is truncated there.

    Episodes are started from a pool of `num_envs` initial states. Environments that end in the same
    step take the next unused rows in their order, and each row is used once. When fewer rows are
    left than are needed, the whole pool is drawn anew. Rows are independent and identically
    distributed, and whether a row is used, or thrown away unseen at a redraw, depends only on how
    many episodes ended before, never on what the row holds: so no kind of episode is favoured, as
    short ones would be if rows were used again. Drawing and restarting are done only in steps in
    which some episode ended.

    Args:
        env: An `Environment`.

    Raises:
        ValueError: If `env.max_episode_steps` is not a positive integer of at most 10 million.

    Example:

    >>> from keras import ops
    >>> from keras_s5rl import envs, random
    >>> autoreset = envs.AutoReset(envs.AgentView(envs.make("RepeatPreviousEasy")))
    >>> state = autoreset.initial(random.key(0), num_envs=4)
    >>> autoreset.observation(state).shape
    (4, 10)
    >>> state, transition = autoreset.step(state, ops.zeros((4,), dtype="int32"))
    >>> transition["final_observation"].shape
    (4, 10)
    """

    def __init__(self, env: Environment) -> None:
        check_positive_integer("max_episode_steps", env.max_episode_steps)
        self.env = env

    def initial(self, key: Tensor, num_envs: int, stagger_starts: bool = False) -> Tensors:
        """Starts the first episodes.

        Args:
            key: uint32 tensor of shape `(2,)`.
            num_envs: Integer, number of environments.
            stagger_starts: Boolean. If True, the first episode of each environment is cut off
                (truncated) after a number of steps drawn uniformly from `1 .. max_episode_steps`,
                so that the environments get out of step with one another.

        Returns:
            The state, a dict of tensors; `state["is_first"]`, bool `(num_envs,)`, says which
            observations are the first of an episode.
        """
        key, initial_key, stagger_key = ops.unstack(random.split(key, 3), 3)
        env_state = self.env.initial(self.env.draw_initial(initial_key, num_envs))
        if stagger_starts:
            limit = self.env.max_episode_steps + 1
            cut_at = random.randint(stagger_key, (num_envs,), 1, limit)
        else:
            cut_at = ops.full((num_envs,), _NEVER, dtype="int32")
        return {
            "env": env_state,
            "is_first": ops.ones((num_envs,), dtype="bool"),
            "episode_return": ops.zeros((num_envs,), dtype="float32"),
            "episode_length": ops.zeros((num_envs,), dtype="int32"),
            "cut_at": cut_at,
            # A pool of which every row is used: what it holds does not matter.
            "pool": keras.tree.map_structure(ops.zeros_like, env_state),
            "num_used": ops.full((), num_envs, dtype="int32"),
            "key": key,
            "num_steps": ops.zeros((), dtype="int32"),
        }

    def observation(self, state: Tensors) -> Tensor:
        """Returns the observation of every environment; after an end, that of the new episode."""
        return self.env.observation(state["env"])

    def step(self, state: Tensors, action: Tensor) -> tuple[Tensors, Tensors]:
        """Takes one step in every environment and restarts those whose episode ended.

        Args:
            state: State from `initial` or `step`.
            action: Tensor in the format of the environment's `action_space`.

        Returns:
            `state, transition`. The transition is a dict of tensors with leading axis `num_envs`:

            - `reward`: float32.
            - `terminated`, `truncated`: bool; both may be set in one step.
            - `discount`: float32, the environment's `discount` after the step.
            - `final_observation`: observation after the step, before any restart.
            - `episode_return`, `episode_length`: float32 and int32, of the episode so far, this
              step included.
            - `episode_ended`: bool, the episode came to its end or its time limit. False where a
              staggered first episode is cut off, which must not count in statistics.
        """
        num_envs = ops.shape(state["is_first"])[0]
        draws = self.env.draw_step(_step_key(state, 0), num_envs)
        env_state, reward, terminated, truncated = self.env.transition(state["env"], action, draws)

        episode_length = state["episode_length"] + 1
        episode_return = state["episode_return"] + reward
        truncated = apply_time_limit(
            self.env.max_episode_steps, episode_length, terminated, truncated
        )
        episode_ended = ops.logical_or(terminated, truncated)
        truncated = ops.logical_or(truncated, episode_length >= state["cut_at"])
        done = ops.logical_or(terminated, truncated)
        transition = {
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "discount": self.env.discount(env_state),
            "final_observation": self.env.observation(env_state),
            "episode_return": episode_return,
            "episode_length": episode_length,
            "episode_ended": episode_ended,
        }

        pool, num_used = self._refill(state, done)
        state = {
            "env": self._restart(env_state, pool, num_used, done),
            "is_first": done,
            "episode_return": ops.where(done, 0.0, episode_return),
            "episode_length": ops.where(done, 0, episode_length),
            "cut_at": ops.where(done, _NEVER, state["cut_at"]),
            "pool": pool,
            "num_used": num_used + _count(done),
            "key": state["key"],
            "num_steps": state["num_steps"] + 1,
        }
        return state, transition

    def _refill(self, state: Tensors, done: Tensor) -> tuple[Tensors, Tensor]:
        """Returns the pool and how many rows of it are used; a new pool if too few are left."""
        num_envs = ops.shape(done)[0]

        def redraw() -> tuple[Tensors, Tensor]:
            pool = self.env.initial(self.env.draw_initial(_step_key(state, 1), num_envs))
            return pool, ops.zeros_like(state["num_used"])

        def keep() -> tuple[Tensors, Tensor]:
            return state["pool"], state["num_used"]

        is_needed = state["num_used"] + _count(done) > num_envs
        return backend.cond(
            backend.any_copy(is_needed), lambda: backend.cond(is_needed, redraw, keep), keep
        )

    def _restart(
        self, env_state: Tensors, pool: Tensors, num_used: Tensor, done: Tensor
    ) -> Tensors:
        """Gives the environments that are done the next rows of the pool, in order."""

        def restart() -> Tensors:
            rank = ops.cumsum(ops.cast(done, "int32")) - 1
            row = ops.clip(num_used + rank, 0, ops.shape(done)[0] - 1)
            fresh = keras.tree.map_structure(lambda tensor: ops.take(tensor, row, axis=0), pool)
            return select_envs(done, fresh, env_state)

        return backend.cond(backend.any_copy(ops.any(done)), restart, lambda: env_state)


def apply_time_limit(
    max_episode_steps: int, num_steps: Tensor, terminated: Tensor, truncated: Tensor
) -> Tensor:
    """Truncates the episodes that have not ended by themselves in `max_episode_steps` steps.

    Args:
        max_episode_steps: Integer.
        num_steps: int32 tensor `(num_envs,)`, the steps of each episode, the last one included.
        terminated, truncated: bool tensors `(num_envs,)`, how the environment ended the last step.

    Returns:
        `truncated`, set also where the limit is reached and the episode has not terminated.
    """
    is_over = ops.logical_and(num_steps >= max_episode_steps, ops.logical_not(terminated))
    return ops.logical_or(truncated, is_over)


def _step_key(state: Tensors, purpose: int) -> Tensor:
    # Keys come from counting the steps, so that a step that draws nothing computes none.
    return random.fold_in(random.fold_in(state["key"], state["num_steps"]), purpose)


def _count(flags: Tensor) -> Tensor:
    return ops.sum(ops.cast(flags, "int32"))


def select_envs(flags: Tensor, chosen: Tensors, other: Tensors) -> Tensors:
    """Takes the state of each environment from `chosen` where its flag is set, else from `other`.

    Args:
        flags: bool tensor `(num_envs,)`.
        chosen: State, a structure of tensors with leading axis `num_envs`.
        other: State of the same structure.

    Returns:
        State of the same structure. It is a selection: nothing of the other one comes through.
    """

    def select(chosen: Tensor, other: Tensor) -> Tensor:
        mask = ops.reshape(flags, (-1, *[1] * (len(other.shape) - 1)))
        return ops.where(mask, chosen, other)

    return keras.tree.map_structure(select, chosen, other)

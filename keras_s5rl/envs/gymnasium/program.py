"""`Program`: the steps of Gymnasium's environments as compiled calls."""

import pickle
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from gymnasium.vector import AutoresetMode
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.backend.programs import Programs
from keras_s5rl.envs import spaces
from keras_s5rl.envs.arguments import MAX_EPISODE_STEPS, check_positive_integer
from keras_s5rl.envs.autoreset import AutoReset, apply_time_limit, select_envs
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.environment_check import check_unless_built_in
from keras_s5rl.envs.gymnasium.random_words import Words
from keras_s5rl.envs.registry import arguments_of, make
from keras_s5rl.typing import Array, Tensor, Tensors


class Program:
    """Runs the episodes of `num_envs` environments, one compiled call a step.

    The state stays on the device. What a step returns comes to the host in one transfer, what an
    episode ended with in SAME_STEP mode in another one, made only where an episode ended.

    Args:
        env: An `Environment`.
        num_envs: Integer, number of environments.
        autoreset_mode: A `gymnasium.vector.AutoresetMode`.
        max_episode_steps: Integer, steps after which an episode is truncated.

    Raises:
        RuntimeError: From `reset`, `restart` and `step`, in a process that was forked when the
            backend was already running.
    """

    def __init__(
        self,
        env: Environment,
        num_envs: int,
        autoreset_mode: AutoresetMode | None,
        max_episode_steps: int,
    ) -> None:
        reporting = _Reporting(env, autoreset_mode, max_episode_steps)
        is_disabled = autoreset_mode == AutoresetMode.DISABLED
        self._episodes = _WithoutRestarts(reporting) if is_disabled else AutoReset(reporting)
        self.env = env
        self._num_envs = num_envs
        self._is_same_step = autoreset_mode == AutoresetMode.SAME_STEP
        self._report, self._final = Words(), Words()
        self._compiled_reset = backend.compile(self._reset)
        self._compiled_restart = backend.compile(self._restart)
        self._compiled_step = backend.compile(self._step, donate_argnums=(0,))

    def reset(self, generator: np.random.Generator) -> tuple[Any, Any]:
        """Starts an episode in every environment.

        Args:
            generator: A `numpy.random.Generator`, of which everything random from here on comes:
                two words are drawn as a key.

        Returns:
            `state, report`: the state, for `step`, and a dict of arrays with leading axis
            `num_envs`: `observation`, `reward`, `terminated`, `truncated`, and `info`, a dict.
        """
        backend.check_not_orphaned()
        state, words = self._compiled_reset(_draw_key(generator))
        return state, self._report.unpack(words)

    def restart(self, state: Any, generator: np.random.Generator, mask: Array) -> tuple[Any, Any]:
        """Starts an episode where `mask`, a bool array `(num_envs,)`, is set; else as `reset`."""
        backend.check_not_orphaned()
        state, words = self._compiled_restart(state, _draw_key(generator), mask)
        return state, self._report.unpack(words)

    def step(self, state: Any, actions: Any) -> tuple[Any, Any, Any]:
        """Takes a step in every environment.

        Args:
            state: State; it may be overwritten.
            actions: Array in the format of the environment's `action_space`.

        Returns:
            `state, report, final`: as from `reset`, and in SAME_STEP mode, where an episode ended,
            a dict of the `observation` and `info` before the restart, else None.
        """
        backend.check_not_orphaned()
        state, words, final_words = self._compiled_step(state, actions)
        report = self._report.unpack(words)
        if self._is_same_step and (report["terminated"] | report["truncated"]).any():
            return state, report, self._final.unpack(final_words)
        return state, report, None

    def env_state(self, state: Tensors | None) -> Tensors | None:
        """Returns the environment's own part of a state, a dict of tensors; None of None."""
        return None if state is None else state["env"]["env"]

    def _reset(self, key: Tensor) -> tuple[Tensors, Tensor]:
        state = self._episodes.initial(ops.convert_to_tensor(key), self._num_envs)
        return state, self._report.pack(self._episodes.observation(state))

    def _restart(self, state: Tensors, key: Tensor, mask: Tensor) -> tuple[Tensors, Tensor]:
        fresh = self._episodes.initial(ops.convert_to_tensor(key), self._num_envs)
        env_state = select_envs(ops.convert_to_tensor(mask), fresh["env"], state["env"])
        state = {**fresh, "env": env_state}
        return state, self._report.pack(self._episodes.observation(state))

    def _step(self, state: Tensors, actions: Tensor) -> tuple[Tensors, Tensor, Tensor | None]:
        state, transition = self._episodes.step(state, ops.convert_to_tensor(actions))
        report = self._episodes.observation(state)
        if not self._is_same_step:
            return state, self._report.pack(report), None
        final = transition["final_observation"]
        outcome = {name: final.pop(name) for name in ("reward", "terminated", "truncated")}
        return state, self._report.pack({**report, **outcome}), self._final.pack(final)


class _Reporting(Environment):
    """Shows what a step of Gymnasium returns, and ends episodes when they are to be restarted.

    In SAME_STEP mode that is the step in which they end, in NEXT_STEP mode the step after it: what
    the environment does there is thrown away with its state.
    """

    def __init__(
        self, env: Environment, autoreset_mode: AutoresetMode | None, max_episode_steps: int
    ) -> None:
        self.env = env
        self._limit = max_episode_steps
        self._is_same_step = autoreset_mode == AutoresetMode.SAME_STEP
        self.max_episode_steps = max_episode_steps + (not self._is_same_step)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return self.env.draw_initial(key, num_envs)

    def initial(self, draws: Tensors) -> Tensors:
        env_state = self.env.initial(draws)
        num_envs = ops.shape(keras.tree.flatten(env_state)[0])[0]
        return {
            "env": env_state,
            "num_steps": ops.zeros((num_envs,), dtype="int32"),
            "reward": ops.zeros((num_envs,), dtype="float32"),
            "terminated": ops.zeros((num_envs,), dtype="bool"),
            "truncated": ops.zeros((num_envs,), dtype="bool"),
        }

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        return self.env.draw_step(key, num_envs)

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        env_state, reward, terminated, truncated = self.env.transition(
            state["env"], spaces.clip(self.env.action_space, action), draws
        )
        num_steps = state["num_steps"] + 1
        truncated = apply_time_limit(self._limit, num_steps, terminated, truncated)
        after = {
            "env": env_state,
            "num_steps": num_steps,
            # Float32 for good: with the weak type of a Python number JAX compiles anew.
            "reward": ops.zeros_like(state["reward"]) + reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        ended = after if self._is_same_step else state
        return after, reward, ended["terminated"], ended["truncated"]

    def observation(self, state: Tensors) -> Tensor:
        return {
            "observation": self.env.observation(state["env"]),
            "info": self.env.info(state["env"]),
            "reward": state["reward"],
            "terminated": state["terminated"],
            "truncated": state["truncated"],
        }


class _WithoutRestarts:
    """Has the methods of `AutoReset`, but restarts nothing."""

    def __init__(self, env: Environment) -> None:
        self.env = env

    def initial(self, key: Tensor, num_envs: int) -> Tensors:
        key, initial_key = ops.unstack(random.split(key), 2)
        return {
            "env": self.env.initial(self.env.draw_initial(initial_key, num_envs)),
            "key": key,
            "num_steps": ops.zeros((), dtype="int32"),
        }

    def observation(self, state: Tensors) -> Tensor:
        return self.env.observation(state["env"])

    def step(self, state: Tensors, action: Tensor) -> tuple[Tensors, Any]:
        key = random.fold_in(state["key"], state["num_steps"])
        draws = self.env.draw_step(key, ops.shape(state["env"]["reward"])[0])
        env_state, *_ = self.env.transition(state["env"], action, draws)
        return {**state, "env": env_state, "num_steps": state["num_steps"] + 1}, None


def _draw_key(generator: np.random.Generator) -> Array:
    return generator.integers(2**32, size=2, dtype="uint32")


_programs = Programs()


def environment_of(
    env: str | Environment, env_args: Mapping[str, Any], max_episode_steps: int | None = None
) -> tuple[Environment, int]:
    """Returns the environment that Gymnasium is to run, and the steps of its longest episode.

    Args:
        env: String, a name that `keras_s5rl.envs.make` knows, or an `Environment`.
        env_args: Dict, arguments of the environment; empty where `env` is not a name.
        max_episode_steps: Integer, steps after which episodes are truncated that would go on, or
            None. An environment that has an argument of this name is given it.

    Raises:
        ValueError: If an argument is none of these.
    """
    if max_episode_steps is not None:
        check_positive_integer("max_episode_steps", max_episode_steps)
        if isinstance(env, str) and "max_episode_steps" in arguments_of(env):
            env_args = {**env_args, "max_episode_steps": max_episode_steps}
    if isinstance(env, str):
        made = make(env, **env_args)
    elif env_args:
        raise ValueError(
            "`env_args` should be given only with the name of an environment. Give them to the "
            f"environment itself. Received: env={env!r}, env_args={env_args}"
        )
    else:
        made = env
    check_unless_built_in(made)
    return made, min(made.max_episode_steps, max_episode_steps or MAX_EPISODE_STEPS)


def program_for(*arguments: Any) -> Program:
    """Returns the `Program` of these arguments; environments that are alike share one.

    So many single environments side by side compile as much as one, and one that is made again
    compiles nothing. Alike are those of the same class with equal attributes. One that its calls
    changed, though they should be pure, is not shared any more.
    """
    env, *others = arguments
    try:
        attributes = pickle.dumps(vars(env))
        program = _programs.get((type(env), attributes, *others), lambda: Program(*arguments))
        is_as_it_was = pickle.dumps(vars(program.env)) == attributes
    except (pickle.PicklingError, AttributeError, TypeError):
        is_as_it_was = False
    return program if is_as_it_was else Program(*arguments)


class Picklable:
    """Pickles and copies an environment in the middle of an episode, to go on with equal values.

    A subclass keeps in `_program_arguments` those of `program_for`, in `_program` the program and
    in `_state` its state. Arrays take the place of the tensors of the state, and the program is
    made anew.
    """

    _program_arguments: tuple[Any, ...]
    _program: Any
    _state: Any

    def __getstate__(self) -> dict[str, Any]:
        state = self._state
        if state is not None:  # copies: the next step may overwrite the tensors
            state = keras.tree.map_structure(lambda x: np.array(ops.convert_to_numpy(x)), state)
        return {**vars(self), "_state": state, "_program": None}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._program = program_for(*self._program_arguments)
        if self._state is not None:
            self._state = keras.tree.map_structure(ops.convert_to_tensor, self._state)

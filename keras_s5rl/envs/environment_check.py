"""`check_environment`: whether an object keeps the protocol of `Environment`."""

import copy
from typing import Any, NoReturn

import keras
import numpy as np
from gymnasium.vector.utils import batch_space
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs import spaces
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.autoreset import select_envs
from keras_s5rl.envs.gymnasium.values import (
    batch_to_array,
    single_to_array,
    single_value,
)
from keras_s5rl.envs.registry import is_built_in
from keras_s5rl.typing import Array, Space, Tensor, Tensors

_ATTRIBUTES = ("observation_space", "action_space", "max_episode_steps")
_METHODS = (
    *("draw_initial", "initial", "draw_step", "transition"),
    *("observation", "discount", "info"),
)


def check_environment(env: Any, num_envs: int = 3, num_steps: int = 0, seed: int = 0) -> None:
    """Checks that an object is an environment, as `keras_s5rl.envs.Environment` describes it.

    Its attributes are checked, and of its methods presence, structure, shapes and dtypes of what
    they return, and that a transition keeps those of the state, as a compiled loop needs it. They
    are called abstractly (on JAX and TensorFlow they are traced, not compiled, on torch they are
    run) and for two numbers of environments. `keras_s5rl.PPO` and the adapters to Gymnasium run
    this part for every environment that is not the package's own.

    With `num_steps` random actions are played, too, and values are checked: observations lie in the
    space, rewards are finite, discounts lie in `[0, 1]` and are 0 where an episode terminated.

    Args:
        env: The object to check.
        num_envs: Positive integer, number of environments; one more is the second number. Defaults
            to `3`.
        num_steps: Non-negative integer, steps to play. Episodes that are over start again once all
            are. Defaults to `0`.
        seed: Non-negative integer, from which draws and actions are made. Defaults to `0`.

    Raises:
        ValueError: At the first finding. It names the class and the method, what was expected and
            what was received; it also shows what a method of the environment raised.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.check_environment(envs.make("RepeatPreviousEasy"), num_steps=10)
    """
    check_positive_integer("num_envs", num_envs)
    if num_steps != 0:
        check_positive_integer("num_steps", num_steps)
    _check_attributes(env)
    # A copy, on which a method that is not pure may leave what is but the trace of a tensor.
    env = copy.copy(env)
    for size in (num_envs, num_envs + 1):
        methods = _Methods(env, size)
        null_actions = np.stack([spaces.null_value(env.action_space)] * size)
        backend.abstract_call(
            methods.take_one_step, random.key(seed), ops.convert_to_tensor(null_actions)
        )
    if num_steps > 0:
        _play(env, num_envs, num_steps, seed)


def check_unless_built_in(env: Any) -> None:
    """Runs `check_environment`, unless the class of `env` is the package's, whose tests do."""
    if not is_built_in(env):
        check_environment(env)


def _check_attributes(env: Any) -> None:
    if isinstance(env, type):
        raise ValueError(
            "`env` should be an environment, not the class of one. Make an object of it. Received: "
            f"env={env!r}"
        )
    name = type(env).__name__
    missing = [attribute for attribute in _ATTRIBUTES if getattr(env, attribute, None) is None]
    missing += [method for method in _METHODS if not callable(getattr(env, method, None))]
    if missing:
        raise ValueError(
            "`env` should be the name of a registered environment, or an object with the "
            "attributes and methods of `keras_s5rl.envs.Environment`. "
            f"`{name}` lacks {', '.join(missing)}. Received: env={env!r}"
        )
    for attribute in ("observation_space", "action_space"):
        spaces.check_supported(f"{name}.{attribute}", getattr(env, attribute))
    steps = env.max_episode_steps
    check_positive_integer(f"{name}.max_episode_steps", steps)
    tasks = getattr(env, "tasks", ())
    if not isinstance(tasks, tuple) or not all(isinstance(task, str) for task in tasks):
        raise ValueError(
            f"`{name}.tasks` should be a tuple of strings, empty where all episodes are of one "
            f"task. Received: tasks={tasks!r}"
        )


class _Methods:
    """Calls the methods of an environment for `num_envs` of it, and checks what they return."""

    def __init__(self, env: Any, num_envs: int) -> None:
        self._env = env
        self._num_envs = num_envs

    def take_one_step(self, key: Tensor, action: Tensor) -> None:
        state, _ = self.start(key)
        self.step(state, key, action)

    def start(self, key: Tensor) -> tuple[Tensors, Tensors]:
        """Returns the state at the start of the episodes, and what is seen of it."""
        draws = self._call("draw_initial", key, self._num_envs)
        self._check_rows("draw_initial", draws)
        state = self._call("initial", draws)
        self._check_rows("initial", state)
        if not keras.tree.flatten(state):
            self._fail("initial", "a dict of at least one tensor", "state={}")
        return state, self._look(state)

    def step(self, state: Tensors, key: Tensor, action: Tensor) -> tuple[Tensors, Tensors]:
        """Returns the state after a step, and what is seen of it and of the step."""
        draws = self._call("draw_step", key, self._num_envs)
        self._check_rows("draw_step", draws)
        outcome = self._call("transition", state, action, draws)
        if not isinstance(outcome, tuple | list) or len(outcome) != 4:
            received = f"{type(outcome).__name__} of {len(keras.tree.flatten(outcome))} values"
            self._fail("transition", "`state, reward, terminated, truncated`", received)
        self._check_state(state, outcome[0])
        state, *outcome = outcome
        outcome = dict(zip(("reward", "terminated", "truncated"), outcome, strict=True))
        for name, value in outcome.items():
            dtype = "float32" if name == "reward" else "bool"
            self._check_tensor("transition", name, value, dtype)
        return state, {**outcome, **self._look(state)}

    def _look(self, state: Tensors) -> Tensors:
        like = spaces.null_value(self._env.observation_space)
        observation = self._call("observation", state)
        self._check_tensor("observation", "observation", observation, like.dtype.name, like.shape)
        discount = self._call("discount", state)
        self._check_tensor("discount", "discount", discount, "float32")
        info = self._call("info", state)
        self._check_rows("info", info)
        if getattr(self._env, "tasks", ()):
            self._check_tensor("info", "task", info.get("task"), "int32")
        return {"observation": observation, "discount": discount}

    def _call(self, method: str, *arguments: Any) -> Any:
        before = keras.tree.flatten(arguments)
        try:
            returned = getattr(self._env, method)(*arguments)
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            raise ValueError(
                f"`{self._name(method)}` should run for {self._num_envs} environments, in compiled "
                f"code too. Received: {type(error).__name__}: {first_line}"
            ) from error
        after = keras.tree.flatten(arguments)
        if len(before) != len(after) or any(a is not b for a, b in zip(before, after, strict=True)):
            raise ValueError(
                f"`{self._name(method)}` should leave the dicts that it is given as they are, and "
                "return a new one. Received: a dict that it had changed"
            )
        return returned

    def _check_rows(self, method: str, structure: Any) -> None:
        """Checks for a dict of tensors with leading axis `num_envs`."""
        expected = f"a dict of tensors with leading axis {self._num_envs}, one row an environment"
        if not isinstance(structure, dict):
            self._fail(method, expected, _describe(structure))
        for path, leaf in _leaves(structure).items():
            if not (_is_tensor(leaf) and len(leaf.shape) > 0 and leaf.shape[0] == self._num_envs):
                self._fail(method, expected, f"{path}={_describe(leaf)}")

    def _check_state(self, before: Any, after: Any) -> None:
        """Checks that the state after a transition is like the one before."""
        self._check_rows("transition", after)
        before, after = _leaves(before), _leaves(after)
        for path in sorted({*before, *after}):
            given, returned = (
                _describe(state[path]) if path in state else "none" for state in (before, after)
            )
            if given != returned:
                expected = "a state with the names, shapes and dtypes of the one that it was given"
                self._fail("transition", f"{expected} ({path}={given})", f"{path}={returned}")

    def _check_tensor(
        self, method: str, name: str, tensor: Any, dtype: str, shape: tuple[int, ...] = ()
    ) -> None:
        expected = f"{dtype} of shape {(self._num_envs, *shape)}"
        if not _is_tensor(tensor) or _describe(tensor) != expected:
            self._fail(method, f"`{name}` as a tensor, {expected}", f"{name}={_describe(tensor)}")

    def _fail(self, method: str, expected: str, received: Any) -> NoReturn:
        raise ValueError(f"`{self._name(method)}` should return {expected}. Received: {received}")

    def _name(self, method: str) -> str:
        return f"{type(self._env).__name__}.{method}"


def _leaves(structure: Any) -> dict[str, Any]:
    """Returns the leaves of a structure by their paths."""
    leaves = keras.tree.flatten_with_path(structure)
    return {"/".join(map(str, path)): leaf for path, leaf in leaves}


def _is_tensor(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _describe(leaf: Any) -> str:
    if not _is_tensor(leaf):
        return f"{leaf!r} ({type(leaf).__name__})"
    return f"{keras.backend.standardize_dtype(leaf.dtype)} of shape {tuple(leaf.shape)}"


def _play(env: Any, num_envs: int, num_steps: int, seed: int) -> None:
    """Plays random actions and checks the values of what is returned."""
    methods = _Methods(env, num_envs)
    start, step = backend.compile(methods.start), backend.compile(methods.step)
    space = batch_space(env.action_space, num_envs)
    space.seed(seed)
    active = np.zeros(num_envs, bool)
    for index in range(num_steps):
        key = random.fold_in(random.key(seed), index)
        if not active.any():
            state, seen = start(key)
            active = np.ones(num_envs, bool)
            _check_values(env, active, **seen)
        actions = batch_to_array(env.action_space, space.sample())
        after, seen = step(state, key, ops.convert_to_tensor(actions))
        _check_values(env, active, **seen)
        # Stepping past the end is undefined: an episode that is over stays in its last state.
        state = select_envs(ops.convert_to_tensor(active), after, state)
        ends = [ops.convert_to_numpy(seen[name]) for name in ("terminated", "truncated")]
        active = active & ~np.logical_or(*ends)


def _check_values(
    env: Any,
    active: Array,
    observation: Array,
    discount: Array,
    reward: Any = 0.0,
    terminated: Any = False,
    **_: Any,
) -> None:
    """Checks values of the environments that are active, which a step or a start returned."""
    observation, discount, reward, terminated = map(
        ops.convert_to_numpy, (observation, discount, reward, terminated)
    )
    space = env.observation_space
    is_inside = [_is_value(space, observation, row) for row in range(len(active))]
    for method, expected, values, is_right in (
        ("observation", f"values of {space}", observation, np.array(is_inside)),
        ("discount", "numbers from 0 to 1", discount, (discount >= 0) & (discount <= 1)),
        ("discount", "0 where an episode terminated", discount, ~terminated | (discount == 0)),
        ("transition", "finite rewards", reward, np.isfinite(reward)),
    ):
        wrong = np.flatnonzero(active & ~is_right)
        if wrong.size:
            raise ValueError(
                f"`{type(env).__name__}.{method}` should return {expected}. Received: "
                f"{values[wrong[0]]} in environment {wrong[0]}"
            )


def _is_value(space: Space, values: Array, row: int) -> bool:
    """Whether a row of values is one of the space. Integers and bounds are compared as float32."""
    value = single_value(space, values, row)
    return value in space and np.array_equal(single_to_array(space, value)[0], values[row])

"""`HostEnvironments`: environments of Gymnasium, stepped on the host."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from keras_s5rl.envs import spaces
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.gymnasium.action_masks import ActionMaskObservation, gives_masks
from keras_s5rl.envs.gymnasium.making import env_name, is_given, make_vector_env
from keras_s5rl.envs.gymnasium.values import (
    array_to_batch,
    batch_to_array,
    legal_actions,
    single_to_array,
)
from keras_s5rl.typing import Array, Tensor, Tensors


class EnvironmentFailedError(RuntimeError):
    """An environment of somebody else's raised an exception."""


class HostEnvironments(Environment):
    """Environments of Gymnasium as functions of numpy arrays. `HostAutoReset` calls them from
    compiled programs.

    To `keras_s5rl.envs.AgentView` it is an environment whose state is
    `{"observation": observations}`. Where the environments report which actions are legal, in
    `info["action_mask"]`, that becomes an entry of the observation, a `Dict`.

    Args:
        env: What `keras_s5rl.envs.gymnasium.making.make_vector_env` takes.
        num_envs: Positive integer, number of environments.
        env_args: Dict of arguments, or `None`. Defaults to `None`.

    Attributes:
        name: String, the environment's id or the name of its class.
        autoreset_mode: `gymnasium.vector.AutoresetMode`.

    Raises:
        ValueError: If the environments cannot be made, cannot be reset, are not `num_envs`, or have
            spaces that are not supported.
    """

    def __init__(self, env: Any, num_envs: int, env_args: dict[str, Any] | None = None) -> None:
        self._made_by = (env, num_envs, env_args)
        self._is_given = is_given(env)
        self._has_masks = False
        self._failure: BaseException | None = None
        self._failures_wait = False  # for the end of `failures_raised`
        self._num_steps: int | None = None  # of the state that the environments are in
        self._seen: Any = None
        self.num_envs = num_envs
        self._envs: Any = self._made()
        self.name = env_name(self._envs)
        self._look_for_masks()
        self.autoreset_mode = AutoresetMode(
            self._envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        )
        self.action_space = self._envs.single_action_space
        self.observation_space = self._envs.single_observation_space

    def observation(self, state: Tensors) -> Tensor:
        return state["observation"]

    @property
    def results(self) -> dict[str, Any]:
        """What `step` returns, as shapes and dtypes: `observation`, `reward`, `terminated`,
        `truncated`, and in modes that restart within a step `final_observation`."""
        value = spaces.null_value(self.observation_space)
        observation = keras.KerasTensor((self.num_envs, *value.shape), value.dtype.name)
        flag = keras.KerasTensor((self.num_envs,), "bool")
        results = {
            "observation": observation,
            "reward": keras.KerasTensor((self.num_envs,), "float32"),
            "terminated": flag,
            "truncated": flag,
        }
        if self.autoreset_mode != AutoresetMode.NEXT_STEP:
            results["final_observation"] = observation
        return results

    @property
    def is_of_package(self) -> bool:
        """Whether the environments are this package's, in Gymnasium's form."""
        envs = self._envs.unwrapped
        modules = [type(env.unwrapped).__module__ for env in (envs, *getattr(envs, "envs", ()))]
        return any(module.startswith("keras_s5rl.") for module in modules)

    def is_at(self, num_steps: int, observation: Array) -> bool:
        """Returns whether the environments are where this number of steps and these observations
        left them."""
        return self._num_steps == num_steps and np.array_equal(observation, self._seen)

    def reset(self, seeds: Array, num_steps: Array) -> Array:
        """Starts new episodes.

        Args:
            seeds: int32 array `(num_envs,)`. A vector environment that is not Gymnasium's own takes
                one seed, the first.
            num_steps: int32 array `()`, the number of steps that the state is to have.

        Returns:
            The first observations, an array in the format of `Environment`.
        """

        def reset() -> dict[str, Array]:
            if self._envs is None:
                self._envs = self._made()
            return {"observation": self._array(self._reset(seeds))}

        self._num_steps = int(num_steps) - 1
        return self._guarded(reset)["observation"]

    def step(self, actions: Array) -> dict[str, Array]:
        """Takes one step in every environment.

        Args:
            actions: Array in the format of `Environment`; the numbers of a `Box` are clipped.

        Returns:
            Dict of arrays, as `results` describes it.
        """
        space = self.action_space
        actions = array_to_batch(space, legal_actions(space, actions))
        return self._guarded(lambda: self._step(actions))

    def _step(self, actions: Any) -> dict[str, Array]:
        observations, reward, terminated, truncated, infos = self._envs.step(actions)
        results = {
            "observation": self._array(observations),
            "reward": np.asarray(reward, "float32").reshape(self.num_envs),
            "terminated": np.asarray(terminated, "bool").reshape(self.num_envs),
            "truncated": np.asarray(truncated, "bool").reshape(self.num_envs),
        }
        if self.autoreset_mode == AutoresetMode.NEXT_STEP:
            return results
        results["final_observation"] = results["observation"]
        over = results["terminated"] | results["truncated"]
        if over.any() and self.autoreset_mode == AutoresetMode.SAME_STEP:
            results["final_observation"] = self._final(results["observation"], infos, over)
        elif over.any():
            observations, _ = self._envs.reset(options={"reset_mask": over.copy()})
            fresh = self._array(observations)
            rows = over.reshape(-1, *[1] * (fresh.ndim - 1))
            results["observation"] = np.where(rows, fresh, results["observation"])
        return results

    def _final(self, seen: Array, infos: dict[str, Any], over: Array) -> Array:
        """The observations with the last ones of episodes that are over."""
        final = seen.copy()
        for row in np.flatnonzero(over):
            final[row] = single_to_array(self.observation_space, infos["final_obs"][row])[0]
        return final

    @contextlib.contextmanager
    def failures_raised(self) -> Iterator[None]:
        """Raises at the end of the block, in which programs call the environments, what these have
        raised: an exception would leave a compiled program as another one, or break it.

        Raises:
            EnvironmentFailedError: If an environment raised an exception.
        """
        self._failures_wait, self._failure = True, None
        try:
            yield
        finally:
            self._failures_wait = False
        failure, self._failure = self._failure, None
        if isinstance(failure, Exception):
            raise EnvironmentFailedError(
                f"The environment {self.name} failed ({type(failure).__name__}: {failure}). The "
                "agent is that of the last whole update, and a run goes on from its last "
                "checkpoint once the environment is mended."
            ) from failure
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Closes the environments if they were made here; `reset` makes new ones."""
        if self._is_given or self._envs is None:
            return
        envs, self._envs, self._num_steps = self._envs, None, None
        envs.close()

    def _guarded(self, call: Any) -> Any:
        """The results of a call, zeros after a failure that `failures_raised` is to raise."""
        if self._failure is None:
            try:
                results = call()
                self._num_steps = None if self._num_steps is None else self._num_steps + 1
                self._seen = results["observation"]
                return results
            except BaseException as error:
                self._num_steps = None
                with contextlib.suppress(Exception):  # of an environment that is broken
                    self.close()
                if not self._failures_wait:
                    raise
                self._failure = error
        return {name: np.zeros(like.shape, like.dtype) for name, like in self.results.items()}

    def _made(self) -> VectorEnv:
        envs = make_vector_env(*self._made_by)
        if envs.num_envs != self.num_envs:
            advice = "make one by gymnasium.make_vec, or give its id or a callable that makes it"
            raise ValueError(
                f"`num_envs` should be {envs.num_envs}, the number of environments that were "
                f"given; for more of them {advice}. Received: num_envs={self.num_envs}"
            )
        return ActionMaskObservation(envs) if self._has_masks else envs

    def _look_for_masks(self) -> None:
        """Resets the environments to see whether they can be, and give masks of actions."""
        for kind in ("observation", "action"):
            space = getattr(self._envs, f"single_{kind}_space")
            spaces.check_supported(f"{self.name}.{kind}_space", space)
        try:
            self._has_masks = gives_masks(self._envs)
        except Exception as error:
            raise ValueError(
                f"`env` should be an environment that can be reset ({type(error).__name__}: "
                f"{error}). Received: env={self.name}"
            ) from error
        if self._has_masks:
            self._envs = ActionMaskObservation(self._envs)

    def _reset(self, seeds: Array) -> Any:
        seed = [int(seed) for seed in seeds]
        is_listed = isinstance(self._envs.unwrapped, SyncVectorEnv | AsyncVectorEnv)
        observations, _ = self._envs.reset(seed=seed if is_listed else seed[0])
        return observations

    def _array(self, observations: Any) -> Array:
        return batch_to_array(self.observation_space, observations)

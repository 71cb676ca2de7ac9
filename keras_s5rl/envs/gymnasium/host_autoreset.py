"""`HostAutoReset`: environments of Gymnasium in a compiled program."""

from typing import cast

from gymnasium.vector import AutoresetMode
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.gymnasium.host_environments import HostEnvironments
from keras_s5rl.envs.spaces import null_value
from keras_s5rl.typing import Tensor, Tensors


class HostAutoReset:
    """Runs environments of Gymnasium without end: what `keras_s5rl.envs.AutoReset` is to those of
    the package.

    Its methods compile, to programs that call the environments on the host. A state holds what the
    policy sees and the number of steps, not the simulators: `step` takes a step from where these
    are, so that states must be used in their order. `restarted` begins new episodes where they
    are elsewhere.

    Vector environments in the mode NEXT_STEP restart an environment in the step after the end of
    its episode. That step ignores the action and belongs to no episode: the entry `valid` of the
    transition, which exists in this mode alone, is False there.

    Args:
        env: `AgentView` of a `HostEnvironments`.

    Example:

    >>> from keras import ops
    >>> from keras_s5rl import envs, random
    >>> from keras_s5rl.envs.gymnasium.host_autoreset import HostAutoReset
    >>> from keras_s5rl.envs.gymnasium.host_environments import HostEnvironments
    >>> host = HostEnvironments("gymnasium:CartPole-v1", num_envs=4)
    >>> autoreset = HostAutoReset(envs.AgentView(host))
    >>> state = autoreset.initial(random.key(0), num_envs=4)
    >>> state, transition = autoreset.step(state, ops.zeros((4,), dtype="int32"))
    >>> transition["reward"].shape
    (4,)
    >>> host.close()
    """

    def __init__(self, env: AgentView) -> None:
        self.env = env
        self.host = cast(HostEnvironments, env.env)
        self._restarts_later = self.host.autoreset_mode == AutoresetMode.NEXT_STEP
        self._null_action = null_value(env.action_space)

    def initial(self, key: Tensor, num_envs: int, stagger_starts: bool = False) -> Tensors:
        """Starts the first episodes.

        Args:
            key: uint32 tensor of shape `(2,)`, from which the environments are seeded.
            num_envs: Integer, the number of environments that there are.
            stagger_starts: Boolean. Episodes cannot be cut off on the host: it should be False.

        Returns:
            The state, a dict of tensors, as of `AutoReset`.
        """
        if num_envs != self.host.num_envs or stagger_starts:
            raise ValueError(
                f"`num_envs` should be {self.host.num_envs} and `stagger_starts` False: these are "
                f"environments of Gymnasium. Received: num_envs={num_envs}, "
                f"stagger_starts={stagger_starts}"
            )
        return self._start(key, ops.zeros((), dtype="int32"))

    def restarted(self, state: Tensors) -> Tensors:
        """Starts new episodes, whose seeds follow from the key and the number of steps of a state;
        returns the state with them."""
        return self._start(state["key"], state["num_steps"])

    def observation(self, state: Tensors) -> Tensor:
        """Returns the observation of every environment; after an end, that of the new episode."""
        return self.env.observation(state["env"])

    def step(self, state: Tensors, action: Tensor) -> tuple[Tensors, Tensors]:
        """Takes one step in every environment.

        Args:
            state: State from `initial`, `restarted` or `step`, the last that there was.
            action: Tensor in the format of the environment's `action_space`.

        Returns:
            `state, transition`, as of `AutoReset`, and `valid` (see above) in the transition.
        """
        results = backend.ordered_host_call(self.host.step, self.host.results, action)
        reward, terminated, truncated = (
            results[name] for name in ("reward", "terminated", "truncated")
        )
        steps = ops.ones_like(state["episode_length"])
        if self._restarts_later:
            valid = ops.logical_not(state["ended"])
            reward = ops.where(valid, reward, 0.0)
            terminated = ops.logical_and(terminated, valid)
            truncated = ops.logical_and(truncated, valid)
            steps = ops.cast(valid, "int32")
        done = ops.logical_or(terminated, truncated)
        episode_return = state["episode_return"] + reward
        episode_length = state["episode_length"] + steps
        previous_action = ops.cast(action, self._null_action.dtype.name)
        final_observation = results.get("final_observation", results["observation"])
        transition = {
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "discount": 1.0 - ops.cast(terminated, "float32"),
            "final_observation": self.env.observation(
                _view_state(final_observation, previous_action, ops.zeros_like(done))
            ),
            "episode_return": episode_return,
            "episode_length": episode_length,
            "episode_ended": done,
        }
        is_first = done
        if self._restarts_later:
            is_first = state["ended"]
            transition["valid"] = valid
        rows = ops.reshape(is_first, (-1, *[1] * self._null_action.ndim))
        next_state = {
            "env": _view_state(
                results["observation"],
                ops.where(rows, self._null_action, previous_action),
                is_first,
            ),
            "is_first": is_first,
            "episode_return": ops.where(done, 0.0, episode_return),
            "episode_length": ops.where(done, 0, episode_length),
            "key": state["key"],
            "num_steps": state["num_steps"] + 1,
        }
        if self._restarts_later:
            next_state["ended"] = done
        return next_state, transition

    def _start(self, key: Tensor, num_steps: Tensor) -> Tensors:
        num_envs, flag = self.host.num_envs, ops.ones((self.host.num_envs,), dtype="bool")
        seeds = random.randint(random.fold_in(key, num_steps), (num_envs,), 0, 2**31 - 1)
        like = self.host.results["observation"]
        observation = backend.ordered_host_call(self.host.reset, like, seeds, num_steps)
        null_action = ops.convert_to_tensor(self._null_action)
        previous_action = ops.broadcast_to(null_action, (num_envs, *null_action.shape))
        state = {
            "env": _view_state(observation, previous_action, flag),
            "is_first": flag,
            "episode_return": ops.zeros((num_envs,), dtype="float32"),
            "episode_length": ops.zeros((num_envs,), dtype="int32"),
            "key": key,
            "num_steps": num_steps,
        }
        if self._restarts_later:
            state["ended"] = ops.zeros_like(flag)
        return state


def _view_state(observation: Tensor, previous_action: Tensor, is_first: Tensor) -> Tensors:
    """The state of an `AgentView` of `HostEnvironments`."""
    return {
        "env": {"observation": observation},
        "previous_action": previous_action,
        "is_first": is_first,
    }

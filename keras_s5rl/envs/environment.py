"""`Environment`: the protocol of every environment, as a small base class."""

from collections.abc import Sequence

from keras import ops

from keras_s5rl.typing import Space, Tensor, Tensors


class Environment:
    """A batch of environments as pure functions of recorded draws.

    Everything random is an input: `draw_initial` and `draw_step` make all random numbers, and
    `initial`, `transition` and `observation` are pure, deterministic and written in `keras.ops`, so
    they compile, run under `vmap` and replay recorded draws. Draws and states are dicts of tensors
    with leading axis `num_envs`.

    | kind of space | one tensor of all environments |
    | --- | --- |
    | `Discrete` | int32 `(num_envs,)` |
    | `MultiDiscrete`, `MultiBinary`; `Dict` and `Tuple` of discrete ones | int32 `(num_envs, k)` |
    | `Box`; `Dict` and `Tuple` that hold one, nested ones too | float32 `(num_envs, k)` |

    A value has `k` numbers, those of all entries side by side, in the order of the space's
    `spaces`, each row by row; pixels of an image are numbers from 0 to 255.

    A subclass sets the three attributes and defines `draw_initial`, `initial`, `transition` and
    `observation`. Stepping past the end of an episode is undefined; `keras_s5rl.envs.AutoReset`
    restarts finished environments.

    Attributes:
        observation_space: Gymnasium space of one observation.
        action_space: Gymnasium space of one action.
        max_episode_steps: Integer, the steps of the longest episode.
        tasks: Tuple of strings, the tasks that episodes are drawn from; `info(state)["task"]`,
            int32 `(num_envs,)`, then says which an environment plays. Empty where all play one.

    Example:

    >>> from keras_s5rl import envs, random
    >>> env = envs.make("RepeatPreviousEasy")
    >>> draws = env.draw_initial(random.key(0), 8)
    >>> state = env.initial(draws)
    >>> action = env.observation(state)
    >>> state, reward, terminated, truncated = env.transition(state, action, {})
    >>> reward.shape
    (8,)
    """

    observation_space: Space = None
    action_space: Space = None
    max_episode_steps: int = None  # type: ignore[assignment]  # a subclass sets it
    tasks: Sequence[str] = ()

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        """Draws everything random about the start of an episode.

        Args:
            key: uint32 tensor of shape `(2,)`, see `keras_s5rl.random`.
            num_envs: Integer, number of environments.

        Returns:
            Dict of tensors with leading axis `num_envs`, rows independent and identically
            distributed.
        """
        raise NotImplementedError(f"`{type(self).__name__}` should define `draw_initial`.")

    def initial(self, draws: Tensors) -> Tensors:
        """Returns the state at the start of the episodes of `draws`, a dict of tensors."""
        raise NotImplementedError(f"`{type(self).__name__}` should define `initial`.")

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        """Draws everything random about one step; `{}` where a step holds nothing random."""
        return {}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        """Takes one step in every environment.

        Args:
            state: Dict of tensors, from `initial` or `transition`.
            action: Tensor in the format of `action_space`.
            draws: Dict of tensors, from `draw_step`.

        Returns:
            `state, reward, terminated, truncated`: the next state, float32 `(num_envs,)` and two
            bool `(num_envs,)`. Both flags may be set in one step.
        """
        raise NotImplementedError(f"`{type(self).__name__}` should define `transition`.")

    def observation(self, state: Tensors) -> Tensor:
        """Returns the observation of `state`, a tensor in the format of `observation_space`."""
        raise NotImplementedError(f"`{type(self).__name__}` should define `observation`.")

    def discount(self, state: Tensors) -> Tensor:
        """Returns 0 where the return ends at `state`, else 1: float32 `(num_envs,)`, as in dm_env.

        The default is `1 - state["terminated"]`: a state says whether its episode has terminated.
        An environment in which the return ends while the episode goes on overrides this method.
        """
        return 1.0 - ops.cast(state["terminated"], "float32")

    def info(self, state: Tensors) -> Tensors:
        """Returns what the reference reports about `state` besides the observation.

        It is for people and for logs: a policy does not see it.

        Args:
            state: Dict of tensors, from `initial` or `transition`.

        Returns:
            Dict of tensors with leading axis `num_envs`; `{}` by default.
        """
        return {}

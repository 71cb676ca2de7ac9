"""`MultiarmedBandit`: find the arm that pays most often."""

import gymnasium
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "MultiarmedBandit": {
        "MultiarmedBanditEasy": {"num_bandits": 10, "episode_length": 200},
        "MultiarmedBanditMedium": {"num_bandits": 20, "episode_length": 400},
        "MultiarmedBanditHard": {"num_bandits": 30, "episode_length": 600},
    }
}


class MultiarmedBandit(Environment):
    """POPGym's MultiarmedBandit: find the arm that pays most often.

    Arm `a` pays with a probability `p_a` that is drawn uniformly from `[0, 1)` when the episode
    starts. With `u_t` drawn uniformly from `[0, 1)` at each step and `L = episode_length`,

        observation_{t+1} = 1 if u_t < p_{action_t}, else 0;   observation_0 = 0
        reward_t = +1 / L if observation_{t+1} == 1, else -1 / L

    so that the return lies in `[-1, 1]`. The episode never terminates and is truncated after `L`
    steps. `info` holds `bandits`, float32 `(num_envs, num_bandits)`: the probabilities.

    Args:
        num_bandits: Integer, number of arms.
        episode_length: Integer, steps after which an episode is truncated.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("MultiarmedBanditHard")
    >>> env.max_episode_steps, int(env.action_space.n)
    (600, 30)
    """

    def __init__(self, num_bandits: int = 10, episode_length: int = 200) -> None:
        check_positive_integer("num_bandits", num_bandits, largest=10_000)
        check_positive_integer("episode_length", episode_length)
        self.num_bandits = num_bandits
        self.observation_space = gymnasium.spaces.Discrete(2)
        self.action_space = gymnasium.spaces.Discrete(num_bandits)
        self.max_episode_steps = episode_length

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"bandits": random.uniform(key, (num_envs, self.num_bandits))}

    def initial(self, draws: Tensors) -> Tensors:
        bandits = ops.cast(draws["bandits"], "float32")
        time = ops.zeros_like(bandits[:, 0], dtype="int32")
        return {
            "bandits": bandits,
            "paid": ops.zeros_like(time, dtype="bool"),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        return {"u": random.uniform(key, (num_envs,))}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        arm = ops.expand_dims(ops.cast(action, "int32"), 1)
        probability = ops.squeeze(ops.take_along_axis(state["bandits"], arm, axis=1), 1)
        # In float32, as the reference compares: a recorded float64 `u` is rounded first.
        paid = ops.cast(draws["u"], "float32") < probability
        time = state["time"] + 1
        reward = ops.where(paid, 1.0, -1.0) / self.max_episode_steps
        state = {**state, "paid": paid, "time": time}
        truncated = time >= self.max_episode_steps
        return state, ops.cast(reward, "float32"), ops.zeros_like(truncated), truncated

    def observation(self, state: Tensors) -> Tensor:
        return ops.cast(state["paid"], "int32")

    def info(self, state: Tensors) -> Tensors:
        return {"bandits": state["bandits"]}

"""Small learners, and environments in which what they should do is known."""

import keras
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.models.ssm_variables import ssm_variables
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.ppo.optimizer import make_optimizer
from keras_s5rl.ppo.policy import make_policy

SMALL = {
    "num_envs": 8,
    "num_steps": 24,
    "width": 8,
    "num_layers": 2,
    "encoder_sizes": (8,),
    "head_sizes": (8,),
    "stagger_starts": True,
    "reward_scale": 10.0,
}
MEMORY_ARGS = {
    "s5": {"state_size": 8},
    "lru": {"state_size": 8},
    "attention": {"context_length": 16},
}


class Countdown(envs.Environment):
    """Observes its clock; ends by termination after 5 steps where it started odd, else by
    truncation after 7."""

    observation_space = envs.make("PositionOnlyCartPoleEasy").observation_space
    action_space = envs.make("PositionOnlyCartPoleEasy").action_space
    max_episode_steps = 7

    def draw_initial(self, key, num_envs):
        return {"odd": random.randint(key, (num_envs,), 0, 2)}

    def initial(self, draws):
        zeros = ops.zeros_like(draws["odd"])
        return {"odd": draws["odd"], "time": zeros, "terminated": ops.cast(zeros, "bool")}

    def transition(self, state, action, draws):
        time = state["time"] + 1
        terminated = ops.logical_and(state["odd"] == 1, time >= 5)
        truncated = time >= 7
        reward = 1.0 + ops.cast(action, "float32")
        return state | {"time": time, "terminated": terminated}, reward, terminated, truncated

    def observation(self, state):
        return ops.cast(ops.stack([state["time"], state["odd"]], axis=-1), "float32")


class TwoTasks(Countdown):
    """Countdown, where the two lengths are two tasks and the second has larger rewards."""

    tasks = ("even", "odd")

    def __init__(self, factor):
        self._factor = factor

    def transition(self, state, action, draws):
        state, reward, terminated, truncated = super().transition(state, action, draws)
        reward = reward * ops.where(state["odd"] == 1, self._factor, 1.0)
        return state, reward, terminated, truncated

    def info(self, state):
        return {"task": state["odd"]}


def make_learner(env="PositionOnlyCartPoleEasy", memory="s5", seed=3, **settings):
    config = PPOConfig(**SMALL | settings)
    view = envs.AgentView(envs.make(env) if isinstance(env, str) else env)
    policy = make_policy(view, memory, config, seed, MEMORY_ARGS.get(memory))
    optimizer = make_optimizer(config, 10_000, policy.trainable_variables, ssm_variables(policy))
    return Learner(envs.AutoReset(view), policy, optimizer, config)


def run_once(learner, state):
    return learner.compile(state)(state)


def to_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)

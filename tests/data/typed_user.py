"""A user's script, which `tests/typing_test.py` has type-checked; nobody runs it."""

import keras
from keras import ops

from keras_s5rl import PPO, PPOConfig, envs, load_policy, random
from keras_s5rl.layers import S5, ResidualBlock, S5Stack
from keras_s5rl.ops import linear_recurrence
from keras_s5rl.typing import Space, Tensor, Tensors


class Guess(envs.Environment):
    """Two actions, one of which pays."""

    max_episode_steps = 10

    def __init__(self, space: Space, share: float = 0.5) -> None:
        self.observation_space = space
        self.action_space = space
        self.share = share

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"answer": random.uniform(key, (num_envs,)) < self.share}

    def initial(self, draws: Tensors) -> Tensors:
        answer = ops.cast(draws["answer"], "int32")
        return {"answer": answer, "terminated": ops.zeros_like(draws["answer"])}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        paid = ops.equal(action, state["answer"])
        state = {**state, "terminated": paid}
        return state, ops.cast(paid, "float32"), paid, ops.zeros_like(paid)

    def observation(self, state: Tensors) -> Tensor:
        return ops.zeros_like(state["answer"])


def make_model(features: int) -> keras.Model:
    inputs = keras.Input((None, features))
    hidden = S5Stack(num_layers=2, width=32, state_size=64, norm="pre", name="stack")(inputs)
    block = ResidualBlock(S5(state_size=16, dtype="mixed_bfloat16"), activation="gelu")
    return keras.Model(inputs, block(hidden))


def step(layer: S5, inputs: Tensor) -> Tensor:
    state = layer.get_initial_state(batch_size=4)
    outputs, state = layer.step(inputs, None, state)
    return linear_recurrence(outputs, outputs, reverse=True)


def train(run_dir: str) -> float:
    config = PPOConfig(num_envs=16, num_steps=64, learning_rate=3e-4)
    agent = PPO("RepeatPreviousEasy", env_args={"k": 2}, memory="s5", config=config, seed=1)
    agent.fit(total_steps=4096, run_dir=run_dir, verbose=False)
    report = agent.evaluate(num_episodes=32, deterministic=False)
    agent.policy.save("policy.keras")
    return float(report["return_mean"])


def act(environment: envs.Environment) -> Tensor:
    policy = load_policy("policy.keras")
    view = envs.AgentView(environment, previous_action=True)
    state = view.initial(view.draw_initial(random.key(0), 1))
    action, _ = policy.act(view.observation(state), [True], policy.get_initial_state(1))
    return action


def names() -> list[str]:
    envs.check_environment(envs.make("RepeatPreviousEasy", k=2))
    return [name.lower() for name in envs.registered_envs()]

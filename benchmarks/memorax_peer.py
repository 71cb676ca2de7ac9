"""memorax, measured through its public interface: its PPO, and its stacks of layers.

Imported only where memorax is measured, on Keras' JAX backend.
"""

import statistics
import warnings

import flax.linen as nn
import keras
import optax
from gymnax.environments import spaces
from keras import ops
from memorax import networks
from memorax.algorithms import PPO, PPOConfig

from benchmarks.process_readings import (
    memory_of_call_mib,
    peak_memory_gib,
    seconds_since_process_start,
)
from benchmarks.timing import first_and_later_seconds, milliseconds, rates
from keras_s5rl import PPOConfig as OurConfig
from keras_s5rl import backend, envs, random
from keras_s5rl.envs.autoreset import select_envs


def measure_training(memory, config, memory_args, repeats):
    """Measures memorax's PPO on RepeatPreviousEasy.

    Args:
        memory: String, `s5` or `gru`.
        config: Dict, arguments of the package's `PPOConfig`; memorax gets the same settings.
        memory_args: Dict with `state_size`.
        repeats: Positive integer, updates timed after the first two.

    Returns:
        Dict of results, as the suite `ppo` has them.
    """
    config = OurConfig(**config)
    steps = config.steps_per_update
    agent = _agent(memory, config, memory_args["state_size"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of int64, which JAX does not have by default
        # Not compiled: XLA takes many minutes and gigabytes over the initial weights of S5.
        last = list(PPO.init.__wrapped__(agent, random.key(0)))

    def update():
        *last[:], _ = agent.train(*last, steps)
        return last[1].actor_params

    first, _ = first_and_later_seconds(update, 0)
    start_to_first_update_s = seconds_since_process_start()
    # The second compiles anew: the first was given another kind of state.
    _, seconds = first_and_later_seconds(update, repeats)
    parameters = (last[1].actor_params, last[1].critic_params)
    return {
        "parameters": _count(parameters),
        "compile_s": first - statistics.median(seconds),
        "start_to_first_update_s": start_to_first_update_s,
        **rates("steps_per_s", [steps / each for each in seconds]),
        "peak_memory_gib": peak_memory_gib(),
        "settings": {"env": "RepeatPreviousEasy", "memory": memory},
    }


def measure_stack(memory, num_layers, inputs, repeats):
    """Measures loss and gradient of memorax's layers.

    Args:
        memory: String, `s5` or `gru`.
        num_layers: Positive integer.
        inputs: Tensor `(batch, time, width)`; the state is as wide.
        repeats: Positive integer, calls timed after the first.

    Returns:
        Dict of results, as the suite `layer` has them.
    """
    batch, length, width = inputs.shape
    stack = _stack(memory, num_layers, width, state_size=width)
    mask = ops.zeros((batch, length), dtype="bool")
    parameters = stack.init(random.key(0), inputs[:, :1], mask[:, :1])
    leaves = keras.tree.flatten(parameters)

    def gradient(leaves, inputs):
        def loss(leaves):
            _, outputs = stack.apply(keras.tree.pack_sequence_as(parameters, leaves), inputs, mask)
            return 0.5 * ops.sum(ops.square(outputs)), ()

        return backend.value_and_gradients(loss, leaves)

    program = backend.compile(gradient)
    first, seconds = first_and_later_seconds(lambda: program(leaves, inputs), repeats)
    return {
        "parameters": _count(parameters),
        **milliseconds("gradient", seconds),
        "compile_s": first - statistics.median(seconds),
        "memory_mib": memory_of_call_mib(lambda: program(leaves, inputs)),
    }


class GymnaxEnv:
    """One environment of the package as gymnax has them: it restarts itself."""

    def __init__(self, env):
        self.env = env

    def action_space(self, params=None):
        return spaces.Discrete(int(self.env.action_space.n))

    def reset(self, key, params=None):
        state = self.env.initial(self.env.draw_initial(key, 1))
        return self.env.observation(state)[0], state

    def step(self, key, state, action, params=None):
        step_key, initial_key = ops.unstack(random.split(key, 2), 2)
        draws = self.env.draw_step(step_key, 1)
        state, reward, terminated, truncated = self.env.transition(state, action[None], draws)
        done = ops.logical_or(terminated, truncated)
        _, fresh = self.reset(initial_key)
        state = select_envs(done, fresh, state)
        return self.env.observation(state)[0], state, reward[0], done[0], {}


class Gated(nn.Module):
    """A sequence model, GELU and a gated linear map, as in the package's residual block."""

    model: nn.Module
    features: int

    @nn.compact
    def __call__(self, inputs, mask=None, initial_carry=None, **unused):
        carry, outputs = self.model(inputs, mask=mask, initial_carry=initial_carry)
        outputs = nn.gelu(outputs)
        gate = nn.sigmoid(nn.Dense(self.features)(outputs))
        return carry, nn.Dense(self.features)(outputs) * gate

    @nn.nowrap
    def initialize_carry(self, key, input_shape):
        return self.model.initialize_carry(key, input_shape)


def _agent(memory, config, state_size):
    env = envs.AgentView(envs.make("RepeatPreviousEasy"))
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(config.learning_rate, eps=config.adam_epsilon),
    )

    def network(head):
        encoder = networks.MLP(features=(*config.encoder_sizes, config.width))
        torso = _stack(memory, config.num_layers, config.width, state_size)
        return networks.Network(networks.FeatureExtractor(encoder), torso, head)

    settings = PPOConfig(
        name="keras_s5rl benchmark",
        num_envs=config.num_envs,
        num_eval_envs=config.num_envs,
        num_steps=config.num_steps,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        num_minibatches=config.num_minibatches,
        update_epochs=config.num_epochs,
        normalize_advantage=config.normalize_advantages == "minibatch",
        clip_coef=config.clip_epsilon,
        clip_vloss=config.value_clip is not None,
        ent_coef=config.entropy_coefficient,
        vf_coef=config.value_coefficient,
    )
    actor = network(networks.heads.Categorical(int(env.action_space.n)))
    critic = network(networks.heads.VNetwork())
    return PPO(settings, GymnaxEnv(env), None, actor, critic, optimizer, optimizer)


def _stack(memory, num_layers, width, state_size):
    return networks.Stack(
        blocks=tuple(_block(memory, width, state_size) for _ in range(num_layers))
    )


def _block(memory, width, state_size):
    if memory == "gru":
        return networks.RNN(cell=nn.GRUCell(features=width))
    # It keeps no conjugate pairs: half as many complex states are as many as the package's.
    model = networks.Memoroid(cell=networks.S5Cell(features=width, state_size=state_size // 2))
    return networks.Residual(module=networks.PreNorm(module=Gated(model, width)))


def _count(parameters):
    return sum(leaf.size for leaf in keras.tree.flatten(parameters))

"""Benchmark suite `gymnasium`: how fast agents train on environments of Gymnasium, beside
sb3-contrib's RecurrentPPO on the same ones.

Each case is an environment. One process trains three agents in turns, round after round, so that
other work on the machine slows all of them: this package's with memory s5 and with memory lstm, and
RecurrentPPO. All have 16 environments, stepped one after the other in one thread, 128 steps, 4
epochs of 4 minibatches, one layer of 64 units and heads of 64 units. RecurrentPPO has one LSTM for
actor and critic, as here; by default it has two.

Without sb3-contrib (pip install 'keras-s5rl[peers]') the package's agents are measured alone.
"""

import importlib
import time

from benchmarks import peers
from benchmarks.timing import rates

_PEER = "sb3-contrib"
_UPDATES = 4  # of a round
_CONFIG = {
    "num_envs": 16,
    "num_steps": 128,
    "num_epochs": 4,
    "num_minibatches": 4,
    "width": 64,
    "num_layers": 1,
    "encoder_sizes": (64,),
    "head_sizes": (64,),
    "anneal_learning_rate": False,  # so that a second `fit` goes on as the first
}

CASES = {
    "cart_pole": {"module": "gymnasium", "env_id": "CartPole-v1"},
    "position_only_cart_pole": {
        "module": "popgym",
        "env_id": "popgym-PositionOnlyCartPoleEasy-v0",
    },
}

# Result: heading and format of its column.
COLUMNS = {
    "s5_steps_per_s_median": ("s5 steps/s", ",.0f"),
    "s5_steps_per_s_min": ("min", ",.0f"),
    "s5_steps_per_s_max": ("max", ",.0f"),
    "lstm_steps_per_s_median": ("lstm steps/s", ",.0f"),
    "lstm_steps_per_s_min": ("min", ",.0f"),
    "lstm_steps_per_s_max": ("max", ",.0f"),
    "sb3_steps_per_s_median": ("sb3 lstm steps/s", ",.0f"),
    "sb3_steps_per_s_min": ("min", ",.0f"),
    "sb3_steps_per_s_max": ("max", ",.0f"),
    "s5_ratio": ("s5 / sb3", ".2f"),
    "lstm_ratio": ("lstm / sb3", ".2f"),
}


def measure(module, env_id, repeats):
    """Measures one environment; to be called in a process of its own, before Keras is imported.

    Args:
        module: String, the module that registers the environment.
        env_id: String, its id.
        repeats: Positive integer, rounds of 4 updates of each agent, after a first one.

    Returns:
        Dict: of each agent (`s5`, `lstm`, `sb3`) its `parameters`, and median, minimum and maximum
        over the rounds of its environment steps per second with updates; `s5_ratio` and
        `lstm_ratio` of medians to that of `sb3`; and the `settings`.
    """
    adapter = peers.load(_PEER) if peers.is_installed(_PEER) else None
    importlib.import_module(module)
    import gymnasium

    from keras_s5rl import PPO, PPOConfig

    config = PPOConfig(**_CONFIG)
    steps = _UPDATES * config.steps_per_update  # of a round
    trainings, parameters = {}, {}
    for memory in ("s5", "lstm"):
        agent = PPO(f"{module}:{env_id}", memory=memory, config=config)
        # `fit` goes on to a total; `learn` adds steps to those before.
        trainings[memory] = lambda round, agent=agent: agent.fit(round * steps, verbose=False)
        parameters[memory] = agent.num_parameters
    if adapter is not None:
        peer = adapter.make_agent(
            lambda: gymnasium.make(env_id, disable_env_checker=True),
            config,
            shared_lstm=True,
            enable_critic_lstm=False,
        )
        trainings["sb3"] = lambda round: peer.learn(steps, reset_num_timesteps=False)
        parameters["sb3"] = sum(weight.numel() for weight in peer.policy.parameters())

    found = {name: [] for name in trainings}
    for round in range(1, 2 + repeats):
        for name, train in trainings.items():
            clock = time.perf_counter()
            train(round)
            found[name].append(steps / (time.perf_counter() - clock))
    results = {}
    for name, values in found.items():
        results[f"{name}_parameters"] = parameters[name]
        results |= rates(f"{name}_steps_per_s", values[1:])
    if adapter is not None:
        of_peer = results["sb3_steps_per_s_median"]
        for name in ("s5", "lstm"):
            results[f"{name}_ratio"] = results[f"{name}_steps_per_s_median"] / of_peer
    settings = {"env": f"{module}:{env_id}", "updates_per_round": _UPDATES, **_CONFIG}
    return {**results, "settings": settings}

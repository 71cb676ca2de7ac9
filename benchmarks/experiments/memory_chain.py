"""Experiments `memory_chain` and `horizon`: one bit carried over many steps."""

import json

from benchmarks.experiments.experiment import Experiment, with_seeds

# One setting for all lengths: rollouts are whole episodes, and what an action is worth is known at
# once, so credit is short. The steps of S5 range from 1 / 3000 to 1 / 100.
_FLAGS = ("--discount=0.5", "--gae_lambda=0.5", "--num_minibatches=16", "--reward_scale=1")
_S5_FLAGS = ("--dt_min=0.0003", "--dt_max=0.01")
# Length: environment steps, and the memories that are trained. Attention stops where a rollout's
# scores, quadratic in its length, no longer fit the time of a CPU.
_CPU = {
    64: (500_000, ("s5", "s5_no_resets", "gru", "lstm", "attention")),
    256: (1_000_000, ("s5", "gru", "lstm")),
    512: (2_000_000, ("s5", "gru")),
    1024: (3_000_000, ("s5",)),
    2048: (9_000_000, ("s5",)),
}
_LONG = {4096: (20_000_000, ("s5",)), 8192: (40_000_000, ("s5",))}
_LENGTHS = {
    "smoke": {8: (128, ("s5", "gru"))},
    "cpu": _CPU,
    "gpu": _CPU | _LONG,
    "paper": _CPU | _LONG,
}
_HORIZONS = (128, 256, 512, 1024)


def _chain(length):
    return "--env_args=" + json.dumps({"memory_length": length})


def _training_flags(memory, length, total_steps):
    state_flags = _S5_FLAGS if memory.startswith("s5") else ()
    sizes = (f"--num_steps={length + 1}", f"--total_steps={total_steps}")
    start = ("--env=MemoryChain", _chain(length), f"--memory={memory}")
    context = (f"--context_length={length + 1}",) if memory == "attention" else ()
    return (*start, *_FLAGS, *sizes, *state_flags, *context)


def _chain_trainings(scale):
    trainings = []
    for length, (total_steps, memories) in _LENGTHS[scale].items():
        for memory in memories:
            flags = _training_flags(memory, length, total_steps)
            trainings += with_seeds(scale, f"length {length}", memory, flags)
    return trainings


def _horizon_trainings(scale):
    length, horizons = (8, (16,)) if scale == "smoke" else (64, _HORIZONS)
    evaluations = {f"length {each}": (_chain(each),) for each in (length, *horizons)}
    trainings = []
    for memory in ("s5", "gru", "lru", "attention"):
        flags = _training_flags(memory, length, 500_000)
        task = f"trained at {length}"
        trainings += with_seeds(scale, task, memory, flags, evaluations=evaluations)
    return trainings


# Lengths 64, 128, ..., 2048 of the paper's figure.
_PUBLISHED = {
    "s5": (1.0, 1.0, 1.0, 1.0, 0.5, 0.0),
    "lstm": (0.10, 0.20, 0.35, 0.25, -0.05, 0.10),
    "attention": (1.0, 1.0, 1.0, 0.70, -0.25, 0.05),
}

CHAIN = Experiment(
    title="Memory chain",
    claim=(
        "The paper's experiment 1 (section 5.1): S5 recalls a bit over up to 512 steps (score 1.0) "
        "and over 1024 in part (.50), an LSTM over 8, self-attention over 256."
    ),
    trainings=_chain_trainings,
    published={
        (f"length {64 * 2**index}", memory): score
        for memory, scores in _PUBLISHED.items()
        for index, score in enumerate(scores)
    },
    references={
        f"length {length}": {"without memory": 0.0, "best": 1.0} for length in (*_CPU, *_LONG)
    },
    num_episodes={"smoke": 8, "cpu": 256, "gpu": 1024, "paper": 1024},
    notes=(
        "The paper trains with A2C and 10,000 episodes, we train with PPO; steps are equal for all "
        "memories of a length.",
    ),
)

HORIZON = Experiment(
    title="Horizons longer than those of the training",
    claim=(
        "A policy is trained on chains of 64 steps and plays longer ones. Nothing is claimed by "
        "the paper."
    ),
    trainings=_horizon_trainings,
    num_episodes={"smoke": 8, "cpu": 1024, "gpu": 1024, "paper": 1024},
)

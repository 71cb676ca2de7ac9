"""Benchmark suite `runtime`: what an update costs as the sequences get longer.

A case is a memory and a length, such as `s5_1024`: an iteration of PPO in 16 environments of
RepeatPreviousEasy with rollouts of that many steps, 4 epochs of 4 minibatches of whole rollouts,
and 2 layers. Policies have about as many parameters. Attention sees a whole rollout.
"""

import dataclasses

from benchmarks.process_readings import peak_memory_gib
from benchmarks.timing import rates

LENGTHS = (64, 256, 1024, 4096, 16384)
MEMORIES = {
    "s5": {"width": 64, "memory_args": {"state_size": 256}},
    "gru": {"width": 88, "memory_args": {}},
    "lstm": {"width": 72, "memory_args": {}},
    "attention": {"width": 56, "memory_args": {}},
}
CASES = {
    f"{memory}_{length}": {"memory": memory, "length": length}
    for length in LENGTHS
    for memory in MEMORIES
}
# Result: heading and format of its column.
COLUMNS = {
    "parameters": ("parameters", ",d"),
    "compile_s": ("compile s", ".1f"),
    "seconds_median": ("seconds", ",.3f"),
    "seconds_min": ("min", ",.3f"),
    "seconds_max": ("max", ",.3f"),
    "steps_per_s": ("steps/s", ",.0f"),
    "peak_memory_gib": ("memory GiB", ".2f"),
}
_CONFIG = {"num_envs": 16, "num_layers": 2, "num_epochs": 4, "num_minibatches": 4}


def measure(memory, length, repeats):
    """Measures one case; to be called in a process of its own, before Keras is imported.

    Args:
        memory: String, the memory of the agent.
        length: Positive integer, steps of a rollout.
        repeats: Positive integer, updates timed after the first two.

    Returns:
        Dict: `parameters`; `compile_s`, the first update minus the median one; `seconds`, those of
        each update, with `seconds_median`, `seconds_min` and `seconds_max`; `steps_per_s`,
        environment steps a second of the median update; `peak_memory_gib`, the largest resident
        memory of the process; and the `settings`.
    """
    from keras_s5rl import PPO, PPOConfig

    settings = MEMORIES[memory]
    memory_args = dict(settings["memory_args"])
    if memory == "attention":
        memory_args["context_length"] = length
    config = PPOConfig(
        **_CONFIG, num_steps=length, width=settings["width"], anneal_learning_rate=False
    )
    agent = PPO("RepeatPreviousEasy", memory=memory, config=config, memory_args=memory_args)
    steps = config.steps_per_update

    def seconds_of(num_updates):
        history = agent.fit(steps * num_updates, log_every=1, verbose=False).history
        return [steps / rate for rate in history["steps_per_s"]]

    (first,) = seconds_of(1)
    _, *seconds = seconds_of(2 + repeats)  # of all updates, the first among them
    median = rates("seconds", seconds)
    return {
        "parameters": agent.num_parameters,
        "compile_s": first - median["seconds_median"],
        "seconds": seconds,
        **median,
        "steps_per_s": steps / median["seconds_median"],
        "peak_memory_gib": peak_memory_gib(),
        "settings": {"memory": memory, **dataclasses.asdict(config), **memory_args},
    }

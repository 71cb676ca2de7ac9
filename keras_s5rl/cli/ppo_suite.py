"""Benchmark suite `ppo`: how fast an agent starts and trains, with the default settings else.

Cases: `small` is 64 environments x 128 steps, width and state size 64, 2 layers; `large` 16 x 256
steps, width and state size 256, 4 layers. Both train on RepeatPreviousEasy with 4 epochs of 4
minibatches and memory s5; `small_gru`, `small_lstm` and `small_mlp` are `small` with another
memory.
"""

import os
import resource
import statistics
import sys
import time

_SMALL = {"num_envs": 64, "num_steps": 128, "width": 64, "state_size": 64, "num_layers": 2}
_LARGE = {"num_envs": 16, "num_steps": 256, "width": 256, "state_size": 256, "num_layers": 4}
_SAME = {
    "num_epochs": 4,
    "num_minibatches": 4,
    "encoder_sizes": (64,),
    "head_sizes": (64,),
    "anneal_learning_rate": False,  # so that a second `fit` may go on
}

CASES = {
    "small": {"memory": "s5", "config": {**_SMALL, **_SAME}},
    "large": {"memory": "s5", "config": {**_LARGE, **_SAME}},
    "small_gru": {"memory": "gru", "config": {**_SMALL, **_SAME}},
    "small_lstm": {"memory": "lstm", "config": {**_SMALL, **_SAME}},
    "small_mlp": {"memory": "mlp", "config": {**_SMALL, **_SAME}},
}

# Result: heading and format of its column.
COLUMNS = {
    "parameters": ("parameters", ",d"),
    "import_s": ("import s", ".1f"),
    "compile_s": ("compile s", ".1f"),
    "start_to_first_update_s": ("first update s", ".1f"),
    "steps_per_s_median": ("steps/s", ",.0f"),
    "steps_per_s_min": ("min", ",.0f"),
    "steps_per_s_max": ("max", ",.0f"),
    "peak_memory_gib": ("memory GiB", ".2f"),
}


def measure(memory, config, repeats):
    """Measures one case; to be called in a process of its own, before Keras is imported.

    Args:
        memory: String, the memory of the agent.
        config: Dict, arguments of `PPOConfig`.
        repeats: Positive integer, updates timed after the first two.

    Returns:
        Dict: `parameters`; `import_s`, seconds to import the package with Keras and its backend;
        `compile_s`, the first update minus the median one; `start_to_first_update_s`, from the
        start of the process to the end of the first update (`None` where the system does not tell);
        median, minimum and maximum of the environment steps per second of an update;
        `peak_memory_gib`, the largest resident memory of the process; and the `settings`.
    """
    clock = time.perf_counter()
    from keras_s5rl import PPO, PPOConfig

    import_s = time.perf_counter() - clock
    agent = PPO("RepeatPreviousEasy", memory=memory, config=PPOConfig(**config))
    steps = agent.config.steps_per_update

    def steps_per_s(num_updates):
        history = agent.fit(steps * num_updates, log_every=1, verbose=False)
        return history.history["steps_per_s"]

    first = steps_per_s(1)[0]
    start_to_first_update_s = _seconds_since_process_start()
    rates = steps_per_s(2 + repeats)[1:]
    median = statistics.median(rates)
    return {
        "parameters": agent.num_parameters,
        "import_s": import_s,
        "compile_s": steps / first - steps / median,
        "start_to_first_update_s": start_to_first_update_s,
        "steps_per_s_median": median,
        "steps_per_s_min": min(rates),
        "steps_per_s_max": max(rates),
        "peak_memory_gib": _peak_memory_gib(),
        "settings": {"env": agent.env, "memory": memory, **config},
    }


def _seconds_since_process_start():
    """Linux keeps the start of a process as clock ticks after boot, the 22nd field of its stat."""
    try:
        with open("/proc/self/stat") as file:
            # The second field, the program's name in parentheses, may hold spaces.
            started = int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def _peak_memory_gib():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 2**30

"""Benchmark suite `ppo`: how fast an agent starts and trains, with the default settings else.

Cases: `small` is 64 environments x 128 steps, width and state size 64, 2 layers; `large` 16 x 256
steps, width and state size 256, 4 layers. Both train on RepeatPreviousEasy with 4 epochs of 4
minibatches and memory s5; `large_bfloat16` is `large` under `mixed_bfloat16`; `small_gru`,
`small_lstm`, `small_mlp` and `large_gru` have another memory. Those that end in `_two_devices`
train on two devices together (on a CPU two cores), which JAX alone can; `small_two_processes` has
each of the two in a process of its own on this host.

`GFLOP/s` counts the products with weights: for each environment step and entry of a matrix two
operations in the rollout, and six in each epoch. `of peak` is its share of the machine's float32
product peak, `of bfloat16` that of its bfloat16 product peak.

With `--peers`: memorax's PPO with its S5 and its GRU in both configurations, and sb3-contrib's
RecurrentPPO with one LSTM of 64 units.
"""

import time

from benchmarks import peers
from benchmarks.process_readings import peak_memory_gib, seconds_since_process_start
from benchmarks.processes_together import together
from benchmarks.roofline import matrix_entries, peaks_note, product_numbers
from benchmarks.timing import rates

_SMALL = {"num_envs": 64, "num_steps": 128, "width": 64, "num_layers": 2}
_LARGE = {"num_envs": 16, "num_steps": 256, "width": 256, "num_layers": 4}
_SAME = {
    "num_epochs": 4,
    "num_minibatches": 4,
    "encoder_sizes": (64,),
    "head_sizes": (64,),
    "anneal_learning_rate": False,  # so that a second `fit` goes on as the first
    "reward_scale": 10.0,
}
_BFLOAT16 = "mixed_bfloat16"

CASES = {
    "small": {"memory": "s5", "memory_args": {"state_size": 64}, "config": {**_SMALL, **_SAME}},
    "large": {"memory": "s5", "memory_args": {"state_size": 256}, "config": {**_LARGE, **_SAME}},
    "large_bfloat16": {
        "memory": "s5",
        "memory_args": {"state_size": 256},
        "config": {**_LARGE, **_SAME, "dtype_policy": _BFLOAT16},
    },
    "small_gru": {"memory": "gru", "config": {**_SMALL, **_SAME}},
    "small_lstm": {"memory": "lstm", "config": {**_SMALL, **_SAME}},
    "small_mlp": {"memory": "mlp", "config": {**_SMALL, **_SAME}},
    "large_gru": {"memory": "gru", "config": {**_LARGE, **_SAME}},
}
CASES |= {
    f"{name}_two_devices": {
        **CASES[name],
        "config": {**CASES[name]["config"], "num_devices": 2},
    }
    for name in ("small", "large", "large_bfloat16", "small_gru")
}
CASES["small_two_processes"] = {**CASES["small_two_devices"], "num_processes": 2}
PEER_CASES = {
    "small_memorax_s5": {"peer": "memorax", "memory": "s5", "beside": "small"},
    "small_memorax_gru": {"peer": "memorax", "memory": "gru", "beside": "small"},
    "small_sb3_lstm": {"peer": "sb3-contrib", "memory": "lstm", "beside": "small"},
    "large_memorax_s5": {"peer": "memorax", "memory": "s5", "beside": "large"},
    "large_memorax_gru": {"peer": "memorax", "memory": "gru", "beside": "large"},
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
    "gflop_per_s": ("GFLOP/s", ",.1f"),
    "of_peak": ("of peak", ".0%"),
    "of_bfloat16_peak": ("of bfloat16", ".0%"),
    "peak_memory_gib": ("memory GiB", ".2f"),
}


def measure(memory, config, repeats, memory_args=None, num_processes=1):
    """Measures one case; to be called in a process of its own, before Keras is imported.

    Args:
        memory: String, the memory of the agent.
        config: Dict, arguments of `PPOConfig`.
        repeats: Positive integer, updates timed after the first two.
        memory_args: Dict of the memory's own settings, or `None` for their defaults. Defaults to
            `None`.
        num_processes: Positive integer, processes that train together; the numbers are then those
            of the first one. Defaults to `1`.

    Returns:
        Dict: `parameters`; `import_s`, seconds to import the package with Keras and its backend;
        `compile_s`, the first update minus the median one; `start_to_first_update_s`, from the
        start of the process to the end of the first update (`None` where it is unknown);
        median, minimum and maximum of the environment steps per second of an update;
        `peak_memory_gib`, the largest resident memory of the process; `gflop_per_s`, `of_peak` and
        `of_bfloat16_peak` of products with weights, and both peaks of the machine; and the
        `settings`.
    """
    arguments = memory, config, repeats, memory_args
    if num_processes == 1:
        return _measure(lambda num_devices: None, *arguments)
    result = together(num_processes, _measure, *arguments)
    result["settings"]["num_processes"] = num_processes
    return result


def _measure(join, memory, config, repeats, memory_args):
    """Measures a case in a process that first joins others, if there are any."""
    clock = time.perf_counter()
    from keras_s5rl import PPO, PPOConfig, backend

    import_s = time.perf_counter() - clock
    join(config.get("num_devices", 1))
    agent = PPO(
        "RepeatPreviousEasy", memory=memory, config=PPOConfig(**config), memory_args=memory_args
    )
    steps = agent.config.steps_per_update

    def steps_per_s(num_updates):
        history = agent.fit(steps * num_updates, log_every=1, verbose=False)
        return history.history["steps_per_s"]

    first = steps_per_s(1)[0]
    start_to_first_update_s = seconds_since_process_start()
    later = rates("steps_per_s", steps_per_s(2 + repeats)[1:])
    backend.processes.leave()
    if backend.processes.index() > 0:  # the machine's peaks are the first one's to measure
        return None
    median = later["steps_per_s_median"]
    entries = matrix_entries(agent.policy.trainable_weights)
    return {
        "parameters": agent.num_parameters,
        "import_s": import_s,
        "compile_s": steps / first - steps / median,
        "start_to_first_update_s": start_to_first_update_s,
        **later,
        "peak_memory_gib": peak_memory_gib(),  # before the machine's peaks are measured
        **product_numbers(
            operations_per_step(entries, agent.config.num_epochs) * median,
            seconds=1.0,
            is_bfloat16=agent.config.dtype_policy == _BFLOAT16,
        ),
        "settings": {"env": agent.env, "memory": memory, **config, **(memory_args or {})},
    }


def operations_per_step(entries, num_epochs):
    """Operations of products with weights for one environment step: a multiplication and an
    addition an entry forward in the rollout, and three times as many, forward and for the gradients
    of inputs and weights, in each epoch."""
    return entries * (2 + 6 * num_epochs)


def measure_peer(peer, memory, beside, repeats):
    """Measures a peer in the configuration of the case `beside`; to be called in a process of its
    own. Returns what `measure` returns, but the products."""
    clock = time.perf_counter()
    adapter = peers.load(peer)
    import_s = time.perf_counter() - clock
    case = CASES[beside]
    result = adapter.measure_training(memory, case["config"], case["memory_args"], repeats)
    return {**result, "import_s": import_s}


def note(results):
    """Returns the peak rates of the machine, and how the peers compare."""
    lines = [peaks_note(results), *_scaling(results)]
    lines += peers.ratio_lines(results, PEER_CASES, "steps_per_s_median")
    lines += peers.about_lines(results, PEER_CASES)
    return "\n".join(line for line in lines if line)


def _scaling(results):
    """How two processes compare with one that has one device, and with one that has two."""
    two = results.get("small_two_processes")
    for name in ("small", "small_two_devices"):
        if two and name in results:
            ratio = two["steps_per_s_median"] / results[name]["steps_per_s_median"]
            yield f"small_two_processes: {ratio:.2f} times as fast as {name}"

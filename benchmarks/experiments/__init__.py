"""The experiments of `launch/reproduce.py`, by name."""

from benchmarks.experiments import every_memory, memory_chain, popgym, projected

EXPERIMENTS = {
    "memory_chain": memory_chain.CHAIN,
    "horizon": memory_chain.HORIZON,
    "popgym5": popgym.FIVE,
    "popgym48": popgym.ALL,
    "every_memory": every_memory.EVERY_MEMORY,
    "projected_cartpole": projected.CARTPOLE,
    "projected_control": projected.CONTROL,
}

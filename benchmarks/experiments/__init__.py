"""The experiments of `launch/reproduce.py`, by name."""

from benchmarks.experiments import memory_chain, popgym, projected

EXPERIMENTS = {
    "memory_chain": memory_chain.CHAIN,
    "horizon": memory_chain.HORIZON,
    "popgym5": popgym.FIVE,
    "popgym48": popgym.ALL,
    "projected_cartpole": projected.CARTPOLE,
    "projected_control": projected.CONTROL,
}

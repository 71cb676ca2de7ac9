"""Experiments `projected_cartpole` and `projected_control`: tasks behind random projections."""

import json

from benchmarks.experiments.experiment import Experiment, with_seeds

_MEMORIES = ("s5", "s5_no_resets", "gru", "mlp")
_THROUGH_FALLS = '--env_args={"failure_ends_return": false}'


def _cartpole_trainings(scale):
    objectives = {
        "a fall ends the return": (),
        "the return goes through falls": (_THROUGH_FALLS,),
    }
    trainings = []
    for objective, flags in objectives.items():
        for memory in _MEMORIES if scale != "smoke" else _MEMORIES[:1]:
            start = ("--flagfile=projected_cartpole.flags", f"--memory={memory}")
            trainings += with_seeds(scale, objective, memory, (*start, *flags))
    return trainings


CARTPOLE = Experiment(
    title="Projected cart-pole",
    claim=(
        "The paper's experiment 3 (section 5.3): over 16 trials S5 sums up to 6.83, without resets "
        "5.9, a GRU to 5.9, a network without memory to 2.87; the return goes through falls."
    ),
    trainings=_cartpole_trainings,
    num_episodes={"smoke": 8, "cpu": 1024, "gpu": 4096, "paper": 4096},
    notes=("Scores are sums over the 16 trials of a context behind projections never seen.",),
)

_TASKS = ("reacher_easy", "cartpole_balance", "cartpole_swingup", "point_mass_easy")
_CPU_ARGS = {  # env_args of the preset
    "tasks": list(_TASKS),
    "task_weights": {"cartpole_balance": 2},
    "action_repeat": {"cartpole_balance": 2},
    "num_trials": 4,
    "strength": "mixed",
    "observations": "minimal",
    "end_on_fall": True,
}
_GPU_ARGS = {"num_trials": 8, "strength": "mixed"}
_IN_CONTEXT = {"in context": ("--in_context",)}


def _control_trainings(scale):
    is_small = scale in ("smoke", "cpu")
    preset = "projected_control_cpu" if is_small else "projected_control_gpu"
    env_args = _CPU_ARGS if is_small else _GPU_ARGS
    memoryless = {**env_args, "observe_reward": False}
    plain = {**env_args, "strength": 0}
    arms = {
        "s5": ("--memory=s5",),
        "gru": ("--memory=gru",),
        "memoryless": ("--memory=mlp", "--noobserve_previous_action", _env_args(memoryless)),
    }
    trainings = []
    for memory, flags in arms.items():
        start = (f"--flagfile={preset}.flags", *flags)
        trainings += with_seeds(scale, "projected", memory, start, evaluations=_IN_CONTEXT)
    own = ("--memory=s5_equivariant", "--encoder_sizes=")
    # Of the steps a sixteenth is enough.
    preset_of_own = "projected_control_equivariant" if is_small else preset
    start = (f"--flagfile={preset_of_own}.flags", *own)
    trainings += with_seeds(scale, "projected", "s5_equivariant", start, evaluations=_IN_CONTEXT)
    strength = {"in context": ("--in_context", _env_args({"strength": 0, "tier": "T1"}))}
    start = (f"--flagfile={preset}.flags", "--memory=s5", _env_args(plain))
    trainings += with_seeds(scale, "not projected", "s5", start, evaluations=strength)
    return trainings[:1] if scale == "smoke" else trainings


def _env_args(values):
    return "--env_args=" + json.dumps(values)


CONTROL = Experiment(
    title="Projected control",
    claim=(
        "The paper's experiment 4 (section 5.4): one agent learns several tasks of control behind "
        "random projections of observations and actions, and acts behind projections it has never "
        "seen; after 2 billion frames its S5 scores .915 on reacher_easy, .64 on cartpole_swingup "
        "and .805 on point_mass_easy, an LSTM .905, .525 and .77."
    ),
    trainings=_control_trainings,
    num_episodes={"smoke": 8, "cpu": 256, "gpu": 1024, "paper": 1024},
    notes=(
        "A perfect trial scores 1. T1: projections never seen; T2: tasks never trained on; T3: "
        "physics never seen. Trials have 100 decisions.",
    ),
)

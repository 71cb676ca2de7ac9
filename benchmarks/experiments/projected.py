"""Experiments `projected_cartpole` and `projected_control`: tasks behind random projections."""

import json

from benchmarks.experiments.experiment import Experiment, with_seeds
from keras_s5rl.cli.command import presets_folder

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

_IN_CONTEXT = {"in context": ("--in_context",)}


def _control_trainings(scale):
    is_small = scale in ("smoke", "cpu")
    preset = f"projected_control_{'cpu' if is_small else 'gpu'}.flags"
    env_args = _env_args_of(preset)
    # Of the steps a sixteenth is enough.
    equivariant = "projected_control_equivariant.flags" if is_small else preset
    arms = {
        "s5": (preset, "--memory=s5"),
        "gru": (preset, "--memory=gru"),
        "memoryless": (
            *(preset, "--memory=mlp", "--noobserve_previous_action"),
            _env_args(env_args | {"observe_reward": False}),
        ),
        "s5_equivariant": (equivariant, "--memory=s5_equivariant", "--encoder_sizes="),
    }
    trainings = []
    for memory, (flagfile, *flags) in arms.items():
        start = (f"--flagfile={flagfile}", *flags)
        trainings += with_seeds(scale, "projected", memory, start, evaluations=_IN_CONTEXT)
    plain = (f"--flagfile={preset}", "--memory=s5", _env_args(env_args | {"strength": 0}))
    strength = {"in context": ("--in_context", _env_args({"strength": 0, "tier": "T1"}))}
    trainings += with_seeds(scale, "not projected", "s5", plain, evaluations=strength)
    return trainings[:1] if scale == "smoke" else trainings


def _env_args_of(preset):
    """The arguments of the environment in a preset."""
    (line,) = (
        line
        for line in (presets_folder() / preset).read_text().splitlines()
        if line.startswith("--env_args=")
    )
    return json.loads(line.removeprefix("--env_args="))


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

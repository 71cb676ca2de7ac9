"""Experiment `projected_cartpole`: cart-poles behind random projections."""

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

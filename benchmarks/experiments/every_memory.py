"""Experiment `every_memory`: all memories of the package at equal parameters."""

from benchmarks.experiments.experiment import Experiment, with_seeds

# Flags at which a policy on RepeatPreviousHard has as many parameters as that with S5, within 10 %.
_SIZES = {
    "s5": ("--width=64", "--state_size=256"),
    "s5_no_resets": ("--width=64", "--state_size=256"),
    "lru": ("--width=64", "--state_size=256"),
    "s6": ("--width=120", "--state_size=16"),
    "ffm": ("--width=88",),
    "shm": ("--width=112",),
    "mingru": ("--width=96",),
    "gru": ("--width=88",),
    "lstm": ("--width=72",),
    "attention": ("--width=56",),
    "gtrxl": ("--width=40",),
    "mlp": ("--width=224",),
}
_TIME_STEPS = ("s5", "s5_no_resets")  # memories with the flag that the first task sets
_TASKS = {
    "RepeatPreviousHard": (
        *("--num_steps=155", "--discount=0.9", "--gae_lambda=0.9", "--reward_scale=20"),
        "--total_steps=1000000",
    ),
    "CountRecallEasy": ("--reward_scale=10", "--total_steps=1000000"),
    "PositionOnlyPendulumHard": (
        *("--num_envs=128", "--num_steps=100", "--reward_scale=5", "--discount=0.98"),
        *("--stagger_starts", "--total_steps=1500000"),
    ),
}


def _trainings(scale):
    trainings = []
    for task, flags in _TASKS.items():
        for memory, sizes in _SIZES.items():
            own = (f"--env={task}", f"--memory={memory}", *sizes, *flags)
            if task == "RepeatPreviousHard" and memory in _TIME_STEPS:
                own = (*own, "--dt_min=0.01")
            trainings += with_seeds(scale, task, memory, own)
    return trainings[:2] if scale == "smoke" else trainings


EVERY_MEMORY = Experiment(
    title="Every memory at equal parameters",
    claim=(
        "The paper compares S5 with a GRU and an MLP. Here are all memories of this package, with "
        "the same settings of PPO and as many parameters as S5, within 10 %, on a task of a long "
        "memory, one of counting and one of control."
    ),
    trainings=_trainings,
    num_episodes={"smoke": 8, "cpu": 1024, "gpu": 1024, "paper": 1024},
    references={
        "RepeatPreviousHard": {"random": -0.5},
    },
    notes=("The settings of the tasks were chosen with S5; none was tuned for another memory.",),
)

"""`Training` and `Experiment`: what `launch/reproduce.py` runs."""

import dataclasses
from collections.abc import Callable, Mapping

SCALES = ("smoke", "cpu", "gpu", "paper")
SCORE = "score"
_SMOKE_FLAGS = (
    *("--num_envs=4", "--width=8", "--num_layers=1", "--encoder_sizes=8", "--head_sizes=8"),
    *("--num_steps=16", "--num_minibatches=2", "--num_epochs=1", "--total_steps=128"),
)


@dataclasses.dataclass(frozen=True)
class Training:
    """One training and the scores that its policy is given.

    Args:
        task: String, the row of the table.
        memory: String, the column of the table: a memory, or a variant of one.
        seed: Integer.
        flags: Flags of train, without `--seed` and `--run_dir`.
        evaluations: Name of each score to flags of evaluate. Defaults to one score, of the
            environment that trained it.
    """

    task: str
    memory: str
    seed: int
    flags: tuple[str, ...]
    evaluations: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=lambda: {SCORE: ()}
    )

    @property
    def name(self):
        """Name of its folder."""
        return f"{self.task}_{self.memory}_seed{self.seed}".replace(" ", "_").replace("/", "-")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A claim, and the trainings that show it or do not.

    Args:
        title: String, the heading of its page.
        claim: String, what is claimed, and by whom, in a sentence or two.
        trainings: Function of a scale that returns a list of `Training`.
        published: `(task, memory)` to a published score.
        references: Task to a dict of scores without a training, such as `{"random": -0.5}`.
        num_episodes: Scale to the episodes of each score.
        notes: Strings, remarks below the table.
    """

    title: str
    claim: str
    trainings: Callable[[str], list[Training]]
    published: Mapping[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    references: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    num_episodes: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"smoke": 8, "cpu": 4096, "gpu": 4096, "paper": 4096}
    )
    notes: tuple[str, ...] = ()


def with_seeds(scale, task, memory, flags, **more):
    """Returns a training of a memory on a task for each seed: one where the scale is `smoke`, and
    that a matter of seconds, else three.

    Args:
        scale, task, memory, flags: As of `Experiment` and `Training`.
        **more: Further arguments of `Training`.
    """
    if scale == "smoke":
        return [Training(task, memory, 0, (*flags, *_SMOKE_FLAGS), **more)]
    return [Training(task, memory, seed, tuple(flags), **more) for seed in range(3)]

"""The settings of PPO and of its network; needs the standard library only."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Self

from keras_s5rl.models import settings
from keras_s5rl.models.memories import memories_with
from keras_s5rl.models.settings import Setting
from keras_s5rl.ppo.run_settings import RUN_SETTINGS


def _field(setting: Setting) -> Any:
    """A dataclass field with what the command line and the error messages need to know about it."""
    return dataclasses.field(default=setting.default, metadata={"setting": setting})


# Settings that a run may go on with another value of: its state has the same shape with any.
OVERRIDABLE_SETTINGS = (
    "num_epochs",
    "num_minibatches",
    "learning_rate",
    "ssm_learning_rate",
    "anneal_learning_rate",
    "adam_epsilon",
    "discount",
    "gae_lambda",
    "clip_epsilon",
    "value_clip",
    "value_coefficient",
    "entropy_coefficient",
    "max_grad_norm",
    "normalize_advantages",
    "treat_truncation_as_termination",
    "reward_scale",
)
_EPISODES_KEPT = 100  # at least, of all environments together, for the mean of their returns
ADVANTAGE_GROUPS = ("minibatch", "task", "none")
DTYPE_POLICIES = ("float32", "mixed_bfloat16")


class _ContradictionError(ValueError):
    """Settings multiply or contradict each other."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of proximal policy optimisation for recurrent policies, and of the network it
    trains.

    The defaults learn the memory tasks in seconds on a CPU, with `reward_scale=10` for POPGym's
    small rewards. What belongs to one memory alone is not here but in `PPO(memory_args=...)`. Every
    field is checked when the object is made; the flags of the commands are generated from the
    fields.

    Raises:
        ValueError: If a setting is out of its range, if sizes do not divide, or if settings
            multiply or contradict each other.
        TypeError: If there is no such setting.

    Example:

    >>> from keras_s5rl import PPOConfig
    >>> PPOConfig(num_envs=32, num_minibatches=8).envs_per_minibatch
    4

    Reference:
    - Schulman et al., "Proximal policy optimization algorithms", 2017. The networks are those of
      "Structured state space models for in-context reinforcement learning", section 5 and appendix
      tables 2-4.
    """

    num_envs: int = _field(settings.count(64, "environments stepped side by side"))
    num_steps: int = _field(settings.count(128, "steps of one environment in a rollout"))
    num_devices: int = _field(
        settings.count(
            1,
            "devices that train together, each with its share of the environments; on a CPU, cores",
        )
    )
    num_epochs: int = _field(settings.count(4, "passes over a rollout"))
    num_minibatches: int = _field(
        settings.count(
            4, "minibatches in a pass, each a subset of the environments over the whole rollout"
        )
    )
    learning_rate: float = _field(settings.positive(2e-3, "step size of Adam"))
    ssm_learning_rate: float | None = _field(
        settings.optional(
            settings.positive(
                5e-4,
                "step size of Adam for what a state-space memory forgets and takes in by; none is "
                "that of the other weights",
            )
        )
    )
    anneal_learning_rate: bool = _field(
        settings.flag(True, "lower the learning rates linearly to 0 at total_steps")
    )
    adam_epsilon: float = _field(settings.positive(1e-8, "epsilon of Adam"))
    discount: float = _field(
        settings.fraction(0.99, "factor on the value of the next step (gamma)")
    )
    gae_lambda: float = _field(
        settings.fraction(0.95, "decay of generalised advantage estimation (lambda)")
    )
    clip_epsilon: float = _field(settings.positive(0.2, "clipping range of the probability ratio"))
    target_kl: float | None = _field(
        settings.optional(
            settings.positive(
                0.02,
                "KL divergence from the policy of the rollout, in nats; beyond 1.5 times it an "
                "update ends; none makes all of its gradient steps",
            )
        )
    )
    value_clip: float | None = _field(
        settings.optional(
            settings.positive(
                0.2,
                "clipping range of the change of the value in the value loss, in units of scaled "
                "returns; none does not clip",
            )
        )
    )
    value_coefficient: float = _field(settings.non_negative(0.5, "weight of the value loss"))
    entropy_coefficient: float = _field(
        settings.non_negative(0.0, "weight of the entropy bonus, in nats")
    )
    max_grad_norm: float = _field(
        settings.positive(0.5, "global norm to which gradients are clipped")
    )
    normalize_advantages: str = _field(
        settings.choice(
            "minibatch",
            "give the advantages of each minibatch, or those of each task of the environment in "
            "each rollout, mean 0 and variance 1",
            ADVANTAGE_GROUPS,
        )
    )
    normalize_rewards: bool = _field(
        settings.flag(
            False,
            "divide rewards by the running size of discounted returns, those of each task by its "
            "own",
        )
    )
    treat_truncation_as_termination: bool = _field(
        settings.flag(False, "do not bootstrap where a time limit ends an episode")
    )
    reward_scale: float = _field(
        settings.positive(
            1.0,
            "factor on rewards, for learning only; 10 suits returns within -1 and 1, as POPGym's",
        )
    )
    stagger_starts: bool = _field(
        settings.flag(
            False,
            "cut the first episodes at random lengths, so that environments get out of phase",
        )
    )
    initial_log_std: float = _field(
        settings.number(
            -0.5,
            "log standard deviation of continuous actions at the start, in units of half the range "
            "of the action (nats)",
        )
    )
    min_log_std: float = _field(
        settings.number(-5.0, "smallest log standard deviation, in the same units (nats)")
    )

    width: int = _field(settings.count(64, "features between the layers of the memory"))
    num_layers: int = _field(settings.count(2, "layers of the memory"))
    activation: str = _field(
        settings.name(
            "leaky_relu",
            "activation of encoder, heads and mlp memory (a Keras name)",
            "the name of a Keras activation",
        )
    )
    encoder_sizes: tuple[int, ...] = _field(
        settings.sizes((64,), "units of the dense layers before the memory")
    )
    head_sizes: tuple[int, ...] = _field(
        settings.sizes((64,), "units of the hidden layers of the actor and of the critic")
    )
    observe_previous_action: bool = _field(
        settings.flag(
            True, "show the policy its previous action; without, mlp is a memoryless baseline"
        )
    )
    normalize_observations: bool = _field(
        settings.flag(
            False,
            "show the policy the numbers of observations less their running mean, over their "
            "running standard deviation",
        )
    )
    dtype_policy: str = _field(
        settings.choice(
            "float32",
            "Keras dtype policy; states and recurrence are always float32",
            DTYPE_POLICIES,
        )
    )

    def __new__(cls, *args: Any, **values: Any) -> Self:
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise TypeError(_why_unknown(name, values[name], known))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = field.metadata["setting"].checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check_sizes()
        self._check_contradictions()

    def _check_sizes(self) -> None:
        if self.num_envs % self.num_minibatches:
            raise ValueError(
                "`num_envs` should be a multiple of `num_minibatches`: a minibatch is a subset of "
                "the environments. "
                f"Received: num_envs={self.num_envs}, num_minibatches={self.num_minibatches}"
            )
        if self.envs_per_minibatch % self.num_devices:
            raise ValueError(
                "`num_devices` should divide the environments of a minibatch: each device has as "
                "many of them. Received: "
                f"num_devices={self.num_devices}, num_envs={self.num_envs}, "
                f"num_minibatches={self.num_minibatches}"
            )
        if self.min_log_std > self.initial_log_std:
            raise ValueError(
                "`min_log_std` should not be larger than `initial_log_std`. Received: "
                f"min_log_std={self.min_log_std}, initial_log_std={self.initial_log_std}"
            )

    def _check_contradictions(self) -> None:
        if self.normalize_rewards and self.reward_scale != 1.0:
            raise _ContradictionError(
                "`reward_scale` multiplies what `normalize_rewards` divides: leave one of them "
                f"out. Received: reward_scale={self.reward_scale}, normalize_rewards=True"
            )
        if self.treat_truncation_as_termination and self.stagger_starts:
            raise _ContradictionError(
                "`stagger_starts` cuts the first episodes, which "
                "`treat_truncation_as_termination` would take for failures: leave one of them out. "
                "Received: stagger_starts=True, treat_truncation_as_termination=True"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "PPOConfig":
        """Returns the configuration in the settings of a run, as its config.json holds them.

        A run that was trained with settings that are refused now, because they multiply or
        contradict each other, keeps them.

        Raises:
            ValueError: If a setting is missing, or is not what it should be; settings of the run
                that do not belong to the configuration, such as `env`, are checked, too.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in (*RUN_SETTINGS, *names) if name not in settings]
        if missing:
            raise ValueError(
                f"`config.json` should hold every setting of the run; {', '.join(missing)} are not "
                f"there. Restore it from a copy. Received: {len(settings)} settings"
            )
        for name, (check, expected) in RUN_SETTINGS.items():
            if not check(settings[name]):
                raise ValueError(
                    f"`{name}` in config.json should be {expected}. "
                    f"Received: {name}={settings[name]!r}"
                )
        values = {name: settings[name] for name in names}
        try:
            return cls(**values)
        except _ContradictionError:
            return _RecordedConfig(**values)

    @property
    def steps_per_update(self) -> int:
        """Environment steps in one rollout of all environments."""
        return self.num_envs * self.num_steps

    @property
    def needs_tasks(self) -> bool:
        """Whether learning distinguishes the tasks from which an environment draws its episodes."""
        return self.normalize_advantages == "task" or self.normalize_rewards

    @property
    def envs_per_minibatch(self) -> int:
        """Environments whose whole rollouts make one minibatch."""
        return self.num_envs // self.num_minibatches

    @property
    def envs_per_device(self) -> int:
        """Environments that each of the devices steps."""
        return self.num_envs // self.num_devices

    @property
    def episodes_kept(self) -> int:
        """Episodes of each environment over which returns are averaged: a hundred of all."""
        return -(-_EPISODES_KEPT // self.num_envs)

    def num_updates(self, total_steps: int) -> int:
        """Updates that take in `total_steps` environment steps, rounded up to a whole one."""
        return -(-total_steps // self.steps_per_update)

    def gradient_steps(self, total_steps: int) -> int:
        """Optimizer steps in `total_steps` environment steps."""
        return self.num_updates(total_steps) * self.num_epochs * self.num_minibatches


def _why_unknown(name: str, value: Any, known: list[str]) -> str:
    memories = memories_with(name)
    if memories:
        return (
            f"`{name}` is a setting of the memories {', '.join(memories)}, not of `PPOConfig`: "
            f"give it as `PPO(memory_args={{{name!r}: {value!r}}})`. Received: {name}={value!r}"
        )
    near = difflib.get_close_matches(name, known)
    hint = f"; did you mean `{near[0]}`?" if near else f": it has {', '.join(known)}."
    return f"`PPOConfig` has no setting `{name}`{hint} Received: {name}={value!r}"


class _RecordedConfig(PPOConfig):
    """That of a run from before contradictions were refused."""

    def _check_contradictions(self) -> None:
        pass

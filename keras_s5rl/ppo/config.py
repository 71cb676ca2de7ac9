"""The settings of PPO and of its network; needs the standard library only."""

import dataclasses
import math


def _setting(default, help, check, expected):
    """A dataclass field with what the command line and the error messages need to know about it."""
    metadata = {"help": help, "check": check, "expected": expected}
    return dataclasses.field(default=default, metadata=metadata)


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    if _is_integer(value):
        return abs(value) < 2**1023  # it becomes a float
    return isinstance(value, float) and math.isfinite(value)


def _is_count(value):
    return _is_integer(value) and 0 < value < 2**63


def _is_name(value):
    return isinstance(value, str) and value != ""


def _count(default, help):
    return _setting(default, help, _is_count, "a positive integer")


def _positive(default, help):
    return _setting(default, help, lambda v: _is_number(v) and v > 0, "a positive number")


def _non_negative(default, help):
    return _setting(default, help, lambda v: _is_number(v) and v >= 0, "a number of 0 or more")


def _fraction(default, help):
    return _setting(default, help, lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1")


def _number(default, help):
    return _setting(default, help, _is_number, "a finite number")


def _flag(default, help):
    return _setting(default, help, lambda v: isinstance(v, bool), "True or False")


def _choice(default, help, options):
    return _setting(default, help, lambda v: v in options, f"one of {options}")


def _sizes(default, help):
    def check(value):
        return isinstance(value, tuple) and all(map(_is_count, value))

    return _setting(default, help, check, "a tuple of positive integers")


NORMS = (None, "pre", "post")
BLOCK_ACTIVATIONS = ("full_glu", "half_glu1", "half_glu2", "gelu")
# The settings of a run beside those of `PPOConfig`: the check of each, and what it should be.
RUN_SETTINGS = {
    "env": (_is_name, "the name of an environment"),
    "env_args": (lambda v: isinstance(v, dict), "a JSON object"),
    "memory": (_is_name, "the name of a memory"),
    "backend": (_is_name, "the name of a Keras backend"),
    "seed": (lambda v: _is_integer(v) and 0 <= v < 2**32, "an integer from 0 to 2**32 - 1"),
    "num_seeds": (_is_count, "a positive integer"),
    "total_steps": (_is_count, "a positive integer"),
    "checkpoint_every": (_is_count, "a positive integer"),
    "log_every": (_is_count, "a positive integer"),
}
# Settings that runs written by earlier versions lack; nothing that they trained depends on them.
LATER_SETTINGS = (
    "context_length",
    "num_heads",
    "observe_previous_action",
    "normalize_advantages_per_task",
    "normalize_rewards",
    "num_devices",
)
# Settings that a run may go on with another value of: its state has the same shape with any.
OVERRIDABLE_SETTINGS = (
    "num_epochs",
    "num_minibatches",
    "learning_rate",
    "anneal_learning_rate",
    "adam_epsilon",
    "discount",
    "gae_lambda",
    "clip_epsilon",
    "clip_value_loss",
    "value_coefficient",
    "entropy_coefficient",
    "max_grad_norm",
    "normalize_advantages",
    "normalize_advantages_per_task",
    "treat_truncation_as_termination",
    "reward_scale",
)
_EPISODES_KEPT = 100  # at least, of all environments together, for the mean of their returns
DTYPE_POLICIES = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of proximal policy optimisation for recurrent policies, and of the network it
    trains.

    The defaults learn the memory tasks in seconds on a CPU. Every field is checked when the object
    is made; the flags of the commands are generated from the fields.

    Raises:
        ValueError: If a setting is out of its range, or if sizes do not divide.

    Example:

    >>> from keras_s5rl import PPOConfig
    >>> PPOConfig(num_envs=32, num_minibatches=8).envs_per_minibatch
    4

    Reference:
    - Schulman et al., "Proximal policy optimization algorithms", 2017. The networks are those of
      "Structured state space models for in-context reinforcement learning", section 5 and appendix
      tables 2-4.
    """

    num_envs: int = _count(64, "environments stepped side by side")
    num_steps: int = _count(128, "steps of one environment in a rollout")
    num_devices: int = _count(
        1,
        "devices that train together, each with its share of the environments; on a CPU, cores",
    )
    num_epochs: int = _count(4, "passes over a rollout")
    num_minibatches: int = _count(
        4, "minibatches in a pass, each a subset of the environments over the whole rollout"
    )
    learning_rate: float = _positive(2e-3, "step size of Adam")
    anneal_learning_rate: bool = _flag(True, "lower the learning rate linearly to 0 at total_steps")
    adam_epsilon: float = _positive(1e-8, "epsilon of Adam")
    discount: float = _fraction(0.99, "factor on the value of the next step (gamma)")
    gae_lambda: float = _fraction(0.95, "decay of generalised advantage estimation (lambda)")
    clip_epsilon: float = _positive(0.2, "clipping range of the probability ratio")
    clip_value_loss: bool = _flag(
        False, "clip the change of the value by clip_epsilon in the value loss"
    )
    value_coefficient: float = _non_negative(0.5, "weight of the value loss")
    entropy_coefficient: float = _non_negative(0.0, "weight of the entropy bonus, in nats")
    max_grad_norm: float = _positive(0.5, "global norm to which gradients are clipped")
    normalize_advantages: bool = _flag(
        True, "give the advantages of each minibatch mean 0 and variance 1"
    )
    normalize_advantages_per_task: bool = _flag(
        False,
        "instead give those of each task of the environment mean 0 and variance 1 in each rollout",
    )
    normalize_rewards: bool = _flag(
        False,
        "divide rewards by the running size of discounted returns, those of each task by its own",
    )
    treat_truncation_as_termination: bool = _flag(
        False, "do not bootstrap where a time limit ends an episode"
    )
    reward_scale: float = _positive(
        10.0, "factor on rewards, for learning only; 10 suits returns within -1 and 1, as POPGym's"
    )
    stagger_starts: bool = _flag(
        False, "cut the first episodes at random lengths, so that environments get out of phase"
    )
    initial_log_std: float = _number(
        -0.5,
        "log standard deviation of continuous actions at the start, in units of half the range of "
        "the action (nats)",
    )
    min_log_std: float = _number(-5.0, "smallest log standard deviation, in the same units (nats)")

    width: int = _count(64, "features between the layers of the memory")
    state_size: int = _count(
        64, "real state entries of each S5 layer: half as many complex numbers"
    )
    num_layers: int = _count(2, "layers of the memory")
    norm: str | None = _choice(
        "pre", "layer normalisation before or after each S5 block, or none", NORMS
    )
    activation: str = _setting(
        "leaky_relu",
        "activation of encoder, heads and mlp memory (a Keras name)",
        lambda v: isinstance(v, str) and v != "",
        "the name of a Keras activation",
    )
    block_activation: str = _choice("full_glu", "gate of each S5 block", BLOCK_ACTIVATIONS)
    clip_eigenvalues: bool = _flag(
        True, "keep the real parts of S5's eigenvalues below -1e-4, so that no state grows"
    )
    dt_min: float = _positive(1e-3, "smallest initial time step of S5")
    dt_max: float = _positive(1e-1, "largest initial time step of S5")
    encoder_sizes: tuple[int, ...] = _sizes((64,), "units of the dense layers before the memory")
    head_sizes: tuple[int, ...] = _sizes(
        (64,), "units of the hidden layers of the actor and of the critic"
    )
    context_length: int = _count(
        128, "steps that a step of the attention memory sees in each layer, itself among them"
    )
    num_heads: int = _count(4, "heads of the attention memory; they divide width")
    observe_previous_action: bool = _flag(
        True, "show the policy its previous action; False with memory=mlp is a memoryless floor"
    )
    dtype_policy: str = _choice(
        "float32", "Keras dtype policy; states and recurrence are always float32", DTYPE_POLICIES
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # a JSON file has no tuples
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if field.type is float and _is_integer(value) and _is_number(value):
                object.__setattr__(self, field.name, float(value))
            if not field.metadata["check"](value):
                raise ValueError(
                    f"`{field.name}` ({field.metadata['help']}) should be "
                    f"{field.metadata['expected']}. "
                    f"Received: {field.name}={value!r}"
                )
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
        if self.state_size % 2:
            raise ValueError(
                "`state_size` should be even: conjugate pairs of states are kept as one complex "
                "number. "
                f"Received: state_size={self.state_size}"
            )
        if self.dt_min > self.dt_max:
            raise ValueError(
                "`dt_min` should not be larger than `dt_max`. "
                f"Received: dt_min={self.dt_min}, dt_max={self.dt_max}"
            )

        if self.min_log_std > self.initial_log_std:
            raise ValueError(
                "`min_log_std` should not be larger than `initial_log_std`. Received: "
                f"min_log_std={self.min_log_std}, initial_log_std={self.initial_log_std}"
            )

    @classmethod
    def from_settings(cls, settings):
        """Returns the configuration in the settings of a run, as its config.json holds them.

        A setting that the run's version did not have yet gets its default.

        Raises:
            ValueError: If a setting is missing, or is not what it should be; settings of the run
                that do not belong to the configuration, such as `env`, are checked, too.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [
            name
            for name in (*RUN_SETTINGS, *names)
            if name not in settings and name not in LATER_SETTINGS
        ]
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
        return cls(**{name: settings[name] for name in names if name in settings})

    @property
    def steps_per_update(self):
        """Environment steps in one rollout of all environments."""
        return self.num_envs * self.num_steps

    @property
    def needs_tasks(self):
        """Whether learning tells apart the tasks from which an environment draws its episodes."""
        return self.normalize_advantages_per_task or self.normalize_rewards

    @property
    def envs_per_minibatch(self):
        """Environments whose whole rollouts make one minibatch."""
        return self.num_envs // self.num_minibatches

    @property
    def envs_per_device(self):
        """Environments that each of the devices steps."""
        return self.num_envs // self.num_devices

    @property
    def episodes_kept(self):
        """Episodes of each environment over which returns are averaged: a hundred of all."""
        return -(-_EPISODES_KEPT // self.num_envs)

    def num_updates(self, total_steps):
        """Updates that take in `total_steps` environment steps, rounded up to a whole one."""
        return -(-total_steps // self.steps_per_update)

    def gradient_steps(self, total_steps):
        """Optimizer steps in `total_steps` environment steps."""
        return self.num_updates(total_steps) * self.num_epochs * self.num_minibatches

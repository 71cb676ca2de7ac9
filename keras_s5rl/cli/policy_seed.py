"""The flag that chooses one policy of a run of several seeds."""

from typing import Any

from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer


def define_policy_seed_flag(values: FlagValues, otherwise: str) -> None:
    define_integer(
        "policy_seed",
        None,
        f"of a run of several seeds, the one whose policy is taken; {otherwise}",
        values,
        lower_bound=0,
    )


def check_policy_seed(values: FlagValues, config: dict[str, Any], use: str) -> None:
    """Raises a UsageError where a use needs one policy, and the run has several."""
    if config["num_seeds"] > 1 and values.policy_seed is None:
        first = config["seed"]
        raise UsageError(
            f"`policy_seed` should be one of the run's seeds, {first} to "
            f"{first + config['num_seeds'] - 1}, for `{use}`, which takes one policy. "
            "Received: policy_seed=None"
        )

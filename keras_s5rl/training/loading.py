"""Agents of recorded runs: `PPO.load` without its documentation."""

from collections.abc import Callable
from typing import Any

from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.models import Policy
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.training.arguments import check_path
from keras_s5rl.training.checks import check_known
from keras_s5rl.training.given_policy import policy_of
from keras_s5rl.training.recorder import Recorder
from keras_s5rl.training.seed_records import checkpoint_of_seed
from keras_s5rl.typing import StrPath


def load_agent(
    kind: Any,
    run_dir: StrPath,
    accept_edited_config: bool,
    policy: Policy | None,
    seed: int | None,
) -> Any:
    """Returns what `kind.load` returns, of `PPO` or a subclass; the other arguments are its."""
    check_path("run_dir", run_dir, required=True)
    check_boolean("accept_edited_config", accept_edited_config)
    settings, restore = Recorder.read(run_dir, accept_edited_config)
    check_known(settings)
    if seed is not None:
        settings, restore = _of_seed(settings, restore, seed)
    agent = kind(
        settings["env"],
        settings["env_args"],
        settings["memory"],
        PPOConfig.from_settings(settings),
        settings["seed"],
        settings["memory_args"],
        settings["imports"],
        settings["encoder"],
        policy_of(settings, policy),
        settings["num_seeds"],
    )
    restore(agent.prepare(settings["total_steps"]).restore)
    return agent


def _of_seed(
    settings: dict[str, Any], restore: Callable[..., Any], seed: int
) -> tuple[dict[str, Any], Callable[..., Any]]:
    """Settings and checkpoints of one of the seeds of a run, as if it had trained alone."""
    first, num_seeds = settings["seed"], settings["num_seeds"]
    if seed not in range(first, first + num_seeds):
        raise ValueError(
            f"`seed` should be one of the run's, {first} to {first + num_seeds - 1}. "
            f"Received: seed={seed}"
        )
    index = seed - first

    def restore_seed(function: Callable[..., Any]) -> Any:
        return restore(lambda checkpoint: function(checkpoint_of_seed(checkpoint, index)))

    return {**settings, "seed": seed, "num_seeds": 1}, restore_seed

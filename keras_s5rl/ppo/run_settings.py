"""The settings of a run beside those of `PPOConfig`; needs the standard library only."""

from typing import Any

from keras_s5rl.models import settings

# Of evaluations while training.
EVALUATION_SETTINGS = {
    "eval_every": settings.optional(
        settings.count(1, "updates between evaluations while training; none does not evaluate")
    ),
    "eval_episodes": settings.count(64, "episodes of an evaluation while training"),
    "early_stop_patience": settings.optional(
        settings.count(
            1, "evaluations without a better score after which training stops; none does not stop"
        )
    ),
}


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


_NAME = settings.name("", "")
_COUNT = settings.count(1, "")
# The check of each, and what it should be.
RUN_SETTINGS = {
    "env": (_NAME.check, "the name of an environment"),
    "env_args": (lambda v: isinstance(v, dict), "a JSON object"),
    "memory": (_NAME.check, "the name of a memory"),
    "memory_args": (lambda v: isinstance(v, dict), "a JSON object"),
    "encoder": (
        lambda v: _NAME.check(v) or isinstance(v, dict),
        "the name of an encoder, or a serialised Keras layer",
    ),
    "backend": (_NAME.check, "the name of a Keras backend"),
    "seed": (_is_seed, "an integer from 0 to 2**32 - 1"),
    "num_seeds": (_COUNT.check, _COUNT.expected),
    "total_steps": (_COUNT.check, _COUNT.expected),
    "checkpoint_every": (_COUNT.check, _COUNT.expected),
    "log_every": (_COUNT.check, _COUNT.expected),
    **{name: (setting.check, setting.expected) for name, setting in EVALUATION_SETTINGS.items()},
}

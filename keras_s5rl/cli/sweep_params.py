"""Parameters of a sweep, as the command line has them: choices and ranges of flags of train."""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.command import UsageError

_FORM = "name:value,value,... or name:low..high or name:low..high:log"
_RANGE = re.compile(r"(?P<low>[^.:]\S*?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")


@dataclasses.dataclass(frozen=True)
class Param:
    """A flag of train, and the values that it may have.

    Args:
        name: the flag.
        choices: its values, as text; or `()` where it has a range.
        low: the lower end of the range, which belongs to it; an int where only whole numbers do.
        high: the upper end.
        log: whether the range is one of orders of magnitude.
    """

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    def suggest(self, trial: Any) -> str:
        """Returns the value that an `optuna.trial.Trial` gives the flag, as text."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return str(trial.suggest_int(self.name, self.low, self.high, log=self.log))
        return repr(float(trial.suggest_float(self.name, self.low, self.high, log=self.log)))

    def examples(self) -> tuple[str, ...]:
        """All choices, or both ends of the range: what can be checked before the work."""
        return self.choices or (str(self.low), str(self.high))


def parse_param(text: str) -> Param:
    """Returns the `Param` that a text describes.

    Args:
        text: String, `name:value,value,...`, `name:low..high` or `name:low..high:log`.

    Raises:
        UsageError: If the text has another form.

    Example:

    >>> parse_param("width:64,128").choices
    ('64', '128')
    >>> parse_param("learning_rate:1e-4..1e-2:log")
    Param(name='learning_rate', choices=(), low=0.0001, high=0.01, log=True)
    >>> parse_param("num_layers:1..4").high
    4
    """
    name, _, values = text.partition(":")
    found = _RANGE.fullmatch(values)
    if found:
        low, high = _number(found["low"]), _number(found["high"])
        if low is not None and high is not None and low < high and (low > 0 or not found["log"]):
            if isinstance(low, float) or isinstance(high, float):
                low, high = float(low), float(high)
            return Param(name, low=low, high=high, log=bool(found["log"]))
    choices = tuple(values.split(",")) if values else ()
    is_list = ".." not in values and all(choices) and len(set(choices)) == len(choices)
    if not (name.isidentifier() and choices and is_list):
        raise UsageError(
            f"`param` should be {_FORM}, such as learning_rate:1e-4..1e-2:log. "
            f"Received: param={text}"
        )
    return Param(name, choices)


def grid(params: Sequence[Param]) -> list[dict[str, str]]:
    """Returns all combinations of choices.

    Raises:
        UsageError: If a parameter has a range.
    """
    for param in params:
        if not param.choices:
            raise UsageError(
                "`param` should be a list of values for the sampler grid, such as "
                f"{param.name}:1,2,4. Received: param={param.name}:{param.low}..{param.high}"
            )
    names = [param.name for param in params]
    values = itertools.product(*(param.choices for param in params))
    return [dict(zip(names, combination, strict=True)) for combination in values]


def _number(text: str) -> float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None

"""How the entries of each task's observation are brought to a common size before projecting."""

import collections
import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of an observation: it is wrapped to one period around 0, centred and divided.

    Args:
        scale: A typical size, in the unit of the entry.
        center: What it is near to in a good state.
        period: The period of an angle that turns without limit, or 0.
        minimal: Boolean, False if the others determine it or it hardly varies.
    """

    scale: float = 1.0
    center: float = 0.0
    period: float = 0.0
    minimal: bool = True


_RATIO = Entry()  # a sine or a cosine, or another number of that size
_TRACK = Entry()  # the cart's position


def _cart_pole(slider_speed: float, *hinge_speeds: float) -> tuple[Entry, ...]:
    poles = (_RATIO, _RATIO) * len(hinge_speeds)
    return (_TRACK, *poles, Entry(slider_speed), *(Entry(speed) for speed in hinge_speeds))


_BALANCE = (_TRACK, Entry(center=1.0, minimal=False), Entry(0.3), Entry(2.0), Entry(2.0))
_ACROBOT = (_RATIO, _RATIO, _RATIO, _RATIO, Entry(4.0), Entry(7.0))
_REACHER = (
    *(Entry(math.pi, period=2 * math.pi), Entry(math.pi)),
    *(Entry(0.2), Entry(0.2), Entry(5.0), Entry(5.0)),
)
_POINT_MASS = (Entry(0.25), Entry(0.25), Entry(0.1), Entry(0.1))
_FINGER = (
    *(Entry(2.0), Entry(1.5), Entry(0.1), Entry(0.1)),
    *(Entry(7.0), Entry(4.0), Entry(4.0), _RATIO, _RATIO),
)
_FINGER_AND_TARGET = (*_FINGER, Entry(0.1), Entry(0.1), Entry(0.1))

# In the order of DMC's observation; speeds as they are under random actions.
ENTRIES = {
    "pendulum_swingup": (_RATIO, _RATIO, Entry(4.0)),
    "cartpole_balance": _BALANCE,
    "cartpole_balance_sparse": _BALANCE,
    "cartpole_swingup": _cart_pole(2.0, 3.0),
    "cartpole_swingup_sparse": _cart_pole(2.0, 3.0),
    "cartpole_two_poles": _cart_pole(2.0, 3.0, 7.0),
    "cartpole_three_poles": _cart_pole(2.0, 3.0, 6.0, 8.0),
    "acrobot_swingup": _ACROBOT,
    "acrobot_swingup_sparse": _ACROBOT,
    "reacher_easy": _REACHER,
    "reacher_hard": _REACHER,
    "point_mass_easy": _POINT_MASS,
    "point_mass_hard": _POINT_MASS,
    "ball_in_cup_catch": (Entry(0.25),) * 4 + (Entry(1.0),) * 4,
    "finger_spin": _FINGER,
    "finger_turn_easy": _FINGER_AND_TARGET,
    "finger_turn_hard": _FINGER_AND_TARGET,
}


Scaling = collections.namedtuple("Scaling", ("matrix", "offset", "periods"))


def task_entries(task: str, size: int, minimal: bool) -> list[tuple[int, Entry]]:
    """Returns what is kept of the `size` entries of a task's observation.

    Args:
        task: String, its name. The entries of a task that is not in `ENTRIES` are left as they are.
        size: Integer.
        minimal: Boolean, whether only the minimal entries are kept.

    Returns:
        List of pairs: the place in the observation, and its `Entry`.
    """
    entries = enumerate(ENTRIES.get(task, (Entry(),) * size))
    return [(place, entry) for place, entry in entries if entry.minimal or not minimal]


def scaling_tables(entries: Sequence[Sequence[tuple[int, Entry]]], native_size: int) -> Scaling:
    """Returns the scaling of each task as `matrix @ wrapped(observation) + offset`.

    Args:
        entries: List with the `task_entries` of each task.
        native_size: Integer, entries of the padded observation.

    Returns:
        `Scaling` of three float32 arrays: `matrix` of shape `(num_tasks, kept, native_size)`,
        `offset` `(num_tasks, kept)` and `periods` `(num_tasks, native_size)`, where `kept` is the
        largest number of entries kept of a task.
    """
    size = max(len(kept) for kept in entries)
    matrix = np.zeros((len(entries), size, native_size), "float32")
    offset = np.zeros((len(entries), size), "float32")
    periods = np.zeros((len(entries), native_size), "float32")
    for number, kept in enumerate(entries):
        for row, (place, entry) in enumerate(kept):
            matrix[number, row, place] = 1.0 / entry.scale
            offset[number, row] = -entry.center / entry.scale
            periods[number, place] = entry.period
    return Scaling(matrix, offset, periods)

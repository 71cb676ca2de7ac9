"""Ctrl-C and SIGTERM for the command that trains."""

import signal
from typing import Any, Self


class StopSignals:
    """Ctrl-C and SIGTERM: the first lets the update in hand finish, a second one stops at once.

    Where no training is on its way (`policy` is None) the first one stops at once, too. Of several
    processes that train together each stops after the same update if one of them is to.

    Attributes:
        policy: The policy that trains, or `None`.
        received: Integer, the number of the signal that was received, or `None`.
    """

    def __init__(self) -> None:
        self.policy: Any = None
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def _stop(self, number: int, frame: Any) -> None:
        if self.policy is None or self.received is not None:
            raise SystemExit(128 + number)
        self.received = number
        self.policy.stop_training = True

    def __enter__(self) -> Self:
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._previous = {number: signal.signal(number, self._stop) for number in numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

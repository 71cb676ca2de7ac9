"""A training of several processes: the first one writes, and all start from what it has."""

import io
import json
from typing import Any

import numpy as np

from keras_s5rl import backend
from keras_s5rl.training.loop import Loop


class Follower:
    """What a process other than the first has in the place of a `Recorder`: it takes part in what
    all do together for a checkpoint, and writes nothing."""

    def restore(self, restore: Any) -> None:
        """The first process restores its state, and `share_state` hands it on."""

    def start(self, agent: Any) -> None:
        """No checkpoint is written, or all processes have the whole state."""

    def record(self, metrics: dict[str, Any]) -> None:
        """The first process records the metrics, which are those of all."""

    def checkpoint(self, agent: Any) -> None:
        """Gives the first process this one's part of the state."""
        agent.snapshot()

    def finish(self, agent: Any) -> None:
        self.checkpoint(agent)

    def close(self) -> None:
        """There is nothing to close."""


def share_state(loop: Loop, settings: dict[str, Any]) -> None:
    """Gives all processes the state of the first one's loop, byte by byte, as from a checkpoint.

    Args:
        loop: `keras_s5rl.training.loop.Loop`.
        settings: Dict, all that decides the course of the training, which is to be the same in all
            processes: what they compute together has to fit.

    Raises:
        ValueError: If settings differ from those of the first process.
    """
    if backend.processes.count() == 1:
        return
    text = json.dumps(settings, default=str, sort_keys=True)
    _check_same(json.loads(text), json.loads(backend.processes.from_first(text.encode())))
    loop.read_weights()
    update, arrays, metadata = loop.snapshot()
    stream = io.BytesIO()
    about = np.frombuffer(json.dumps({**metadata, "update": update}).encode(), "uint8")
    np.savez(stream, about=about, **{f"state/{name}": array for name, array in arrays.items()})
    with np.load(io.BytesIO(backend.processes.from_first(stream.getvalue()))) as shared:
        arrays = {name.removeprefix("state/"): shared[name] for name in shared.files}
    about = json.loads(arrays.pop("about").tobytes())
    loop.restore({**about, "arrays": arrays})


def _check_same(settings: dict[str, Any], first: dict[str, Any]) -> None:
    different = [name for name in settings if settings[name] != first.get(name)]
    if different:
        received = ", ".join(f"{name}={settings[name]}" for name in different)
        expected = ", ".join(f"{name}={first.get(name)}" for name in different)
        raise ValueError(
            f"All processes should be started with the same settings; process 0 has {expected}. "
            f"Received: {received} in process {backend.processes.index()}"
        )

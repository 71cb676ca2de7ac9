"""A training of several processes: the first one writes, and all start from what it has."""

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_s5rl import backend
from keras_s5rl.training.loop import Loop


class RefusedError(ValueError):
    """One of several processes refuses to train, so that all do."""


@contextlib.contextmanager
def refused_together() -> Iterator[None]:
    """Where a process raises a ValueError or NotImplementedError in the block, all raise a
    RefusedError behind it. One process alone raises what it does."""
    if backend.processes.count() == 1:
        yield
        return
    refusal: Exception | None = None
    try:
        yield
    except (ValueError, NotImplementedError) as error:
        refusal = error
    own = backend.processes.index()
    refusing = backend.processes.maximum(0 if refusal is None else own + 1)
    if refusal is not None:
        raise RefusedError(str(refusal)) from refusal
    if refusing:
        raise RefusedError(
            f"Process {refusing - 1} refuses to train, and says why. Received: process_id={own}"
        )


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


def check_same(settings: dict[str, Any]) -> None:
    """Raises a ValueError if settings differ from those of the first process: what processes
    compute together has to fit."""
    if backend.processes.count() == 1:
        return
    own = json.loads(json.dumps(settings, default=str))
    first = json.loads(backend.processes.from_first(json.dumps(own).encode()))
    different = [name for name in own if own[name] != first.get(name)]
    if different:
        received = ", ".join(f"{name}={own[name]}" for name in different)
        expected = ", ".join(f"{name}={first.get(name)}" for name in different)
        raise ValueError(
            f"All processes should be started with the same settings; process 0 has {expected}. "
            f"Received: {received} in process {backend.processes.index()}"
        )


def share_state(loop: Loop) -> None:
    """Gives all processes the state of the first one's loop, byte by byte, as from a checkpoint."""
    if backend.processes.count() == 1:
        return
    loop.read_weights()
    update, arrays, metadata = loop.snapshot()
    stream = io.BytesIO()
    about = np.frombuffer(json.dumps({**metadata, "update": update}).encode(), "uint8")
    np.savez(stream, about=about, **{f"state/{name}": array for name, array in arrays.items()})
    with np.load(io.BytesIO(backend.processes.from_first(stream.getvalue()))) as shared:
        arrays = {name.removeprefix("state/"): shared[name] for name in shared.files}
    about = json.loads(arrays.pop("about").tobytes())
    loop.restore({**about, "arrays": arrays})

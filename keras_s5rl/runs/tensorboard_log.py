"""Scalars in TensorBoard's event files, written without importing TensorFlow."""

import math
import numbers
import os
import platform
import re
import time
from pathlib import Path
from typing import Any, Self

from keras_s5rl.typing import StrPath

_SECONDS = re.compile(r"events\.out\.tfevents\.(\d+)\.")


class TensorBoardLog:
    """Writes scalars for TensorBoard, through TensorBoard's own record writer and messages.

    Args:
        directory: the folder of the event files; made if it does not exist. Each log writes a file
            of its own there.
        resume_step: the step of the checkpoint the training goes on from, or None for a new run.
            TensorBoard then forgets what earlier files say of later steps. Defaults to `None`.

    Example:

    >>> import tempfile
    >>> with TensorBoardLog(tempfile.mkdtemp()) as log:
    ...     log.scalars(128, {"episode_return_mean": 0.5, "mmer": None})
    """

    def __init__(self, directory: StrPath, resume_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files in the order of their names: a resumed run must come later
        # even when it starts in the same second.
        used = [int(m[1]) for path in directory.iterdir() if (m := _SECONDS.match(path.name))]
        seconds = max([int(time.time()), *(second + 1 for second in used)])
        self.path = directory / (
            f"events.out.tfevents.{seconds:010d}.{platform.node() or 'localhost'}.{os.getpid()}"
        )
        self._file = open(self.path, "xb")  # noqa: SIM115  closed by `close`
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        if resume_step is not None:
            # TensorBoard drops what it holds at the step of a START and after it.
            session_log = SessionLog(status=SessionLog.START)
            self._write(step=int(resume_step) + 1, session_log=session_log)
        self.flush()

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """Writes one point of each curve.

        Args:
            step: the position on the x axis, such as the environment steps so far.
            values: name to number. What has no point to draw is passed over: None, NaN, an
                infinity, and lists (one value per seed).
        """
        points = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
            if isinstance(value, numbers.Real) and math.isfinite(value)
        ]
        if points:
            self._write(step=int(step), summary=self._summary(value=points))

    def flush(self) -> None:
        """Hands what was written to the operating system, for TensorBoard to see."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())

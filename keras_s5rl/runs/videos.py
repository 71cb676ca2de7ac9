"""Animations as mp4 files, which FFmpeg writes where it is installed."""

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from keras_s5rl.runs.files import RunError, replacing
from keras_s5rl.typing import Array, StrPath

LAST_FRAME = 1.5  # seconds that the last frame is shown, at least


def find_ffmpeg() -> str:
    """Returns the program of the package imageio-ffmpeg, or else the one of the system.

    Raises:
        RunError: when there is neither.
    """
    found = None
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg

        with contextlib.suppress(RuntimeError):  # the package without its program
            found = imageio_ffmpeg.get_ffmpeg_exe()
    found = found or shutil.which("ffmpeg")
    if found is None:
        raise RunError(
            "`record_format` mp4 needs FFmpeg: pip install imageio-ffmpeg (the extra `video`), or "
            "write GIFs. Received: record_format='mp4'"
        )
    return found


def write_mp4(
    output: StrPath,
    frame: Callable[[int], Array],
    num_frames: int,
    seconds_per_frame: float,
) -> None:
    """Writes an mp4 (H.264) that browsers and phones play, whole or not at all.

    Args:
        output: the file, `.mp4`. Its folder exists.
        frame: returns a frame by its number, uint8 `(height, width, 3)`, all of one size.
        num_frames: number of frames, at least 1.
        seconds_per_frame: how long a frame is shown, in seconds.

    Raises:
        RunError: when there is no FFmpeg, or it fails.
    """
    height, width, _ = frame(0).shape
    command = [find_ffmpeg(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{1 / seconds_per_frame:.6g}", "-i", "-", "-an"]
    # Players want even sizes, and colours at half the resolution.
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    held = max(0, round(LAST_FRAME / seconds_per_frame) - 1)
    with replacing(output) as aside:
        process = subprocess.Popen(
            [*command, "-movflags", "+faststart", str(aside)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        reason = _feed(process, frame, [*range(num_frames), *[num_frames - 1] * held])
        if process.returncode:
            raise RunError(
                f"FFmpeg could not write {Path(output).name} ({reason}). Received: "
                f"output={str(output)!r}"
            )


def _feed(
    process: subprocess.Popen[bytes], frame: Callable[[int], Array], places: list[int]
) -> str:
    """Gives a program the frames; returns what it wrote about errors."""
    assert process.stdin is not None
    try:
        for place in places:
            process.stdin.write(frame(place).tobytes())
    except BrokenPipeError:  # it ended by itself, and says why
        pass
    except BaseException:
        process.kill()
        process.communicate()
        raise
    _, errors = process.communicate()
    return " ".join(errors.decode(errors="replace").split())[-300:]

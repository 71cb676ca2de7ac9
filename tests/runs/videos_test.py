"""Animations as mp4: by a real FFmpeg where there is one, and by what stands for it elsewhere."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from keras_s5rl.runs import RunError
from keras_s5rl.runs.animations import animation_writer, write_gif
from keras_s5rl.runs.videos import find_ffmpeg, write_mp4


def squares(index):
    """A red square that moves over a light ground of odd sizes."""
    frame = np.full((25, 41, 3), 250, np.uint8)
    frame[8:16, 2 * index : 2 * index + 8] = (200, 30, 40)
    return frame


@pytest.fixture
def ffmpeg_of(tmp_path, monkeypatch):
    """Puts a program of Python in the place of FFmpeg."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(source):
        program = folder / "ffmpeg"
        program.write_text(f"#!{sys.executable}\nimport sys\n{source}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return make


def test_the_frames_are_given_to_ffmpeg_and_the_last_is_held(ffmpeg_of, tmp_path):
    ffmpeg_of("open(sys.argv[-1], 'wb').write(repr(sys.argv).encode() + sys.stdin.buffer.read())")
    path = tmp_path / "square.mp4"
    write_mp4(path, squares, 3, 0.5)
    written = path.read_bytes()
    frames = b"".join(squares(index).tobytes() for index in (0, 1, 2, 2, 2))
    assert written.endswith(b"']" + frames) and b"'41x25', '-r', '2'" in written
    assert sorted(os.listdir(tmp_path)) == ["bin", "square.mp4"]


def test_the_error_names_what_ffmpeg_says_and_the_old_file_stays(ffmpeg_of, tmp_path):
    ffmpeg_of("sys.exit('Unknown encoder libx264')")
    path = tmp_path / "square.mp4"
    path.write_text("old")
    with pytest.raises(RunError, match=r"\(Unknown encoder libx264\). Received: output="):
        write_mp4(path, squares, 3, 0.5)
    assert path.read_text() == "old" and sorted(os.listdir(tmp_path)) == ["bin", "square.mp4"]


@pytest.mark.usefixtures("ffmpeg_of")
def test_without_ffmpeg_it_says_what_to_install():
    with pytest.raises(
        RunError, match="pip install imageio-ffmpeg .* Received: record_format='mp4'"
    ):
        animation_writer("mp4")
    assert animation_writer("gif") is write_gif
    with pytest.raises(RunError, match="one of gif, mp4. Received: record_format='avi'"):
        animation_writer("avi")


def test_a_player_sees_the_frames_again(tmp_path):
    try:
        program = find_ffmpeg()
    except RunError:
        pytest.skip("FFmpeg is not installed.")
    path = tmp_path / "square.mp4"
    write_mp4(path, squares, 10, 0.25)
    command = [
        program,
        "-loglevel",
        "error",
        "-i",
        path,
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    frames = np.frombuffer(shown, np.uint8).reshape(-1, 26, 42, 3).astype(int)
    assert len(frames) == 10 + 5  # 1.5 seconds of the last one
    for index, frame in enumerate(frames):
        moved = np.abs(frame[:25, :41] - squares(min(index, 9)))
        assert moved.mean() < 8 and np.median(moved) < 4

"""Animated GIF files, read back by Pillow."""

import numpy as np
import pytest
from PIL import Image

from keras_s5rl.runs import RunError
from keras_s5rl.runs.animations import write_gif


def squares(index):
    """A dark square that moves over a light ground of 24 x 40."""
    frame = np.full((24, 40, 3), (250, 240, 230), np.uint8)
    frame[8:16, index : index + 8] = (200, 30 + index, 40)
    return frame


def read(path):
    with Image.open(path) as image:
        frames, seconds = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
            seconds.append(image.info["duration"] / 1000)
        return frames, seconds, image.info["loop"]


def test_the_frames_are_those_given_and_the_last_is_shown_longer(tmp_path):
    write_gif(tmp_path / "square.gif", squares, 30, 0.07)
    frames, seconds, loop = read(tmp_path / "square.gif")
    assert len(frames) == 30 and loop == 0
    assert seconds == [0.07] * 29 + [1.5]
    for index, frame in enumerate(frames):
        assert np.abs(frame - squares(index)).max() <= 8
    assert list(tmp_path.iterdir()) == [tmp_path / "square.gif"]


@pytest.mark.parametrize(("asked", "seconds"), [(0.001, 0.02), (0.034, 0.03), (2.0, 2.0)])
def test_seconds_are_such_as_players_show(asked, seconds, tmp_path):
    write_gif(tmp_path / "square.gif", squares, 2, asked)
    assert read(tmp_path / "square.gif")[1] == [seconds, max(seconds, 1.5)]


def test_a_frame_like_the_one_before_takes_no_room_but_its_time(tmp_path):
    write_gif(tmp_path / "still.gif", lambda index: squares(index // 5), 10, 0.1)
    frames, seconds, _ = read(tmp_path / "still.gif")
    assert len(frames) == 2 and seconds == [0.5, 1.9]
    write_gif(tmp_path / "one.gif", squares, 1, 0.1)
    assert len(read(tmp_path / "one.gif")[0]) == 1


def test_a_failure_leaves_the_old_file_alone(tmp_path):
    write_gif(tmp_path / "square.gif", squares, 3, 0.1)
    before = (tmp_path / "square.gif").read_bytes()

    def broken(index):
        if index == 20:
            raise InterruptedError
        return squares(index)

    with pytest.raises(InterruptedError):
        write_gif(tmp_path / "square.gif", broken, 30, 0.1)
    assert (tmp_path / "square.gif").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "square.gif"]


def test_wrong_arguments_raise(tmp_path):
    with pytest.raises(RunError, match="`output` must end in .gif. Received: output="):
        write_gif(tmp_path / "square.mp4", squares, 3, 0.1)
    with pytest.raises(RunError, match="`num_frames` must be .* Received: num_frames=0"):
        write_gif(tmp_path / "square.gif", squares, 0, 0.1)
    assert not list(tmp_path.iterdir())

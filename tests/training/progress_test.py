"""What a training shows, on streams of every kind."""

import io

from keras_s5rl.training.progress import Progress


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


def show(stream):
    """Shows five updates of 100 steps, each taking 4 s, of a run of 950 that has done 500."""
    progress = Progress(950, initial_steps=500, stream=stream)
    progress.on_train_begin()
    logs = {"steps_per_s": 1234.5, "episode_return_mean": float("nan")}
    for update, value in enumerate((float("nan"), 0.25, float("nan"), 0.75, 1.0), start=6):
        logs = {**logs, "env_steps": 100 * update, "episode_return_mean": value}
        progress.on_train_batch_end(update % 2, logs)
        if update % 2:
            progress.on_epoch_end(update // 2, logs)
    progress.close()
    progress.close()
    return stream.getvalue()


def test_a_pipe_is_shown_lines(monkeypatch):
    clock = iter([1000, 1008, 1016])
    monkeypatch.setattr(Progress.on_train_begin.__globals__["time"], "monotonic", clock.__next__)
    lines = show(Stream(terminal=False)).splitlines()
    assert lines[0] == "compiling; training to 950 steps"
    assert [line.split()[0] for line in lines[1:]] == ["700", "900"]
    assert "1,234 steps/s  return 0.250" in lines[1] and "return 0.750" in lines[2]
    left = [line.split()[-3] for line in lines[1:]]
    assert left == ["10", "2"]  # 250 and 50 steps, at 200 and 400 steps in 8 and 16 s


def test_a_terminal_is_shown_a_bar_that_reaches_its_end():
    shown = show(Stream(terminal=True))
    assert shown.lstrip("\r").startswith("compiling:")
    assert "compiling" not in shown.splitlines()[-1].rpartition("\r")[2]
    assert "training: 100%|" in shown and "950/950" in shown and "return 1.000" in shown
    assert shown.endswith("\n")

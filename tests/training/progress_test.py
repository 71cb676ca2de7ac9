"""What a training shows, on streams of every kind."""

import errno
import io
import threading

import pytest

from keras_s5rl.training.progress import Progress

pytestmark = pytest.mark.not_on_tensorflow


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


def show(stream, compiles=True):
    """Shows five updates of 100 steps, of a run of 950 that has done 500."""
    progress = Progress(950, initial_steps=500, stream=stream, compiles=compiles)
    progress.on_train_begin()
    logs = {"steps_per_s": 1234.5, "episode_return_mean": float("nan")}
    for update, value in enumerate((float("nan"), 0.25, float("nan"), 0.75, 1.0), start=6):
        logs = {**logs, "env_steps": 100 * update, "episode_return_mean": value}
        progress.on_train_batch_end(update % 2, logs)
        if update % 2:
            progress.on_epoch_end(update // 2, logs)
    progress.close()
    progress.close()
    return stream.getvalue() if isinstance(stream, Stream) else None


def test_a_pipe_is_shown_lines_and_what_is_left_does_not_count_compiling(monkeypatch):
    clock = iter([1000, 1090, 1094, 1102])
    monkeypatch.setattr(Progress.on_train_begin.__globals__["time"], "monotonic", clock.__next__)
    lines = show(Stream(terminal=False)).splitlines()
    assert lines[:2] == [
        "compiling; training to 950 steps",
        "compiled in 90.0 s, the first update among them",
    ]
    assert [line.split()[0] for line in lines[2:]] == ["700", "900"]
    assert "1,234 steps/s  return 0.250" in lines[2] and "return 0.750" in lines[3]
    left = [line.split()[-3] for line in lines[2:]]
    assert left == ["10", "2"]  # 250 and 50 steps, at 100 in 4 s and 300 in 12 s


@pytest.mark.parametrize("terminal", [False, True])
def test_the_latest_score_of_an_evaluation_is_shown_where_there_is_one(terminal):
    stream = Stream(terminal)
    progress = Progress(300, stream=stream)
    progress.on_train_begin()
    for steps, score in ((100, 0.5), (300, 0.75)):
        logs = {"env_steps": steps, "steps_per_s": 1.0, "episode_return_mean": 1.0}
        progress.on_train_batch_end(0, logs | {"eval_return_mean": score})
        progress.on_epoch_end(0, logs)
    progress.close()
    assert "return 1.000  evaluation 0.750" in stream.getvalue()
    assert "evaluation" not in show(Stream(terminal))


def test_where_nothing_compiles_nothing_is_printed_about_it():
    lines = show(Stream(terminal=False), compiles=False).splitlines()
    assert lines[0] == "training to 950 steps" and "compil" not in "".join(lines)
    assert "compiling" not in show(Stream(terminal=True), compiles=False)


def test_one_update_is_too_few_to_estimate_what_is_left():
    stream = Stream(terminal=False)
    progress = Progress(300, stream=stream)
    progress.on_train_begin()
    logs = {"steps_per_s": 1.0, "episode_return_mean": 1.0}
    for steps, last in ((100, "? s left"), (300, "0 s left")):
        progress.on_train_batch_end(0, {**logs, "env_steps": steps})
        progress.on_epoch_end(0, logs)
        assert stream.getvalue().endswith(f" {last}\n")


def test_a_terminal_is_shown_a_clock_and_then_a_bar_that_reaches_its_end():
    shown = show(Stream(terminal=True))
    assert shown.startswith("\rcompiling: 0 s")
    assert "compiling" not in shown.splitlines()[-1].rpartition("\r")[2]
    assert "training: 100%|" in shown and "950/950" in shown and "return 1.000" in shown
    assert shown.endswith("\n")


def test_the_clock_runs_while_the_first_update_compiles(monkeypatch):
    ticks, seconds = threading.Semaphore(0), iter(range(100))
    module = Progress.on_train_begin.__globals__
    monkeypatch.setattr(module["time"], "monotonic", lambda: next(seconds))
    wait = threading.Event.wait  # a second is short here
    monkeypatch.setattr(threading.Event, "wait", lambda e, s=None: wait(e, s and s / 1000))
    stream = Stream(terminal=True)
    write, stream.write = stream.write, lambda text: (write(text), ticks.release())
    clock = module["_Clock"](stream)
    for _ in range(4):
        ticks.acquire()
    clock.stop()
    assert "\rcompiling: 1 s\rcompiling: 2 s\rcompiling: 3 s" in stream.getvalue()
    assert not clock._thread.is_alive()


class Broken(Stream):
    """Takes some text, then none."""

    def __init__(self, terminal, error, after):
        super().__init__(terminal)
        self.error, self.left = error, after

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EIO, "Input/output error"),
    ValueError("I/O operation on closed file"),
    UnicodeEncodeError("ascii", "x", 0, 1, "not ASCII"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_stream_that_breaks_is_no_reason_to_stop(error, terminal, after):
    show(Broken(terminal, error, after))


def test_a_stream_that_is_closed_or_not_there_is_no_reason_to_stop(monkeypatch):
    stream = io.StringIO()
    stream.close()
    show(stream)
    monkeypatch.setattr("sys.stderr", None)
    show(None)

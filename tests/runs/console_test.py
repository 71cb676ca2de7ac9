"""Lines for people reach a stream, or nobody is the worse for it."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from keras_s5rl.runs import console


def test_a_line_goes_to_the_standard_error_stream_or_to_the_one_given(capsys):
    assert console.write("one") and console.write("two", sys.stdout)
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == ("one\n", "two\n")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def full():
    return open("/dev/full", "w")


def broken():
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


@pytest.mark.parametrize("make", [closed, full, broken])
def test_a_stream_that_takes_nothing_raises_nothing(make):
    stream = make()
    assert not console.write("lost", stream)
    assert not console.write("lost, too", stream)
    with contextlib.suppress(OSError):
        stream.close()


def test_no_standard_error_stream_at_all_raises_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not console.write("lost")


def test_what_a_stream_cannot_encode_is_escaped():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii", newline="\n")
    assert console.write("größe", stream)
    assert raw.getvalue() == b"gr\\xf6\\xdfe\n"


CLOSED_STREAMS = """
import os
from keras_s5rl.runs import console
console.open_standard_descriptors()
assert os.open("file", os.O_CREAT | os.O_RDWR) > 2
os.write(2, b"a message of a library")
assert os.path.getsize("file") == 0
"""


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path):
    script = f"{sys.executable} -c '{CLOSED_STREAMS}' <&- >&- 2>&-"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(script, shell=True, cwd=tmp_path, env=environment).returncode == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_stream_did_not_take_does_not_change_the_exit_status(stream):
    script = f"import sys\nfrom keras_s5rl.runs import console\nconsole.write('x', sys.{stream})\n"
    environment = {n: value for n, value in os.environ.items() if n != "PYTHONUNBUFFERED"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    statuses = []
    for end in ("", "console.drop_unwritten()"):
        command = [sys.executable, "-c", script + end]
        with open("/dev/full", "w") as target:
            statuses.append(subprocess.run(command, env=environment, **{stream: target}).returncode)
    assert statuses == [120, 0]

"""The command that draws learning curves."""

import pytest

from keras_s5rl.cli import plot


# `trained` is a training in each process of pytest that asks for it.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "beginning"), [("c.png", b"\x89PNG"), ("c.pdf", b"%PDF"), ("c.svg", b"<?xml")]
)
def test_it_draws_runs_into_a_file_of_each_format(name, beginning, trained, tmp_path, capsys):
    folder, output = trained[0], tmp_path / name
    flags = [f"--run_dir={folder}", f"--run_dir={folder}", f"--output={output}", "--metric=entropy"]
    assert plot.main(["plot.py", *flags]) == 0
    assert output.read_bytes().startswith(beginning)
    assert capsys.readouterr().out == f"{output}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag", ["--metric=happiness", "--output=curves.bmp", "--output=no/folder/c.png"]
)
def test_a_mistake_is_reported_in_one_line(flag, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert plot.main(["plot.py", f"--run_dir={trained[0]}", flag]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Received: " in error
    assert not list(tmp_path.iterdir())

"""Files of a run, damaged at random: the commands say so, or nothing is the worse for it.

KERAS_S5RL_DAMAGES says how many. Most go through Python for speed, every fiftieth through the
command that trains.
"""

import os
import random
import shutil

import numpy as np
import pytest

from keras_s5rl import PPO
from keras_s5rl.cli import command, plot, train
from keras_s5rl.training import recorder
from keras_s5rl.training.learner_state import state_to_arrays
from tests.support.small_runs import STEPS, as_bytes, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.slow

DAMAGES = int(os.environ.get("KERAS_S5RL_DAMAGES", "24"))


def new_agent():
    return PPO("RepeatPreviousEasy", {"k": 2}, "mlp", small_config(num_epochs=1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damages") / "whole"
    new_agent().fit(6 * STEPS, run_dir=folder, checkpoint_every=2, verbose=False)
    (folder / "evaluation.json").write_text('{"num_episodes": 4}\n')
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """What the command that plots hands over, in place of a picture."""
    curves = []
    monkeypatch.setattr(plot, "plot_learning_curves", lambda runs, *_: curves.append(runs))
    monkeypatch.setattr(recorder, "plot_learning_curve", lambda *_, **__: None)
    return curves


# ---- Damages: functions of a file and a source of chance


def truncate(path, chance):
    os.truncate(path, chance.randrange(path.stat().st_size or 1))


def empty(path, chance):
    os.truncate(path, 0)


def flip(path, chance):
    contents = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 1, 8])):
        if contents:
            contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
    path.write_bytes(contents)


def overwrite(path, chance):
    contents = bytearray(path.read_bytes())
    start = chance.randrange(len(contents) or 1)
    contents[start : start + chance.randrange(1, 200)] = chance.randbytes(chance.randrange(200))
    path.write_bytes(contents)


def delete(path, chance):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replace_by_folder(path, chance):
    delete(path, chance)
    path.mkdir()


def replace_by_file(path, chance):
    delete(path, chance)
    path.write_bytes(chance.randbytes(chance.randrange(50)))


def replace_by_link(path, chance):
    target = run_of(path).parent / f"moved_away_{path.name}"
    os.rename(path, target)
    path.symlink_to(target)


def swap(path, chance):
    run = run_of(path)
    other = chance.choice([p for p in run.rglob("*") if p.is_file() and p != path])
    aside = run / "aside"
    os.rename(path, aside)
    os.rename(other, path)
    os.rename(aside, other)


def run_of(path):
    return next(parent for parent in path.parents if parent.name == "run")


def empty_folder(path, chance):
    for child in path.iterdir():
        delete(child, chance)


OF_FILES = [
    truncate,
    empty,
    flip,
    flip,
    overwrite,
    delete,
    replace_by_folder,
    replace_by_link,
    swap,
]
OF_FOLDERS = [delete, replace_by_file, replace_by_link, empty_folder]


def damage(folder, chance):
    """Damages a file, or more seldom a folder, of a run; returns what was done."""
    paths = sorted(folder.rglob("*"))
    of = chance.random() < 0.8
    path = chance.choice([p for p in paths if p.is_file() == of])
    what = chance.choice(OF_FILES if of else OF_FOLDERS)
    what(path, chance)
    return f"{what.__name__} {path.relative_to(folder)}"


# ---- What the commands make of it


def outcome(status, error, done):
    """`refused`, `warned` or `silent`; never a traceback, never more than a line of error."""
    lines = [line for line in error.splitlines() if not line.startswith(("compil", "  "))]
    errors = [line for line in lines if line.startswith("error: ")]
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(errors) + len(warnings) == len(lines), (done, error)
    if status == 2:
        assert len(errors) == 1 and "Received: " in errors[0], (done, error)
        return "refused"
    assert status == 0 and not errors, (done, status, error)
    return "warned" if warnings else "silent"


def load(folder):
    """As evaluate does it."""
    try:
        agent = PPO.load(folder)
    except ValueError as error:
        return 2, f"error: {error}\n", None
    return 0, "", (agent.update, as_bytes(state_to_arrays(agent._loop.state)))


def resume(folder, number):
    """Returns the exit status, through the command or as it would be."""
    if number % 50 == 7:
        return train.main(["train.py", "--resume", f"--run_dir={folder}"])
    try:
        schedule = {"checkpoint_every": 2, "verbose": False}
        new_agent().fit(6 * STEPS, run_dir=folder, resume=True, **schedule)
    except ValueError as error:
        command.print_error(error)
        return 2
    return 0


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_curves(one, other):
    return all(
        list(a) == list(b) and all(np.array_equal(a[n], b[n], equal_nan=True) for n in a)
        for (_, a), (_, b) in zip(one, other, strict=True)
    )


def test_every_damage_is_reported_or_harmless(whole, drawn, tmp_path, capsys):
    chance = random.Random(int(os.environ.get("KERAS_S5RL_SEED", "3")))
    folder = tmp_path / "run"
    plot_flags = ["plot.py", f"--run_dir={folder}", f"--output={tmp_path / 'c.png'}"]
    shutil.copytree(whole, folder)
    expected = load(folder)[2]
    assert plot.main(plot_flags) == 0
    (expected_curves,) = drawn
    capsys.readouterr()
    counts = {}
    for number in range(DAMAGES):
        shutil.rmtree(tmp_path)
        shutil.copytree(whole, folder)
        done = f"{number}: {damage(folder, chance)}"
        before = contents(tmp_path)

        drawn.clear()
        status = plot.main(plot_flags)
        plotted = outcome(status, capsys.readouterr().err, done)
        assert plotted != "silent" or same_curves(drawn[0], expected_curves), done

        status, error, loaded = load(folder)
        found = outcome(status, error + capsys.readouterr().err, done)
        # A newest checkpoint that is gone looks like one that was not written yet; a score
        # names the update that it is of.
        gone = not (folder / "checkpoints" / "checkpoint_00000006").exists()
        older = gone and loaded is not None and loaded[0] < 6
        assert found != "silent" or older or loaded == expected, done
        assert contents(tmp_path) == before, done  # reading changes nothing

        status = resume(folder, number)
        resumed = outcome(status, capsys.readouterr().err, done)
        outside = {path: text for path, text in before.items() if folder not in path.parents}
        assert all(path.read_bytes() == text for path, text in outside.items()), done
        if resumed == "refused":
            assert contents(tmp_path) == before, done
        else:
            assert newest_arrays(folder)[0] == 6, done
            assert resumed == "warned" or metrics_of(folder) == metrics_of(whole), done
            if resumed == "silent":
                assert newest_arrays(folder) == newest_arrays(whole), done
        for name, result in (("plot", plotted), ("load", found), ("resume", resumed)):
            counts[name, result] = counts.get((name, result), 0) + 1
    print(DAMAGES, "damages:", counts)

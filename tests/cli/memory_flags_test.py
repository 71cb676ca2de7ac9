"""The flags of the memory that `--memory` names."""

import pytest

from keras_s5rl.cli import train
from keras_s5rl.models import memory_settings, register_memory, registered_memories, settings
from keras_s5rl.models.memories import registry
from keras_s5rl.runs import RunDirectory
from tests.support.small_runs import NO_EVALUATION, small_config

MINE = {
    "decay": settings.fraction(0.9, "decay of the trace"),
    "limit": settings.optional(settings.positive(1.0, "largest value of the trace"), default=2.0),
    "depth": settings.optional(settings.count(1, "levels of the trace")),
    "sizes": settings.sizes((4, 2), "sizes of the traces"),
    "sharp": settings.flag(False, "whether the trace is sharp"),
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_MEMORIES", dict(registry._MEMORIES))
    register_memory("mine", lambda **given: None, MINE)
    return tmp_path


@pytest.fixture
def given(monkeypatch):
    """Parses flags of train; returns the memory and the arguments that it would be made with."""

    class Made(Exception):
        pass

    def make(*arguments):
        def PPO(env, env_args, memory, config, seed, memory_args, *others):
            raise Made(memory, memory_args)

        from keras_s5rl import training

        monkeypatch.setattr(training, "PPO", PPO)
        with pytest.raises(Made) as made:
            train.main(["train.py", *arguments])
        return made.value.args

    return make


def error(capsys, *arguments):
    assert train.main(["train.py", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


def defaults(memory):
    return {name: setting.default for name, setting in memory_settings(memory).items()}


@pytest.mark.parametrize("memory", registered_memories())
def test_without_flags_a_memory_has_its_defaults(memory, given):
    assert given(f"--memory={memory}") == (memory, defaults(memory))


def test_flags_of_a_memory_come_in_any_order_and_of_any_type(given):
    expected = {"decay": 0.5, "limit": None, "depth": 3, "sizes": (1,), "sharp": True}
    flags = ["--decay=0.5", "--limit=none", "--depth=3", "--sizes=1", "--sharp"]
    assert given(*flags, "--memory=mine") == ("mine", expected)
    assert given("--memory", "mine", "--decay", "0.5", "--nosharp")[1]["decay"] == 0.5
    assert given("--memory=mine", "--limit=1", "--depth=None")[1] == {
        **defaults("mine"),
        "limit": 1.0,
    }
    assert given("--norm=none", "--noclip_eigenvalues")[1]["norm"] is None


def test_help_shows_the_settings_of_the_memory_alone(capsys):
    def shown(*arguments):
        assert train.main(["train.py", *arguments, "--help"]) == 0
        return capsys.readouterr().out

    text = shown("--memory=attention")
    assert "--context_length=128" in text and "--state_size" not in text
    text = shown()
    assert "--state_size=64" in text and "--context_length" not in text
    text = " ".join(shown("--memory=mine").split())
    assert "--decay=0.9 decay of the trace; a number from 0 to 1" in text
    assert "--limit=2.0" in text and "--depth=none" in text and "--sizes=4,2" in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            "--memory=mine --decy=0.5",
            "Did you mean: decay? The settings of the memory mine are: de",
        ),
        ("--memory=mine --decay=2", "`decay` (decay of the trace) should be a number from 0 to 1"),
        ("--memory=mine --decay=fast", "should be a number from 0 to 1. Received: decay=fast"),
        ("--memory=mine --limit=0", "a positive number, or None. Received: limit=0.0"),
        ("--memory=mine --limit=much", "a positive number, or None. Received: limit=much"),
        ("--memory=mine --depth=1.5", "a positive integer, or None. Received: depth=1.5"),
        ("--context_length=4", "`context_length` is a setting of attention, gtrxl. The settings"),
        (
            "--memory=mlp --state_size=4",
            "is a setting of lru, s5, s5_equivariant, s5_no_resets, s6. "
            "The settings of the memory mlp are: n",
        ),
        (
            "--memory=gru --noclip_eigenvalues",
            "`clip_eigenvalues` is a setting of s5, s5_equivariant, s5_no_resets.",
        ),
        (
            "--decay=0.5",
            "`decay` is a setting of mine. The settings of the memory s5 are: state_size",
        ),
    ],
)
def test_a_wrong_setting_of_a_memory_is_reported_with_those_there_are(flags, expected, capsys):
    assert expected in error(capsys, *flags.split())


def test_a_setting_with_the_name_of_another_flag_is_refused(capsys):
    register_memory("taken", lambda **given: None, {"num_envs": settings.count(1, "traces")})
    assert "should have settings with other names" in error(capsys, "--memory=taken")


def test_a_flagfile_serves_to_compare_memories(given, empty_folder):
    text = "--memory=s5\n--state_size=32\n--dt_min=0.01\n--noclip_eigenvalues\n"
    (empty_folder / "my.flags").write_text(text)
    (empty_folder / "outer.flags").write_text("--flagfile=my.flags\n")
    for flags in (["--flagfile=my.flags"], ["--flagfile", "my.flags"], ["--flagfile=outer.flags"]):
        memory, arguments = given(*flags)
        assert memory == "s5" and arguments["state_size"] == 32 and arguments["dt_min"] == 0.01
        assert given(*flags, "--memory=gru") == ("gru", {})
        assert given(*flags, "--memory=lru") == ("lru", {**defaults("lru"), "state_size": 32})


def test_a_flagfile_has_no_settings_of_a_memory_that_it_does_not_name(empty_folder, capsys):
    (empty_folder / "my.flags").write_text("--memory=gru\n--state_size=32\n")
    assert "is a setting of lru, s5" in error(capsys, "--flagfile=my.flags")
    assert "is a setting of lru, s5" in error(capsys, "--flagfile=my.flags", "--memory=mlp")


def test_resume_reads_the_memory_and_its_settings_from_the_run(empty_folder, given, capsys):
    run = {"env": "RepeatFirstEasy", "env_args": {}, "memory": "mine", "backend": "jax", "seed": 0}
    run["encoder"] = "dense"
    run |= {
        "num_seeds": 1,
        "total_steps": 9,
        "checkpoint_every": 1,
        "log_every": 1,
        **NO_EVALUATION,
    }
    run |= {"memory_args": {**defaults("mine"), "decay": 0.25}, **vars(small_config())}
    RunDirectory.create(empty_folder / "run", run).release()
    resume = ["--resume", "--run_dir=run"]
    assert given(*resume) == ("mine", {**defaults("mine"), "decay": 0.25})
    assert given(*resume, "--decay=0.5") == ("mine", {**defaults("mine"), "decay": 0.5})
    assert given(*resume, "--memory=s5") == ("s5", defaults("s5"))
    assert "is a setting of lru, s5" in error(capsys, *resume, "--state_size=4")

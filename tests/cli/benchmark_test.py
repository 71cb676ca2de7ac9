"""The command that measures. No number is judged here, only that each is there."""

import json
import math
import statistics
import types

import pytest

from keras_s5rl.cli import benchmark, ppo_suite
from tests.small_runs import SIZES

TINY = {"memory": "mlp", "config": {**ppo_suite.CASES["small"]["config"], **SIZES}}


def test_the_cases_are_those_that_were_agreed():
    sizes = {
        name: [case["memory"], *(case["config"][n] for n in ("num_envs", "num_steps", "width"))]
        for name, case in ppo_suite.CASES.items()
    }
    assert sizes == {
        "small": ["s5", 64, 128, 64],
        "large": ["s5", 16, 256, 256],
        "small_gru": ["gru", 64, 128, 64],
        "small_lstm": ["lstm", 64, 128, 64],
        "small_mlp": ["mlp", 64, 128, 64],
    }


def test_a_case_reports_every_number_of_the_table():
    result = ppo_suite.measure(**TINY, repeats=3)
    assert set(ppo_suite.COLUMNS) | {"settings"} == set(result)
    numbers = [result[name] for name in ppo_suite.COLUMNS]
    assert all(math.isfinite(number) and number > 0 for number in numbers)
    rates = [result[f"steps_per_s_{name}"] for name in ("min", "median", "max")]
    assert rates == sorted(rates)
    assert result["start_to_first_update_s"] > result["compile_s"]
    assert result["settings"]["memory"] == "mlp" and result["settings"]["width"] == 16


def test_the_median_is_of_the_updates_after_the_first_two(monkeypatch):
    from keras_s5rl import training

    class Agent:
        config = types.SimpleNamespace(steps_per_update=100)
        env, num_parameters = "RepeatPreviousEasy", 9
        rates = {1: [2.0], 5: [50.0, 100.0, 400.0, 200.0]}

        def __init__(self, *args, **kwargs):
            pass

        def fit(self, total_steps, log_every, verbose):
            return types.SimpleNamespace(history={"steps_per_s": self.rates[total_steps // 100]})

    monkeypatch.setattr(training.ppo, "PPO", Agent)
    result = ppo_suite.measure(**TINY, repeats=3)
    names = ("steps_per_s_min", "steps_per_s_median", "steps_per_s_max", "parameters")
    assert [result[name] for name in names] == [100, 200, 400, 9]
    assert statistics.median([100, 400, 200]) == 200
    assert result["compile_s"] == pytest.approx(100 / 2 - 100 / 200)


@pytest.fixture
def suite(monkeypatch):
    """A suite that is measured at once: cases `a` and `b`."""

    def measure(number, repeats):
        return {"number": number, "repeats": repeats, "missing": None}

    fake = types.SimpleNamespace(
        CASES={"a": {"number": 1000}, "b": {"number": 2}},
        COLUMNS={"number": ("a number", ",d"), "missing": ("none", ".1f")},
        measure=measure,
    )
    monkeypatch.setattr(benchmark, "_SUITES", {})
    benchmark.register_suite("fake", fake)


def test_one_case_is_measured_here_and_json_is_alone_on_standard_output(suite, capsys):
    argv = ["benchmark.py", "--suite=fake", "--only=a", "--repeats=4", "--json=-"]
    assert benchmark.main(argv) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert list(document) == ["suite", "machine", "device", "command", "results"]
    assert document["results"] == {"a": {"number": 1000, "repeats": 4, "missing": None}}
    assert document["suite"] == "fake" and document["command"] == " ".join(argv)
    assert "cpu" in document["machine"] and document["device"]
    assert captured.err == "fake: a ...\n"


def test_several_cases_run_in_processes_of_their_own_and_make_one_table(
    suite, capsys, monkeypatch, tmp_path
):
    programs = []

    def run(program, **options):
        programs.append(program[1:])
        name = program[4].removeprefix("--only=")
        results = {name: {"number": len(name) * 1000, "missing": None}}
        return types.SimpleNamespace(stdout=json.dumps({"device": "cpu", "results": results}))

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    monkeypatch.setattr(benchmark, "machine_block", dict)  # it runs git
    output = tmp_path / "fake.json"
    assert benchmark.main(["benchmark.py", "--suite=fake", f"--json={output}"]) == 0
    child = ["-m", "keras_s5rl.cli.benchmark", "--suite=fake"]
    assert programs == [
        [*child, "--only=a", "--repeats=10", "--json=-"],
        [*child, "--only=b", "--repeats=10", "--json=-"],
    ]
    assert capsys.readouterr().out == "\n".join(
        ["case  a number  none", "a        1,000     -", "b        1,000     -", ""]
    )
    assert set(json.loads(output.read_text())["results"]) == {"a", "b"}


def test_a_case_that_fails_ends_the_command(suite, capsys, monkeypatch):
    def run(program, **options):
        raise benchmark.subprocess.CalledProcessError(-9, program)

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    assert benchmark.main(["benchmark.py", "--suite=fake"]) == 1
    assert "case a failed with exit status -9" in capsys.readouterr().err


def test_the_script_measures_two_real_cases(run, tmp_path):
    flags = ["--only=small_mlp", "--only=small_gru", "--repeats=1", "--json=ppo.json"]
    status, stdout, stderr = run("benchmark", "--suite=ppo", *flags, cwd=tmp_path)
    assert status == 0, stderr
    assert [line.split()[0] for line in stdout.splitlines()] == ["case", "small_gru", "small_mlp"]
    assert stderr.splitlines() == ["ppo: small_gru ...", "ppo: small_mlp ..."]
    document = json.loads((tmp_path / "ppo.json").read_text())
    assert list(document["results"]) == ["small_gru", "small_mlp"]
    assert all(result["parameters"] > 1000 for result in document["results"].values())

"""The command that measures. No number is judged here, only that each is there."""

import importlib.util
import json
import os
import subprocess
import types

import pytest

from benchmarks import benchmark, peers


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
    monkeypatch.setattr(benchmark, "machine_block", lambda more=(): {"cpu": "some", "more": more})
    benchmark.register_suite("fake", fake)
    return fake


@pytest.fixture
def suite_with_peers(suite, monkeypatch):
    """The same with a peer beside each case: memorax beside `a`, sb3-contrib beside `b`."""
    suite.PEER_CASES = {
        "a_memorax": {"peer": "memorax", "beside": "a"},
        "b_sb3": {"peer": "sb3-contrib", "beside": "b"},
    }
    suite.measure_peer = lambda peer, beside, repeats: {"number": 7}
    suite.note = lambda results: f"note on {', '.join(results)}"
    monkeypatch.setattr(peers, "is_installed", lambda peer: True)
    return suite


@pytest.fixture
def children(monkeypatch):
    """What the command starts in processes of their own: one list of arguments for each. The
    number of a case there is a hundred times the letters of its name and backend; environments
    are an attribute of the list."""

    class Programs(list):
        environments = []

    programs = Programs()

    def run(program, env, **options):
        programs.environments.append(env)
        flags = [argument.partition("=")[::2] for argument in program[2:]]
        programs.append([f"{name}={value}" for name, value in flags])
        names = [value for name, value in flags if name == "--only"]
        backend = dict(flags)["--backend"]
        results = {name: {"number": 100 * len(name + backend)} for name in names}
        document = {"device": f"cpu of {backend}", "results": results}
        return types.SimpleNamespace(stdout=json.dumps(document))

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    return programs


def test_one_case_is_measured_here_and_json_is_alone_on_standard_output(suite, capsys):
    argv = ["benchmark.py", "--suite=fake", "--only=a", "--repeats=4", "--json=-"]
    assert benchmark.main(argv) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    names = ["suite", "machine", "device", "backend", "command", "environment", "results"]
    assert list(document) == names
    assert document["results"] == {"a": {"number": 1000, "repeats": 4, "missing": None}}
    assert document["suite"] == "fake" and document["command"] == " ".join(argv)
    assert document["machine"]["cpu"] and document["device"]
    assert document["backend"] == "jax"
    assert captured.err == "fake: a ...\n"


def test_variables_that_change_the_speed_are_printed(suite, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert benchmark.main(["benchmark.py", "--suite=fake", "--only=a", "--json=-"]) == 0
    environment = json.loads(capsys.readouterr().out)["environment"]
    assert environment["OMP_NUM_THREADS"] == "1" and "XLA_FLAGS" not in environment


def test_a_process_of_its_own_has_large_pages_unless_the_variable_says_otherwise(
    suite, capsys, children, monkeypatch
):
    monkeypatch.delenv("GLIBC_TUNABLES")
    assert benchmark.main(["benchmark.py", "--suite=fake", "--only=a", "--json=-"]) == 0
    assert len(children) == 1  # this process has pages of 4 KB, so not even one case is its
    assert children.environments[-1]["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    variables = json.loads(capsys.readouterr().out)["environment"]
    assert variables["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert benchmark.main(["benchmark.py", "--suite=fake", "--json=-"]) == 0
    assert children.environments[-1]["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def test_several_cases_run_in_processes_of_their_own_and_make_one_table(
    suite, capsys, children, tmp_path
):
    output = tmp_path / "fake.json"
    assert benchmark.main(["benchmark.py", "--suite=fake", f"--json={output}"]) == 0
    assert children == [
        ["--suite=fake", "--only=a", "--repeats=10", "--backend=jax", "--json=-"],
        ["--suite=fake", "--only=b", "--repeats=10", "--backend=jax", "--json=-"],
    ]
    assert capsys.readouterr().out == "\n".join(
        ["case  a number  none", "a          400     -", "b          400     -", ""]
    )
    assert set(json.loads(output.read_text())["results"]) == {"a", "b"}


def test_cases_that_share_a_process_are_measured_here(suite, capsys, children):
    suite.SHARES_PROCESS = True
    assert benchmark.main(["benchmark.py", "--suite=fake"]) == 0
    assert children == []
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["a", "1,000"],
        ["b", "2"],
    ]


BOTH = ["--backend=jax", "--backend=tensorflow"]


def test_several_backends_stand_in_one_table_beside_each_other(suite_with_peers, capsys, children):
    argv = ["benchmark.py", "--suite=fake", "--only=a", "--peers", *BOTH]
    assert benchmark.main(argv) == 0
    assert [program[1:4:2] for program in children] == [
        ["--only=a", "--backend=jax"],
        ["--only=a", "--backend=tensorflow"],
        ["--only=a_memorax", "--backend=jax"],
    ]
    assert capsys.readouterr().out.splitlines() == [
        "case             a number  none",
        "a on jax              400     -",
        "a on tensorflow     1,100     -",
        "a_memorax           1,200     -",
        "jax: note on a, a_memorax",
        "tensorflow: note on a, a_memorax",
    ]
    assert benchmark.main([*argv, "--json=-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["backend"] == "jax, tensorflow"
    assert document["device"] == "cpu of jax, cpu of tensorflow"
    assert document["results"]["a on tensorflow"] == {"number": 1100}


def test_cases_that_share_a_process_share_one_on_each_backend(suite, capsys, children):
    suite.SHARES_PROCESS = True
    assert benchmark.main(["benchmark.py", "--suite=fake", *BOTH]) == 0
    assert [program[1:3] for program in children] == 2 * [["--only=a", "--only=b"]]
    assert [program[-2] for program in children] == BOTH


@pytest.fixture
def without_torch(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )


def test_a_backend_that_is_not_installed_is_reported_and_left_out(
    suite, capsys, children, without_torch
):
    argv = ["benchmark.py", "--suite=fake", "--backend=torch", "--backend=jax"]
    assert benchmark.main(argv) == 0
    assert [program[3] for program in children] == ["--backend=jax", "--backend=jax"]
    captured = capsys.readouterr()
    assert captured.err == "torch is not installed and left out: pip install torch\n"
    assert [line.split()[0] for line in captured.out.splitlines()] == ["case", "a", "b"]


def test_a_case_of_several_devices_is_measured_on_jax_alone(suite, capsys, children):
    suite.CASES["b"]["config"] = {"num_devices": 2}
    assert benchmark.main(["benchmark.py", "--suite=fake", *BOTH]) == 0
    measured = [(program[1], program[3]) for program in children]
    assert measured == [("--only=a", BOTH[0]), ("--only=a", BOTH[1]), ("--only=b", BOTH[0])]
    line = "b needs several devices and is left out: tensorflow runs on one\n"
    assert capsys.readouterr().err == line


def test_a_case_of_several_devices_gets_them(suite, monkeypatch):
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES")
    suite.CASES["b"]["config"] = {"num_devices": 2}
    devices = []

    def measure(number, repeats, config=None):
        devices.append(os.environ.get("JAX_NUM_CPU_DEVICES"))
        return {"number": number, "missing": None}

    suite.measure = measure
    monkeypatch.setenv(*benchmark._HUGE_PAGES)  # in this process
    for name in ("a", "b"):
        assert benchmark.main(["benchmark.py", "--suite=fake", f"--only={name}"]) == 0
    assert devices == [None, "2"]


def test_without_any_backend_there_is_nothing_to_measure(suite, capsys, children, without_torch):
    assert benchmark.main(["benchmark.py", "--suite=fake", "--backend=torch"]) == 2
    assert "should be installed: pip install torch. Received: backend='torch'" in (
        capsys.readouterr().err
    )
    assert children == []


def test_an_unknown_backend_among_several_is_a_mistake(suite, capsys, children):
    assert benchmark.main(["b", "--suite=fake", "--backend=jax", "--backend=numpy"]) == 2
    assert "Received: backend='numpy'" in capsys.readouterr().err
    assert children == []


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ([], ["a", "b"]),
        (["--peers"], ["a", "b", "a_memorax", "b_sb3"]),
        (["--peers", "--only=b"], ["b", "b_sb3"]),
        (["--only=b_sb3", "--only=a"], ["a", "b_sb3"]),
        (["--only=b_sb3", "--only=a_memorax"], ["a_memorax", "b_sb3"]),
    ],
)
def test_peers_are_measured_beside_the_chosen_cases_or_by_their_names(
    flags, names, suite_with_peers, children, capsys
):
    assert benchmark.main(["benchmark.py", "--suite=fake", *flags]) == 0
    assert [program[1] for program in children] == [f"--only={name}" for name in names]
    assert capsys.readouterr().out.splitlines()[-1] == f"note on {', '.join(names)}"


def test_a_peer_by_its_name_is_measured_here(suite_with_peers, capsys):
    assert benchmark.main(["benchmark.py", "--suite=fake", "--only=a_memorax", "--json=-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"] == {"a_memorax": {"number": 7}}
    assert document["machine"]["more"] == list(peers.PACKAGES)
    assert document["backend"] is None


def test_a_peer_that_is_not_installed_is_reported_once_and_left_out(
    suite_with_peers, children, capsys, monkeypatch
):
    suite_with_peers.PEER_CASES["b_memorax"] = {"peer": "memorax", "beside": "b"}
    monkeypatch.setattr(peers, "is_installed", lambda peer: peer != "memorax")
    assert benchmark.main(["benchmark.py", "--suite=fake", "--peers"]) == 0
    assert [program[1] for program in children] == ["--only=a", "--only=b", "--only=b_sb3"]
    assert capsys.readouterr().err == (
        "memorax is not installed and left out: pip install 'keras-s5rl[peers]'\n"
    )


def test_a_peer_that_fails_is_reported_and_the_rest_goes_on(
    suite_with_peers, children, capsys, monkeypatch
):
    run = benchmark.subprocess.run

    def run_or_fail(program, **options):
        if "--only=a_memorax" in program:
            raise subprocess.CalledProcessError(1, program)
        return run(program, **options)

    monkeypatch.setattr(benchmark.subprocess, "run", run_or_fail)
    assert benchmark.main(["benchmark.py", "--suite=fake", "--peers"]) == 1
    captured = capsys.readouterr()
    assert "case a_memorax failed with exit status 1" in captured.err
    assert [line.split()[0] for line in captured.out.splitlines()] == [
        *("case", "a", "b", "b_sb3", "note")
    ]


def test_a_suite_without_peers_does_not_take_the_flag(suite, children, capsys):
    assert benchmark.main(["benchmark.py", "--suite=fake", "--peers"]) == 2
    assert "Received: suite=fake" in capsys.readouterr().err
    assert children == []


def test_of_the_real_suites_all_but_the_recurrence_take_peers():
    suites = {n for n, each in benchmark._SUITES.items() if hasattr(each, "PEER_CASES")}
    assert suites == {"env", "layer", "ppo"}
    for name in suites:
        suite = benchmark._SUITES[name]
        assert all(case["beside"] in suite.CASES for case in suite.PEER_CASES.values())
        assert all(case["peer"] in peers.PEERS for case in suite.PEER_CASES.values())
        assert not set(suite.CASES) & set(suite.PEER_CASES)


def test_a_case_that_fails_ends_the_command(suite, capsys, monkeypatch):
    def run(program, **options):
        raise benchmark.subprocess.CalledProcessError(-9, program)

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    assert benchmark.main(["benchmark.py", "--suite=fake"]) == 1
    assert "case a failed with exit status -9" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_measures_two_real_cases(run, tmp_path):
    flags = ["--only=small_mlp", "--only=small_gru", "--repeats=1", "--json=ppo.json"]
    status, stdout, stderr = run("benchmark", "--suite=ppo", *flags, cwd=tmp_path)
    assert status == 0, stderr
    first_words = [line.split()[0] for line in stdout.splitlines()]
    assert first_words == ["case", "small_gru", "small_mlp", "float32"]
    assert stderr.splitlines() == ["ppo: small_gru ...", "ppo: small_mlp ..."]
    document = json.loads((tmp_path / "ppo.json").read_text())
    assert list(document["results"]) == ["small_gru", "small_mlp"]
    assert all(result["parameters"] > 1000 for result in document["results"].values())
    assert document["machine"]["date"] and document["machine"]["versions"]["keras"]

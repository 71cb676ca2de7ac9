"""The Makefile, with a Python of a few lines of shell that only notes what it was asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "cat", "chmod", "cmp", "cp", "grep", "mkdir", "pwd", "rm")

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None, reason="The Makefile can be tested only where make is installed."
)

# `-c` asks it whether it will do, `-m venv` has it copied into the venv, `-m pip` fails once
# if there is a file named `fail`.
PYTHON = """#!/bin/sh
echo "$@" >>"$LOG"
case "$*" in
    "-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    "-m pip"*) if [ -e fail ]; then rm fail; exit 1; fi ;;
esac
"""


class Project:
    def __init__(self, folder):
        self.folder = folder / "a project"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.folder.mkdir()
        self.bin.mkdir()
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def add_python(self, name, script=PYTHON):
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def add_tests(self):
        for folder in ("layers", "ops"):
            (self.folder / "tests" / folder).mkdir(parents=True)
        for name, text in (("s5_test", "@pytest.mark.portable"), ("gru_test", "@pytest.mark.slow")):
            (self.folder / "tests" / "layers" / f"{name}.py").write_text(text)

    def make(self, *arguments, **variables):
        """Returns what make did and the calls of Python it led to."""
        self.log.write_text("")
        result = subprocess.run(
            [shutil.which("make"), *arguments],
            cwd=self.folder,
            env={"PATH": str(self.bin), "LOG": str(self.log), **variables},
            capture_output=True,
            text=True,
        )
        calls = [line for line in self.log.read_text().splitlines() if not line.startswith("-c")]
        return result, calls


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


VENV = "-m venv --clear .venv"
PIP = "-m pip install --quiet --no-compile --disable-pip-version-check --editable"
TRAIN = "launch/train.py --flagfile=launch/presets/repeat_previous_hard.flags"


def test_train_makes_the_venv_installs_once_and_passes_the_settings_on(project):
    project.add_python("python3.12")
    _, calls = project.make("train")
    assert calls == [VENV, f"{PIP} .", TRAIN]
    _, calls = project.make(
        "train", "ENV=A", "MEMORY=gru", "SEED=1", "RUN_DIR=runs/a b", "FLAGS=--num_envs=32 --x"
    )
    assert calls == [f"{TRAIN} --env=A --memory=gru --seed=1 --run_dir=runs/a b --num_envs=32 --x"]


def test_the_variable_env_of_the_shell_is_not_taken_for_the_environment(project):
    project.add_python("python3.12")
    project.make("train")
    _, calls = project.make("train", ENV="/root/.kshrc", SEED="2")
    assert calls == [f"{TRAIN} --seed=2"]


def test_a_changed_pyproject_and_a_moved_folder_are_installed_again(project):
    project.add_python("python3.12")
    project.make("train")
    with open(project.folder / "pyproject.toml", "a") as file:
        file.write("# changed\n")
    assert project.make("train")[1] == [f"{PIP} .", TRAIN]
    assert project.make("train")[1] == [TRAIN]
    project.folder = project.folder.rename(project.folder.with_name("elsewhere"))
    assert project.make("train")[1] == [f"{PIP} .", TRAIN]


def test_lint_adds_the_tools_of_development_and_train_keeps_them(project):
    project.add_python("python3.12")
    project.make("train")
    assert project.make("lint")[1] == [f"{PIP} .[dev]", *LINT]
    assert project.make("train")[1] == [TRAIN]
    assert project.make("lint")[1] == LINT


def test_docs_adds_what_builds_them_and_lint_keeps_it(project):
    project.add_python("python3.12")
    project.make("lint")
    assert project.make("docs")[1] == [f"{PIP} .[dev,docs]", "-m mkdocs build --quiet --strict"]
    assert project.make("lint")[1] == LINT


def test_an_install_that_failed_is_done_again(project):
    project.add_python("python3.12")
    (project.folder / "fail").touch()
    result, calls = project.make("train")
    assert result.returncode != 0 and calls == [VENV, f"{PIP} ."]
    assert project.make("train")[1] == [f"{PIP} .", TRAIN]


def test_a_venv_whose_python_is_gone_is_made_again(project):
    project.add_python("python3.12")
    project.make("train")
    os.remove(project.folder / ".venv" / "bin" / "python")
    assert project.make("train")[1] == [VENV, f"{PIP} .", TRAIN]


def test_a_python_that_does_not_run_or_is_of_another_version_is_passed_over(project):
    project.add_python("python3.13", "#!/bin/sh\nexit 127\n")
    project.add_python("python3.12", "#!/bin/sh\nexit 1\n")
    project.add_python("python")
    result, calls = project.make("train")
    assert result.returncode == 0
    assert calls == [VENV, f"{PIP} .", TRAIN]


def test_a_python_can_be_named(project):
    project.add_python("python3.12", "#!/bin/sh\nexit 1\n")
    project.add_python("my python")
    assert project.make("train", "PYTHON=my python")[1] == [VENV, f"{PIP} .", TRAIN]


def test_without_a_python_one_sentence_says_what_to_do(project):
    project.add_python("python3.12", "#!/bin/sh\nexit 127\n")
    result, _ = project.make("train")
    assert result.returncode != 0
    assert result.stderr.startswith(
        "keras_s5rl needs Python 3.11, 3.12 or 3.13 with the venv module, and there is none on "
        "PATH. Install one or name it: make PYTHON=/path/to/python3.12 train\n"
    )
    result, _ = project.make("test", "PYTHON=/no/python")
    assert "and /no/python is not one. Install one" in result.stderr


PYTEST = "-m pytest --numprocesses=2 --dist=loadfile"
LINT = [
    "-m ruff check .",
    "-m ruff format --check .",
    "-m mypy",
    "-m codespell_lib",
    "-m proselint check --config docs/generate/proselint.json README.md RESULTS.md "
    "CONTRIBUTING.md CHANGELOG.md docs",
]


def marked(calls):
    """The expressions of markers that pytest was called with."""
    return [call.partition(" -m ")[2] for call in calls if call.startswith(PYTEST)]


XLA_PYTHON = PYTHON.replace(
    'echo "$@" >>"$LOG"',
    'case "$*" in *pytest*) echo "[$XLA_FLAGS]" >>"$LOG";; *jax.devices*) exit "$STATUS";; esac',
)


@pytest.mark.parametrize("given", [None, "--xla_dump_to=x"])
@pytest.mark.parametrize("is_known", [True, False])
def test_programs_are_compiled_fast_by_flags_that_xla_knows(is_known, given, project):
    project.add_python("python3.12", XLA_PYTHON)
    variables = {"STATUS": "0" if is_known else "1"} | ({"XLA_FLAGS": given} if given else {})
    _, (on_jax, on_tensorflow) = project.make("test", **variables)
    expected = ["--xla_backend_optimization_level=0"]
    if given:
        expected.insert(0, given)
    if is_known:
        expected.append("--xla_cpu_use_fusion_emitters=false")
    assert on_jax == on_tensorflow and on_jax[1:-1].split() == expected
    assert not on_jax.startswith("[ ")  # XLA takes that for the name of a file


def test_the_fast_tests_run_on_jax_a_few_on_tensorflow_and_then_the_linter(project):
    project.add_python("python3.12")
    project.add_tests()
    result, calls = project.make("test")
    assert calls[-2 - len(LINT) :] == [
        f"{PYTEST} -m not (slow or reference or devices)",
        f"{PYTEST} -m (portable and not slow) tests/layers/s5_test.py",
        *LINT,
    ]
    assert result.stdout.index("KERAS_BACKEND=jax") < result.stdout.index(
        "KERAS_BACKEND=tensorflow"
    )


def test_all_other_tests_are_those_that_the_fast_ones_leave_out(project):
    project.add_python("python3.12")
    project.add_tests()
    (fast, few), rest = (marked(project.make(target)[1]) for target in ("test", "test-all"))
    few = few.removesuffix(" tests/layers/s5_test.py")
    assert rest == [
        f"{fast} tests/ops",  # once more, compiled as users have it
        fast.removeprefix("not (").removesuffix(")"),
        f"not ({few} or not_on_tensorflow or jax_alone) tests/ops tests/layers",
    ]


def test_torch_is_tested_in_a_venv_of_its_own(project):
    project.add_python("python3.12")
    (project.folder / "tests" / "layers").mkdir(parents=True)
    (project.folder / "tests" / "layers" / "portability_test.py").touch()
    project.make("train")
    result, calls = project.make("test-torch")
    expected = [
        f"{PYTEST} -m not jax_alone tests/layers",
        f"{PYTEST} tests/layers/portability_test.py",
    ]
    assert calls == [f"{VENV}-torch", f"{PIP} .[dev,torch]", *expected]
    assert result.stdout.index("KERAS_BACKEND=torch .venv-torch/bin/python") < result.stdout.index(
        "KERAS_BACKEND=jax .venv-torch/bin/python"
    )
    assert project.make("test-torch")[1] == expected
    assert project.make("train")[1] == [TRAIN]


def test_installing_torch_alone_leaves_the_other_venv_as_it_is(project):
    project.add_python("python3.12")
    assert project.make("install-torch")[1] == [f"{VENV}-torch", f"{PIP} .[dev,torch]"]
    assert not (project.folder / ".venv").exists()
    assert project.make("lint")[1] == [VENV, f"{PIP} .[dev]", *LINT]
    stamps = sorted(path.name for path in (project.folder / ".venv").glob("installed-*"))
    assert project.make("install-torch")[1] == [] and stamps == ["installed-dev"]
    assert project.make("lint")[1] == LINT


def test_targets_that_are_asked_for_at_once_come_one_after_the_other(project):
    project.add_python("python3.12")
    calls = project.make("-j4", "lint", "install-torch", "train")[1]
    dev, torch = [VENV, f"{PIP} .[dev]"], [f"{VENV}-torch", f"{PIP} .[dev,torch]"]
    assert calls == [*dev, *LINT, *torch, TRAIN]

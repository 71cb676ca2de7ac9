"""What type checkers and editors see of the package."""

import ast
import importlib
import inspect
import os
from pathlib import Path

import pytest

from tests.support.outside_package import SOURCE

ROOT = Path(__file__).resolve().parents[1]
LAZY_PACKAGES = tuple(f"keras_s5rl{part}" for part in ("", ".envs", ".layers", ".models", ".ppo"))
# As the package's own configuration has it: the answer does not depend on what is installed.
CONFIG = """
[mypy]
strict = true
warn_return_any = false
disallow_subclassing_any = false
follow_imports = silent
{overrides}
"""
OTHERS = ("absl", "gymnasium", "jax", "keras", "numpy", "tensorflow", "torch", "tqdm")


@pytest.fixture(scope="module")
def errors_of(tmp_path_factory):
    """Returns a function that has mypy check what its arguments say, and returns the errors."""
    api = pytest.importorskip("mypy.api", reason="mypy, of the extra `dev`, is not installed")
    folder = tmp_path_factory.mktemp("mypy")
    overrides = "".join(
        f"[mypy-{name}.*]\nignore_missing_imports = true\nfollow_imports = skip\n"
        "follow_imports_for_stubs = true\n"
        for name in OTHERS
    )
    (folder / "mypy.ini").write_text(CONFIG.format(overrides=overrides))

    def check(*what):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MYPYPATH", os.pathsep.join(map(str, (ROOT, SOURCE))))
            arguments = ["--config-file", folder / "mypy.ini", "--cache-dir", folder / "cache"]
            output, problems, _ = api.run([*map(str, arguments), *what])
        assert problems == ""
        return [line.partition(": ")[2] for line in output.splitlines() if ": error:" in line]

    return check


def test_a_users_script_passes_mypys_strict_checks(errors_of):
    assert errors_of(str(ROOT / "tests" / "data" / "typed_user.py")) == []


def test_a_package_of_somebody_elses_passes_them(errors_of):
    assert errors_of("--package", "my_lab") == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from keras_s5rl import PPQ", 'has no attribute "PPQ"'),
        ("from keras_s5rl.envs import mak", 'has no attribute "mak"'),
        ("from keras_s5rl.layers import S5\nS5(state_sizes=64)", 'argument "state_sizes"'),
        ("from keras_s5rl.layers import S5\nS5(state_size='64')", 'expected "int"'),
        ("from keras_s5rl.layers import S5Stack\nS5Stack(2, 8, dt_mim=1e-3)", 'argument "dt_mim"'),
        ("from keras_s5rl.layers import S5Block\nS5Block(stateful='no')", 'expected "bool"'),
        ("from keras_s5rl import random\nrandom.key('0')", 'expected "int"'),
        ("from keras_s5rl import envs\nenvs.AgentView(3)", 'expected "Environment"'),
        ("from keras_s5rl import envs\nenvs.make('a').transit()", '"Environment" has no attribute'),
        ("from keras_s5rl import PPO\nPPO('a', seeds=1)", 'argument "seeds"'),
        ("from keras_s5rl import PPOConfig\nPPOConfig(num_env=3)", 'argument "num_env"'),
        ("from keras_s5rl import PPOConfig\nPPOConfig(num_envs='3')", 'expected "int"'),
    ],
)
def test_mypy_names_what_is_wrong_in_a_script(errors_of, script, expected):
    (error,) = errors_of("-c", script)
    assert expected in error


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from keras_s5rl import PPO\nPPO(", {"env", "env_args", "memory", "config", "seed"}),
        (
            "from keras_s5rl.layers import S5\nS5(",
            {"state_size", "dt_min", "return_state", "implementation"},
        ),
        (
            "from keras_s5rl import layers\nlayers.S5Stack(",
            {"num_layers", "width", "state_size", "dt_min", "return_state"},
        ),
        ("import keras_s5rl\nkeras_s5rl.envs.AutoReset(", {"env"}),
    ],
)
def test_an_editor_completes_arguments(script, expected):
    jedi = pytest.importorskip("jedi", reason="jedi, of the extra `dev`, is not installed")
    completions = jedi.Script(script, project=jedi.Project(ROOT)).complete()
    found = {completion.name.removesuffix("=") for completion in completions}
    assert expected <= found


def names_in(tree):
    """The names that the `if TYPE_CHECKING:` of a module imports."""
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for alias in statement.names
    }


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_what_a_lazy_package_has_is_what_type_checkers_see(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    (exported,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert set(exported) - {"__version__"} == names_in(tree)
    assert sorted(dir(module)) == sorted(exported)
    for statement in (
        statement for node in tree.body if isinstance(node, ast.If) for statement in node.body
    ):
        for alias in statement.names:
            seen = getattr(module, alias.name)
            if statement.module == package:
                assert seen is importlib.import_module(f"{package}.{alias.name}")
            else:
                source = importlib.import_module(statement.module)
                assert seen is getattr(source, alias.name)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = module.missing


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_all_that_a_lazy_package_names_can_be_imported_from_it(package):
    namespace = {}
    exec(f"from {package} import *", namespace)
    assert set(importlib.import_module(package).__all__) <= set(namespace)


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "keras_s5rl" / "py.typed").read_text() == ""


def parameters(layer):
    return {
        name: parameter
        for name, parameter in inspect.signature(layer.__init__).parameters.items()
        if name not in ("self", "kwargs")
    }


def test_layers_around_s5_have_all_of_its_arguments_and_their_defaults():
    from keras_s5rl.layers import S5, S5Block, S5Stack

    for layer in (S5Block, S5Stack):
        theirs = parameters(layer)
        for name, parameter in parameters(S5).items():
            assert theirs[name].default == parameter.default, name
            assert theirs[name].annotation == parameter.annotation, name


def test_layers_over_time_have_the_arguments_of_their_base_and_their_defaults():
    from keras_s5rl import layers

    base = parameters(layers.SequenceLayer)
    for name in layers.__all__:
        theirs = parameters(getattr(layers, name))
        assert base.keys() <= theirs.keys(), name
        for argument, parameter in base.items():
            assert theirs[argument].default == parameter.default, (name, argument)

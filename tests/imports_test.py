"""Reads the imports of the package: who may import whom, and what an import may cost."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Each part of the package and the parts it may import, beside itself.
ARROWS = {
    # The names of the environments, for Gymnasium, and of the classes, for Keras
    "__init__": ("envs", "serializable"),
    "entry_points": (),
    "serializable": (),
    "typing": (),
    "lazy": (),
    "space_leaves": (),
    "backend": (),
    "random": ("backend",),
    "ops": ("backend",),
    "layers": ("backend", "random", "ops"),
    "models": ("backend", "random", "ops", "layers", "entry_points", "space_leaves"),
    "envs": ("backend", "random", "entry_points", "space_leaves"),
    "ppo": ("backend", "random", "ops", "layers", "models", "envs", "space_leaves"),
    "runs": (),
    "training": (
        *("backend", "random", "ops", "layers", "models", "envs", "space_leaves", "ppo", "runs"),
    ),
    "cli": ("backend", "random", "ops", "layers", "models", "envs", "ppo", "runs", "training"),
}
# What every part may import: the standard library is all that it needs.
EVERYWHERE = ("lazy", "typing")
BACKENDS = {"jax", "jaxlib", "tensorflow", "torch"}
ONLY_WHERE_ASKED_FOR = {
    *("mujoco", "dm_control", "popgym", "matplotlib", "optuna", "tensorboard", "tqdm"),
    *("wandb", "mlflow", "huggingface_hub", "submitit"),
}
# What training draws, records and shows its progress with.
OF_COMMANDS = {"matplotlib", "PIL", "tensorboard", "tqdm"}


def imported(node):
    """The dotted names that one node of the syntax tree imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        prefix = "." * node.level + (node.module or "")
        return [f"{prefix}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "import_module",
        "importlib.import_module",
        "__import__",
    ):
        return [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
    return []


def executed_on_import(tree):
    """The nodes that run when the module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from executed_on_import(child)


def for_type_checkers(tree):
    """The nodes under `if TYPE_CHECKING:`, which nobody runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                yield from ast.walk(statement)


def violations(path, source):
    """What the module at `path`, relative to the package, imports against the rules."""
    part = path.parts[0].removesuffix(".py")
    tree = ast.parse(source)
    not_run = set(for_type_checkers(tree))
    on_import = set(executed_on_import(tree)) - not_run
    found = []
    for node in ast.walk(tree):
        if part == "__init__" and node in not_run:
            continue  # what the package exports, from all of its parts
        for name in imported(node):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            wrong = (
                name.startswith(".")
                or (top in BACKENDS and part != "backend")
                or (top in ONLY_WHERE_ASKED_FOR and node in on_import)
                or (
                    name.startswith("keras_s5rl.backend.jax")
                    and part != "backend"
                    and node in on_import
                )
                or (part == "runs" and top == "keras")
                or (
                    top == "keras_s5rl"
                    and other in ARROWS
                    and other not in (part, *EVERYWHERE, *ARROWS.get(part, ()))
                )
            )
            if wrong:
                found.append(f"{path}:{node.lineno} imports {name}")
    return found


def test_no_module_imports_against_the_arrows():
    package = ROOT / "keras_s5rl"
    found = []
    for path in sorted(package.rglob("*.py")):
        found += violations(path.relative_to(package), path.read_text())
    assert found == []


def test_every_part_of_the_package_has_its_arrows():
    parts = {
        path.stem
        for path in (ROOT / "keras_s5rl").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__"} <= set(ARROWS)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("layers/s5.py", "import jax.numpy as jnp"),
        ("layers/s5.py", "def call():\n    from tensorflow import function"),
        ("layers/s5.py", "import importlib\nimportlib.import_module('torch')"),
        ("ops/pallas.py", "from keras_s5rl.backend import jax_pallas"),
        ("layers/s5.py", "from keras_s5rl import models"),
        ("layers/s5.py", "from keras_s5rl.models.actor_critic import ActorCritic"),
        ("random.py", "from keras_s5rl import ops"),
        ("envs/registry.py", "import keras_s5rl.layers"),
        ("envs/control/mujoco.py", "import mujoco"),
        ("envs/control/mujoco.py", "class Environment:\n    import mujoco"),
        ("runs/metrics.py", "from keras import ops"),
        ("runs/metrics.py", "from keras_s5rl import backend"),
        ("runs/plots.py", "from matplotlib.figure import Figure"),
        ("ppo/learner.py", "from keras_s5rl.training.ppo import PPO"),
        ("training/ppo.py", "from . import recorder"),
        ("layers/s5.py", "if TYPE_CHECKING:\n    from keras_s5rl.models import ActorCritic"),
        ("__init__.py", "from keras_s5rl.training.ppo import PPO"),
    ],
)
def test_the_reader_of_imports_sees_a_wrong_one(path, source):
    assert len(violations(Path(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("backend/jax.py", "import jax"),
        ("layers/s5.py", "import keras\nfrom keras_s5rl.ops import linear_recurrence"),
        ("layers/s5.py", "from keras_s5rl.layers.hippo import hippo"),
        ("envs/control/mujoco.py", "def make():\n    import mujoco"),
        ("ops/pallas.py", "def pallas():\n    from keras_s5rl.backend import jax_pallas"),
        ("training/ppo.py", "from keras_s5rl import __version__, runs"),
        ("__init__.py", "import importlib"),
        ("__init__.py", "if TYPE_CHECKING:\n    from keras_s5rl.training.ppo import PPO"),
        ("ops/scale.py", "from keras_s5rl.typing import Tensor"),
    ],
)
def test_the_reader_of_imports_lets_a_right_one_pass(path, source):
    assert violations(Path(path), source) == []


def run_python(code):
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def heavy_modules_after(statement, *light):
    heavy = (BACKENDS | ONLY_WHERE_ASKED_FOR | OF_COMMANDS | {"keras", "scipy", "pygame"}) - set(
        light
    )
    return run_python(f"import sys; {statement}; print(sorted({heavy!r} & set(sys.modules)))")


def test_importing_the_package_loads_nothing_heavy():
    assert heavy_modules_after("import keras_s5rl") == "[]"


@pytest.mark.parametrize("part", ("layers", "envs", "models", "ppo"))
def test_importing_a_part_loads_nothing_heavy_before_a_name_of_it_is_used(part):
    assert heavy_modules_after(f"import keras_s5rl.{part}", "gymnasium") == "[]"


@pytest.mark.slow
def test_importing_the_package_leaves_the_choice_of_backend_open():
    code = "import os, keras_s5rl; print(os.environ.get('KERAS_BACKEND'))"
    assert run_python(code) == "None"
    code = (
        "import os, keras_s5rl; os.environ['KERAS_BACKEND'] = 'numpy'; "
        "import keras; print(keras.backend.backend())"
    )
    assert run_python(code) == "numpy"


@pytest.mark.slow
def test_no_part_loads_what_the_commands_draw_and_record_with():
    """Keras loads some of it by itself where it is installed."""
    code = (
        "import importlib, os, sys; os.environ['KERAS_BACKEND'] = 'jax'; "
        "import keras; before = set(sys.modules); "
        "[importlib.import_module(f'keras_s5rl.{part}') for part in "
        "('layers', 'ops', 'models', 'envs', 'ppo', 'training', 'training.ppo')]; "
        f"print(sorted({OF_COMMANDS!r} & (set(sys.modules) - before)))"
    )
    assert run_python(code) == "[]"


@pytest.mark.slow
def test_layers_work_where_nothing_of_the_commands_is_installed():
    code = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'jax'; "
        f"sys.modules.update(dict.fromkeys({OF_COMMANDS | {'tensorflow'}!r})); "
        "import numpy; from keras_s5rl.layers import S5Stack; "
        "print(S5Stack(1, 4, state_size=4)(numpy.ones((1, 3, 2))).shape)"
    )
    assert run_python(code).endswith("(1, 3, 4)")


def test_importing_runs_loads_nothing_heavy():
    assert heavy_modules_after("import keras_s5rl.runs") == "[]"


def test_the_configuration_of_ppo_needs_only_the_standard_library():
    assert heavy_modules_after("import keras_s5rl.ppo.config") == "[]"
    source = (ROOT / "keras_s5rl" / "ppo" / "config.py").read_text()
    names = {
        name.partition(".")[0] for node in ast.walk(ast.parse(source)) for name in imported(node)
    }
    assert names <= set(sys.stdlib_module_names) | {"keras_s5rl"}

"""`keras.models.load_model` in fresh processes, whatever was imported before it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s5rl import serializable
from keras_s5rl.layers import LRU, S5, CausalAttention, Resettable, ResidualBlock, S5Stack
from keras_s5rl.models import ActorCritic, DiagonalGaussian

PACKAGE = Path(serializable.__file__).parent
INPUTS = np.ones((2, 4, 3), "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One file of each kind, and the outputs of the models in them."""
    folder = tmp_path_factory.mktemp("saved")
    inputs = keras.Input((None, 3))
    models = {
        "functional": keras.Model(inputs, S5Stack(1, 4, norm="pre", state_size=4)(inputs)),
        "sequential": keras.Sequential(
            [
                keras.Input((4, 3)),
                S5(state_size=4),
                ResidualBlock(LRU(2), norm="post"),
                Resettable(keras.layers.GRUCell(4)),
                CausalAttention(1, 4, context_length=2),
            ]
        ),
        "policy": ActorCritic(
            3,
            DiagonalGaussian(np.zeros(2, "float32"), np.ones(2, "float32")),
            S5Stack(1, 4, state_size=4, return_state=True),
        ),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
        outputs = keras.tree.flatten(model(INPUTS))[0]
        np.save(folder / f"{name}.npy", keras.ops.convert_to_numpy(outputs))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    ("import keras_s5rl, keras", "import keras; from keras_s5rl import ops"),
)
def test_saved_models_load_after_importing_the_package_alone(folder, imports):
    code = f"""
import sys, warnings
{"sys.modules['tensorflow'] = None" if keras.backend.backend() != "tensorflow" else ""}
{imports}
import numpy as np
for name in ("functional", "sequential", "policy"):
    model = keras.models.load_model(r"{folder}/" + name + ".keras")
    outputs = keras.tree.flatten(model(np.ones((2, 4, 3), "float32")))[0]
    expected = np.load(r"{folder}/" + name + ".npy")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), expected, atol=1e-6)
    assert type(model).__name__ == {{"policy": "ActorCritic"}}.get(name, name.capitalize())
assert not any(type(finder).__name__ == "_KerasImport" for finder in sys.meta_path)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_every_registered_class_is_found_in_the_sources():
    registered = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            decorators = getattr(node, "decorator_list", ())
            if any("register_keras_serializable" in ast.unparse(d) for d in decorators):
                module = ".".join(("keras_s5rl", *path.relative_to(PACKAGE).with_suffix("").parts))
                registered.add((module, node.name))
    found = list(serializable.registered_classes())
    assert set(found) == registered and len(found) == len(registered) > 20


@pytest.mark.slow
def test_looking_for_keras_does_not_import_it():
    code = (
        "import sys, importlib.util, keras_s5rl; spec = importlib.util.find_spec('keras'); "
        "assert spec.origin.endswith('__init__.py') and 'keras' not in sys.modules; "
        "import keras; assert 'keras_s5rl.layers' not in sys.modules; "
        "assert 'keras_s5rl>S5' in keras.saving.get_custom_objects()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

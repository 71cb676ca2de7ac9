"""Defects of Keras that the package works around; a strict xfail tells when one is mended."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest


@pytest.mark.xfail(strict=True, reason="keras 3.15: serialize_keras_object imports TensorFlow.")
@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="TensorFlow is needed on its own backend."
)
def test_saving_a_model_does_not_import_tensorflow(tmp_path):
    program = (
        "import keras, sys\n"
        "keras.Sequential([keras.Input((1,))]).save(sys.argv[1])\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": keras.config.backend()}
    command = [sys.executable, "-c", program, str(tmp_path / "model.keras")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


@pytest.mark.xfail(
    strict=True, raises=TypeError, reason="keras 3.15: Variable.__array__ takes no `copy`."
)
def test_a_variable_becomes_an_array_by_numpy_2s_protocol():
    keras.Variable(np.ones(2)).__array__(copy=True)


@pytest.mark.xfail(
    strict=True, reason="keras 3.15: StackedRNNCells.from_config takes `cells` out of its argument."
)
def test_stacked_cells_leave_the_config_they_are_made_from_as_it_is():
    config = keras.layers.StackedRNNCells([keras.layers.GRUCell(2)]).get_config()
    keras.layers.StackedRNNCells.from_config(config)
    assert "cells" in config

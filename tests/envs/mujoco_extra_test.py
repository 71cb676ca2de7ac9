import sys

import pytest

from keras_s5rl import envs


@pytest.mark.parametrize("module", ("mujoco", "dm_control"))
def test_without_the_extra_the_error_names_it(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    for env, arguments in (
        ("dm_control", {"task": "finger_spin"}),
        ("projected_control", {"engine": "mujoco", "tasks": ("finger_spin",)}),
    ):
        with pytest.raises(ValueError, match=r'pip install "keras_s5rl\[mujoco\]"'):
            envs.make(env, **arguments)

"""`MjxPhysics`: a model of DeepMind Control stepped by MJX, MuJoCo in JAX."""

import importlib
from typing import Any

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.envs.mujoco.suite import import_domain
from keras_s5rl.typing import Tensor

# Newton's method with a warm start: more iterations of either kind change nothing in float32, half
# of them are felt in contacts.
_ITERATIONS = 4
_LINE_SEARCH_ITERATIONS = 8


class MjxPhysics:
    """The physics of one model, many rows a call, all on the device.

    The model is dm_control's own, of which the readout of energies is switched off, because MJX has
    none, and the solver takes at most 4 iterations of 8 line-search steps. Each call starts the
    solver cold.

    Args:
        domain: String, a domain of the suite, such as `"finger"`.
        num_substeps: Integer, steps of the integrator in a control step.

    Attributes:
        model: The `mujoco.MjModel`.

    Raises:
        ValueError: If Keras does not run on JAX, or the extra `mjx` is not installed.
    """

    def __init__(self, domain: str, num_substeps: int) -> None:
        if keras.backend.backend() != "jax":
            raise ValueError(
                "MJX runs on JAX: set KERAS_BACKEND=jax, or use the engine `mujoco`. "
                f"Received: backend={keras.backend.backend()!r}"
            )
        xml, assets = import_domain(domain).get_model_and_assets()
        try:
            mujoco = importlib.import_module("mujoco")
            self._mjx = importlib.import_module("mujoco.mjx")
        except ImportError as error:
            raise ValueError(
                f'MJX needs mujoco-mjx: pip install "keras_s5rl[mjx]". Received: {error}'
            ) from error
        self.model = mujoco.MjModel.from_xml_string(xml, assets)
        self.model.opt.enableflags = 0
        self.model.opt.iterations = _ITERATIONS
        self.model.opt.ls_iterations = _LINE_SEARCH_ITERATIONS
        self._num_substeps = num_substeps
        self._device_model = self._mjx.put_model(self.model, impl="jax")
        self._data = self._mjx.make_data(self.model, impl="jax")

    def step(
        self, qpos: Tensor, qvel: Tensor, control: Tensor, dof_damping: Tensor | None = None
    ) -> Any:
        """Takes one control step.

        Args:
            qpos: float32 `(n, num_dofs)`.
            qvel: float32 `(n, num_dofs)`.
            control: float32 `(n, num_controls)`.
            dof_damping: float32 `(n, num_dofs)`, the damping of each row's joints.

        Returns:
            `qpos, qvel, sensors`; float32 `(n, num_sensors)` as in dm_control: forces are those of
            the last substep.
        """
        return ops.vectorized_map(self._step_row, (qpos, qvel, control, dof_damping))

    def _step_row(self, row: Any) -> Any:
        qpos, qvel, control, dof_damping = row
        model = self._device_model
        if dof_damping is not None:
            model = model.replace(dof_damping=dof_damping)
        data = self._data.replace(qpos=qpos, qvel=qvel, ctrl=control)
        data, _ = backend.scan(
            lambda data, _: (self._mjx.step(model, data), None),
            data,
            None,
            length=self._num_substeps,
        )
        return data.qpos, data.qvel, data.sensordata

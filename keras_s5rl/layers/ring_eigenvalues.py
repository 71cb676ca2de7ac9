"""Eigenvalues drawn from a ring in the complex plane, as the initial weights of `LRU`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s5rl.layers.checks import check_number
from keras_s5rl.layers.initializers import NumpyInitializer
from keras_s5rl.typing import Array

_PARTS = ("nu_log", "theta_log", "gamma_log")


@keras.saving.register_keras_serializable("keras_s5rl")
class RingEigenvalues(NumpyInitializer):
    """Logarithms of the parts of eigenvalues drawn uniformly, by area, from a ring.

    An eigenvalue is `lambda = exp(-nu + i theta)`; `gamma = sqrt(1 - |lambda|^2)` keeps the size of
    its state that of its inputs ("Resurrecting recurrent neural networks for long sequences",
    sections 3.3 and 3.4). Initializers with one seed give the parts of the same eigenvalues.

    Args:
        part: `"nu_log"`, `"theta_log"` or `"gamma_log"`.
        r_min: Float in [0, 1), the inner radius. Defaults to `0.0`.
        r_max: Float in (0, 1], the outer radius. Defaults to `1.0`.
        max_phase: Positive float, the largest angle, in radians. Defaults to `6.283`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> import keras
    >>> from keras_s5rl.layers.ring_eigenvalues import RingEigenvalues
    >>> nu_log = RingEigenvalues("nu_log", r_min=0.9, seed=0)((64,))
    >>> radius = keras.ops.exp(-keras.ops.exp(nu_log))
    >>> bool(keras.ops.all((radius >= 0.9) & (radius <= 1.0)))
    True
    """

    def __init__(
        self,
        part: str,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if part not in _PARTS:
            raise ValueError(f"`part` should be one of {list(_PARTS)}. Received: part={part!r}")
        check_ring(r_min, r_max, max_phase)
        self.part = part
        self.r_min = r_min
        self.r_max = r_max
        self.max_phase = max_phase

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        share, turn = 1 - generator.random((2, *shape))  # in (0, 1]
        nu = -np.log(self.r_min**2 + share * (self.r_max**2 - self.r_min**2)) / 2
        if self.part == "theta_log":
            return np.log(self.max_phase * turn)
        return np.log(nu) if self.part == "nu_log" else np.log(-np.expm1(-2 * nu)) / 2

    def get_config(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "r_min": self.r_min,
            "r_max": self.r_max,
            "max_phase": self.max_phase,
            **super().get_config(),
        }


def check_ring(r_min: float, r_max: float, max_phase: float) -> None:
    """Raises a ValueError unless these bound a ring inside the unit circle."""
    check_number("r_min", r_min, "a radius in [0, 1)", lambda radius: 0 <= radius < 1)
    check_number("r_max", r_max, f"in ({r_min}, 1], above `r_min`", lambda r: r_min < r <= 1)
    check_number("max_phase", max_phase, "a positive angle in radians", lambda angle: angle > 0)

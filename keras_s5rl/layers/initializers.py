"""Initial weights drawn by numpy, so that one seed gives the same weights on every backend."""

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.hippo import hippo_eigenbasis
from keras_s5rl.typing import Array, Tensor


def derive_seeds(seed: int | None, count: int) -> list[int]:
    """Derives distinct seeds from one.

    Args:
        seed: Integer, or `None` to draw from Python's `random`, which `keras.utils.set_random_seed`
            seeds.
        count: Number of seeds.

    Returns:
        List of `count` integers in `[0, 2**31)`.

    Example:

    >>> from keras_s5rl.layers.initializers import derive_seeds
    >>> derive_seeds(1, 2) == derive_seeds(1, 2)
    True
    """
    if seed is None:
        seed = random.randint(1, 10**9)
    return [int(word >> 1) for word in np.random.SeedSequence(seed).generate_state(count)]


class NumpyInitializer(keras.initializers.Initializer):
    """Base of the initializers here: a subclass draws from a `numpy.random.Generator`.

    Args:
        seed: Integer, or `None` to draw from Python's `random`. Defaults to `None`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        (self._seed,) = derive_seeds(seed, 1)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        values = self.draw(np.random.default_rng(self._seed), tuple(shape))
        dtype = keras.backend.floatx() if dtype is None else dtype
        return ops.convert_to_tensor(values.astype("float32"), dtype=dtype)

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        """Returns a float64 array of `shape`, drawn from a `numpy.random.Generator`."""
        raise NotImplementedError(f"`draw` is for {type(self).__name__} to define.")

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


@keras.saving.register_keras_serializable("keras_s5rl")
class Normal(NumpyInitializer):
    """Normal draws with mean 0.

    Args:
        stddev: Positive float. Defaults to `1.0`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import Normal
    >>> tuple(Normal(seed=0)((3,)).shape)
    (3,)
    """

    def __init__(self, stddev: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.stddev = stddev

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        return self.stddev * generator.normal(size=shape)

    def get_config(self) -> dict[str, Any]:
        return {"stddev": self.stddev, **super().get_config()}


@keras.saving.register_keras_serializable("keras_s5rl")
class Orthogonal(NumpyInitializer):
    """A matrix with orthogonal rows or columns, times a gain; the last axis of a shape are its
    columns, all others its rows.

    Args:
        gain: Float. Defaults to `1.0`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import Orthogonal
    >>> tuple(Orthogonal(seed=0)((3, 2)).shape)
    (3, 2)
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        rows, columns = int(np.prod(shape[:-1])), shape[-1]
        matrix = generator.normal(size=(max(rows, columns), min(rows, columns)))
        basis, triangle = np.linalg.qr(matrix)
        basis = basis * np.sign(np.diagonal(triangle))  # uniform over orthogonal matrices
        return self.gain * (basis if rows >= columns else basis.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


@keras.saving.register_keras_serializable("keras_s5rl")
class LogUniform(NumpyInitializer):
    """Logarithms of draws whose logarithm is uniform between two bounds: log step sizes.

    Args:
        minval: Positive float, the smallest step size. Defaults to `1e-3`.
        maxval: Positive float, the largest. Defaults to `1e-1`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import LogUniform
    >>> tuple(LogUniform(seed=0)((3,)).shape)
    (3,)
    """

    def __init__(self, minval: float = 1e-3, maxval: float = 1e-1, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        return generator.uniform(np.log(self.minval), np.log(self.maxval), size=shape)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


@keras.saving.register_keras_serializable("keras_s5rl")
class SoftplusStep(LogUniform):
    """Biases whose `softplus` is a step size drawn as by `LogUniform`.

    Args:
        minval: Positive float, the smallest step size. Defaults to `1e-3`.
        maxval: Positive float, the largest. Defaults to `1e-1`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import SoftplusStep
    >>> tuple(SoftplusStep(seed=0)((3,)).shape)
    (3,)
    """

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        return np.log(np.expm1(np.exp(super().draw(generator, shape))))


@keras.saving.register_keras_serializable("keras_s5rl")
class HippoEigenvalues(keras.initializers.Initializer):
    """Real or imaginary parts of the eigenvalues of the HiPPO-LegS matrix's normal part.

    Args:
        part: `"real"` or `"imaginary"`.
        num_blocks: Number of equal blocks on the diagonal. Defaults to `1`.
        conjugate_symmetry: Whether one of each conjugate pair is kept. Defaults to `True`.

    Example:

    >>> from keras_s5rl.layers.initializers import HippoEigenvalues
    >>> float(HippoEigenvalues("real")((4,))[0])
    -0.5
    """

    def __init__(self, part: str, num_blocks: int = 1, conjugate_symmetry: bool = True) -> None:
        if part not in ("real", "imaginary"):
            raise ValueError(f"`part` should be 'real' or 'imaginary'. Received: part={part!r}")
        self.part = part
        self.num_blocks = num_blocks
        self.conjugate_symmetry = conjugate_symmetry

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        state_size = shape[0] * (2 if self.conjugate_symmetry else 1)
        values, _ = hippo_eigenbasis(state_size, self.num_blocks, self.conjugate_symmetry)
        values = values.real if self.part == "real" else values.imag
        dtype = keras.backend.floatx() if dtype is None else dtype
        return ops.convert_to_tensor(values.astype("float32"), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "num_blocks": self.num_blocks,
            "conjugate_symmetry": self.conjugate_symmetry,
        }


class _HippoProjection(NumpyInitializer):
    """A random real matrix seen from the eigenbasis of the HiPPO matrix."""

    def __init__(
        self, num_blocks: int = 1, conjugate_symmetry: bool = True, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.num_blocks = num_blocks
        self.conjugate_symmetry = conjugate_symmetry

    def basis(self, num_states: int) -> Array:
        """The eigenvectors as columns, complex `(state_size, num_states)`."""
        state_size = num_states * (2 if self.conjugate_symmetry else 1)
        return hippo_eigenbasis(state_size, self.num_blocks, self.conjugate_symmetry)[1]

    def get_config(self) -> dict[str, Any]:
        return {
            "num_blocks": self.num_blocks,
            "conjugate_symmetry": self.conjugate_symmetry,
            **super().get_config(),
        }


@keras.saving.register_keras_serializable("keras_s5rl")
class HippoInputMatrix(_HippoProjection):
    """`V^H W` for the input matrix B: W real normal, variance 1 / H, V the HiPPO eigenvectors.

    The shape is `(2, P, H)`.

    Args:
        num_blocks: Number of equal blocks on the diagonal. Defaults to `1`.
        conjugate_symmetry: Whether one of each conjugate pair is kept. Defaults to `True`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import HippoInputMatrix
    >>> tuple(HippoInputMatrix(seed=0)((2, 4, 3)).shape)
    (2, 4, 3)
    """

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        _, num_states, features = shape
        basis = self.basis(num_states)
        weights = generator.normal(size=(len(basis), features)) / np.sqrt(features)
        projected = basis.conj().T @ weights
        return np.stack([projected.real, projected.imag])


@keras.saving.register_keras_serializable("keras_s5rl")
class HippoOutputMatrix(_HippoProjection):
    """The output matrix C, of shape `(2, H, P)`, by one of the S5 authors' rules.

    With N the full state size and V the HiPPO eigenvectors:

    - `"lecun_normal"`: `W V`, W complex normal with `E|W|^2 = 1 / N`;
    - `"truncate_standard_normal"`: `W V`, each part of W normal, cut off at two standard
      deviations, with variance `1 / N`;
    - `"complex_normal"`: complex normal with `E|C|^2 = 1`, in the eigenbasis itself.

    Args:
        distribution: One of the above. Defaults to `"lecun_normal"`.
        num_blocks: Number of equal blocks on the diagonal. Defaults to `1`.
        conjugate_symmetry: Whether one of each conjugate pair is kept. Defaults to `True`.
        num_directions: 2 where the states of both directions stand side by side. Defaults to `1`.
        seed: Integer or `None`. Defaults to `None`.

    Example:

    >>> from keras_s5rl.layers.initializers import HippoOutputMatrix
    >>> tuple(HippoOutputMatrix(seed=0)((2, 3, 4)).shape)
    (2, 3, 4)
    """

    distributions = ("lecun_normal", "truncate_standard_normal", "complex_normal")

    def __init__(
        self,
        distribution: str = "lecun_normal",
        num_blocks: int = 1,
        conjugate_symmetry: bool = True,
        num_directions: int = 1,
        seed: int | None = None,
    ) -> None:
        super().__init__(num_blocks, conjugate_symmetry, seed)
        self.distribution = distribution
        self.num_directions = num_directions

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Array:
        _, features, num_states = shape
        halves = [
            self._draw_direction(generator, features, num_states // self.num_directions)
            for _ in range(self.num_directions)
        ]
        matrix = np.concatenate(halves, axis=1)
        return np.stack([matrix.real, matrix.imag])

    def _draw_direction(
        self, generator: np.random.Generator, features: int, num_states: int
    ) -> Array:
        if self.distribution == "complex_normal":
            parts = generator.normal(size=(2, features, num_states)) / np.sqrt(2)
            return parts[0] + 1j * parts[1]
        basis = self.basis(num_states)
        shape = (2, features, len(basis))
        if self.distribution == "lecun_normal":
            parts = generator.normal(size=shape) / np.sqrt(2 * len(basis))
        else:
            parts = _truncated_normal(generator, shape) / np.sqrt(len(basis))
        return (parts[0] + 1j * parts[1]) @ basis

    def get_config(self) -> dict[str, Any]:
        return {
            "distribution": self.distribution,
            "num_directions": self.num_directions,
            **super().get_config(),
        }


def _truncated_normal(generator: np.random.Generator, shape: Sequence[int]) -> Array:
    """Normal draws within two standard deviations, scaled to variance 1."""
    values = generator.normal(size=shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.normal(size=int(outside.sum()))
    return values / 0.87962566103423978  # the standard deviation of what is left

"""The gates of recurrent cells, as Keras has them, with their derivatives written out."""

from typing import Protocol

from keras import ops

from keras_s5rl.typing import Tensor


class Gates(Protocol):
    """What a step makes of its input, of the product with the last output, and of the last state.

    All functions are elementwise in the leading axes: of one step, or of all steps together.
    """

    @staticmethod
    def step(inputs: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """The new state `(..., entries)`.

        Args:
            inputs: Tensor `(..., gates * units)`.
            recurrent: Tensor like `inputs`.
            state: Tensor `(..., entries)`, of which the first `units` are the output.
        """

    @staticmethod
    def linearized(
        inputs: Tensor, recurrent: Tensor, state: Tensor, new_state: Tensor
    ) -> dict[str, Tensor]:
        """The factors of the derivatives of `step`, by name."""

    @staticmethod
    def pushed(
        factors: dict[str, Tensor], inputs: Tensor, recurrent: Tensor, state: Tensor
    ) -> Tensor:
        """The tangent of the new state, given those of the arguments of `step`."""

    @staticmethod
    def pulled(factors: dict[str, Tensor], new_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients for the arguments of `step`, given that for the new state."""


class GRUGates(Gates):
    """Those of `keras.layers.GRUCell` with `reset_after=True`; the state is the output h:

    z, r = sigmoid(u_z + p_z), sigmoid(u_r + p_r)
    g = tanh(u_g + r p_g)
    h' = z h + (1 - z) g
    """

    @staticmethod
    def step(inputs: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        z, _, g, _ = _gru_gates(inputs, recurrent)
        return z * state + (1 - z) * g

    @staticmethod
    def linearized(
        inputs: Tensor, recurrent: Tensor, state: Tensor, new_state: Tensor
    ) -> dict[str, Tensor]:
        z, r, g, product = _gru_gates(inputs, recurrent)
        for_g = (1 - z) * (1 - g * g)
        return {
            "state": z,
            "z": (state - g) * z * (1 - z),
            "r": for_g * product * r * (1 - r),
            "g": for_g,
            "product": for_g * r,
        }

    @staticmethod
    def pushed(
        factors: dict[str, Tensor], inputs: Tensor, recurrent: Tensor, state: Tensor
    ) -> Tensor:
        (u_z, u_r, u_g), (p_z, p_r, p_g) = ops.split(inputs, 3, -1), ops.split(recurrent, 3, -1)
        new_state = factors["state"] * state + factors["z"] * (u_z + p_z)
        new_state = new_state + factors["r"] * (u_r + p_r)
        return new_state + factors["g"] * u_g + factors["product"] * p_g

    @staticmethod
    def pulled(factors: dict[str, Tensor], new_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, r = factors["z"] * new_state, factors["r"] * new_state
        inputs = ops.concatenate([z, r, factors["g"] * new_state], axis=-1)
        recurrent = ops.concatenate([z, r, factors["product"] * new_state], axis=-1)
        return inputs, recurrent, factors["state"] * new_state


class LSTMGates(Gates):
    """Those of `keras.layers.LSTMCell`; the state is the output h and the cell c, side by side:

        i, f, o = sigmoid(u_i + p_i), sigmoid(u_f + p_f), sigmoid(u_o + p_o)
        g = tanh(u_g + p_g)
        c' = f c + i g
        h' = o tanh(c')

    The gates lie in the order i, f, g, o.
    """

    @staticmethod
    def step(inputs: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        i, f, g, o = _lstm_gates(inputs, recurrent)
        c = f * ops.split(state, 2, axis=-1)[1] + i * g
        return ops.concatenate([o * ops.tanh(c), c], axis=-1)

    @staticmethod
    def linearized(
        inputs: Tensor, recurrent: Tensor, state: Tensor, new_state: Tensor
    ) -> dict[str, Tensor]:
        i, f, g, o = _lstm_gates(inputs, recurrent)
        _, c = ops.split(state, 2, axis=-1)
        _, new_c = ops.split(new_state, 2, axis=-1)
        shown = ops.tanh(new_c)
        return {
            "cell": f,
            "shown": o * (1 - shown * shown),
            "i": g * i * (1 - i),
            "f": c * f * (1 - f),
            "g": i * (1 - g * g),
            "o": shown * o * (1 - o),
        }

    @staticmethod
    def pushed(
        factors: dict[str, Tensor], inputs: Tensor, recurrent: Tensor, state: Tensor
    ) -> Tensor:
        i, f, g, o = ops.split(inputs + recurrent, 4, axis=-1)
        c = factors["cell"] * ops.split(state, 2, axis=-1)[1]
        c = c + factors["i"] * i + factors["f"] * f + factors["g"] * g
        return ops.concatenate([factors["shown"] * c + factors["o"] * o, c], axis=-1)

    @staticmethod
    def pulled(factors: dict[str, Tensor], new_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h, c = ops.split(new_state, 2, axis=-1)
        c = c + factors["shown"] * h
        gates = [factors[name] * c for name in ("i", "f", "g")]
        gates = ops.concatenate([*gates, factors["o"] * h], axis=-1)
        return gates, gates, ops.concatenate([ops.zeros_like(h), factors["cell"] * c], axis=-1)


def _gru_gates(inputs: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, r, g and the product that r acts on."""
    (u_z, u_r, u_g), (p_z, p_r, p_g) = ops.split(inputs, 3, -1), ops.split(recurrent, 3, -1)
    r = ops.sigmoid(u_r + p_r)
    return ops.sigmoid(u_z + p_z), r, ops.tanh(u_g + r * p_g), p_g


def _lstm_gates(inputs: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """i, f, g and o."""
    i, f, g, o = ops.split(inputs + recurrent, 4, axis=-1)
    return ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)

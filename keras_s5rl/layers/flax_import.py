"""Weights of the S5 authors' Flax module, renamed and reordered as those of `S5`."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from keras_s5rl.typing import Array

_Layer = TypeVar("_Layer")


def convert_flax_parameters(params: Mapping[str, Any]) -> dict[str, Array]:
    """Converts the parameters of one Flax S5 module.

    Args:
        params: Mapping of arrays: `Lambda_re (P,)`, `Lambda_im (P,)`, `B (P, H, 2)`, `C (H, P, 2)`
            (`C (H, 2P, 2)`, or `C1` and `C2`, both `(H, P, 2)`, when bidirectional), `D (H,)`,
            `log_step (P, 1)`. Real and imaginary parts lie on the last axis of B and C.

    Returns:
        Dict from the names of the weights of `S5` to float32 arrays of their shapes.

    Raises:
        ValueError: If an array is not there.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.flax_import import convert_flax_parameters
    >>> params = {"Lambda_re": -np.ones(4), "Lambda_im": np.arange(4.0),
    ...           "B": np.ones((4, 3, 2)), "C": np.ones((3, 4, 2)),
    ...           "D": np.ones(3), "log_step": np.zeros((4, 1))}
    >>> convert_flax_parameters(params)["B"].shape
    (2, 4, 3)
    """
    arrays = {name: np.asarray(value, "float32") for name, value in params.items()}
    if "C" not in arrays and {"C1", "C2"} <= arrays.keys():
        arrays["C"] = np.concatenate([arrays["C1"], arrays["C2"]], axis=1)
    missing = {"Lambda_re", "Lambda_im", "B", "C", "D", "log_step"} - arrays.keys()
    if missing:
        raise ValueError(
            f"`params` should hold the arrays of one S5 module; {sorted(missing)} are not there. "
            f"Received: params with keys {sorted(params)}"
        )
    return {
        "lambda_re": arrays["Lambda_re"],
        "lambda_im": arrays["Lambda_im"],
        "B": np.moveaxis(arrays["B"], -1, 0),
        "C": np.moveaxis(arrays["C"], -1, 0),
        "D": arrays["D"],
        "log_step": arrays["log_step"].reshape(-1),
    }


def layer_from_flax(
    layer_class: type[_Layer], params: Mapping[str, Any], arguments: Mapping[str, Any]
) -> _Layer:
    """Builds a layer with the weights of one Flax S5 module.

    Args:
        layer_class: `S5`.
        params: Mapping of arrays, as `convert_flax_parameters` takes it.
        arguments: Keyword arguments of the layer; `state_size` comes from the arrays.
    """
    weights = convert_flax_parameters(params)
    per_state = 2 if arguments.get("conjugate_symmetry", True) else 1
    state_size = per_state * len(weights["lambda_re"])
    layer: Any = layer_class(**{**arguments, "state_size": state_size})
    layer.build((None, None, len(weights["D"])))
    for name, value in weights.items():
        getattr(layer, name).assign(value)
    return layer

"""The parameters of state-space models among a model's weights."""

from typing import Any


def ssm_variables(model: Any) -> list[Any]:
    """Returns the variables of a Keras model that its layers declare to be those of a state-space
    model.

    A layer declares them by `ssm_weights`, a tuple with the names of its attributes that hold them:
    what decides how it forgets and what it takes in, such as eigenvalues, step sizes and input
    matrix.

    Args:
        model: A built Keras layer or model.
    """
    return [
        getattr(layer, name)
        for layer in model._flatten_layers()
        for name in getattr(layer, "ssm_weights", ())
    ]

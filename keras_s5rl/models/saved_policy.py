"""Policies from files."""

import os

import keras

from keras_s5rl.models.policy import Policy
from keras_s5rl.typing import StrPath


def load_policy(path: StrPath) -> Policy:
    """Loads a policy that was saved with `policy.save(path)`, on any backend.

    Args:
        path: Path of a `.keras` file, such as the `policy.keras` of a run directory.

    Returns:
        An `ActorCritic`, or a `Policy` of the class that was saved.

    Raises:
        ValueError: If there is no such file, or if it holds another model.
    """
    if not isinstance(path, str | os.PathLike) or not os.path.isfile(path):
        raise ValueError(
            "`path` should be the file of a policy saved with `policy.save(path)`, such as "
            f"'runs/demo/policy.keras'. Received: path={path!r}"
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # of many kinds: of Keras, of zip files, of JSON and of HDF5
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            "`path` should hold a policy saved with `policy.save(path)`, a whole .keras file; this "
            f"one cannot be read ({type(error).__name__}: {reason}). Received: path={str(path)!r}"
        ) from error
    if not isinstance(model, Policy):
        raise ValueError(
            f"`path` should hold a keras_s5rl policy; it holds a {type(model).__name__}. "
            f"Received: path={str(path)!r}"
        )
    return model

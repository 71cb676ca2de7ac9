"""Names for the types in the package's signatures; importing them imports no Keras.

Keras has no type annotations, and what is a tensor depends on the backend, so that these names
inform readers more than type checkers.
"""

import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

# A tensor of the active Keras backend, or what Keras makes one of: an array, nested lists, a number
Tensor: TypeAlias = Any

# A dict of tensors, or of such dicts: the draws and the states of environments
Tensors: TypeAlias = dict[str, Any]

# Tensors in nested lists, tuples and dicts, or one alone
Structure: TypeAlias = Any

# Sizes of a tensor's axes; `None` where any size will do
Shape: TypeAlias = tuple[int | None, ...]

# A numpy array of any shape and dtype; a Gymnasium space of any values; environments of Gymnasium
if TYPE_CHECKING:
    from collections.abc import Callable

    import gymnasium
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Space: TypeAlias = gymnasium.Space[Any]
    GymnasiumEnv: TypeAlias = (
        gymnasium.Env[Any, Any]
        | gymnasium.vector.VectorEnv[Any, Any, Any]
        | Callable[[], gymnasium.Env[Any, Any]]
    )
else:
    Array = Space = GymnasiumEnv = Any

# A name of a file or a folder
StrPath: TypeAlias = str | os.PathLike[str]


class LayerArguments(TypedDict, total=False):
    """What `keras.layers.Layer` takes, beside a layer's own arguments."""

    name: str | None
    dtype: Any
    trainable: bool
    activity_regularizer: Any

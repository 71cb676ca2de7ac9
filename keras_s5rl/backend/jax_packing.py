"""Tensors side by side in one array, for the loops of a program on a GPU.

A loop that reads or writes an array a step by itself copies it there, a copy for each array, whose
place depends on the step: XLA can then record no more than one step as a CUDA graph. Of one array
in which all lie side by side the copies become part of the kernels that compute them.
"""

from typing import Any

import jax
import jax.numpy as jnp

from keras_s5rl.typing import Structure, Tensor


class Layout:
    """Where the tensors of a structure lie in one array of 32-bit words.

    Those whose numbers are neither of 32 bits nor boolean stay as they are.

    Args:
        structure: Structure of tensors, or of anything with `shape` and `dtype`.

    Example:

    >>> import jax.numpy as jnp
    >>> from keras_s5rl.backend.jax_packing import Layout
    >>> step = {"action": jnp.ones(2, "int32"), "done": jnp.ones(2, "bool"), "reward": jnp.ones(2)}
    >>> layout = Layout(step)
    >>> words, others = layout.pack(step)
    >>> words.shape, others
    ((6,), [])
    >>> layout.unpack(words, others)["done"]
    Array([ True,  True], dtype=bool)
    """

    def __init__(self, structure: Structure) -> None:
        leaves, self._definition = jax.tree.flatten(structure)
        self._leaves = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

    def pack(self, structure: Structure, leading_axes: int = 0) -> tuple[Tensor, list[Tensor]]:
        """Returns the tensors of a structure as words, uint32 `(*leading, size)` or `None` where
        there are none, and a list of the others.

        Args:
            structure: Structure as of the layout, with more axes in front.
            leading_axes: Integer, how many. Defaults to `0`.
        """
        words, others = [], []
        for leaf, like in zip(jax.tree.leaves(structure), self._leaves, strict=True):
            if _is_packed(like):
                words.append(jnp.reshape(_to_words(leaf), (*leaf.shape[:leading_axes], -1)))
            else:
                others.append(leaf)
        return jnp.concatenate(words, axis=-1) if words else None, others

    def unpack(self, words: Tensor, others: list[Tensor]) -> Any:
        """Returns the structure that `pack` made these of."""
        rest, start, leaves = iter(others), 0, []
        for like in self._leaves:
            if not _is_packed(like):
                leaves.append(next(rest))
                continue
            part = words[..., start : start + like.size]
            start += like.size
            part = jnp.reshape(part, (*part.shape[:-1], *like.shape))
            leaves.append(_from_words(part, like.dtype))
        return self._definition.unflatten(leaves)


def _is_packed(like: Any) -> bool:
    return like.dtype == jnp.bool_ or like.dtype.itemsize == 4


def _to_words(tensor: Tensor) -> Tensor:
    if tensor.dtype == jnp.bool_:
        return tensor.astype("uint32")
    return jax.lax.bitcast_convert_type(tensor, "uint32")


def _from_words(words: Tensor, dtype: Any) -> Tensor:
    return words != 0 if dtype == jnp.bool_ else jax.lax.bitcast_convert_type(words, dtype)

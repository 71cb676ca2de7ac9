"""Checks of what `ActorCritic.act` is given, of values as far as they can be seen."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_s5rl.layers.checks import as_flags
from keras_s5rl.typing import Tensor


def observation_tensor(observation: Tensor, size: int) -> Tensor:
    """Returns observations as a float32 tensor `(batch, size)`."""
    observation = _tensor("observation", observation, "float32", f"numbers `(batch, {size})`")
    if len(observation.shape) != 2 or observation.shape[1] != size:
        raise ValueError(
            f"`observation` should have the shape `(batch, {size})`, one row of each environment. "
            f"Received: observation of shape {tuple(observation.shape)}"
        )
    return observation


def reset_tensor(reset: Tensor, batch_size: int) -> Tensor:
    """Returns reset flags as a bool tensor `(batch,)`; numbers other than 0 and 1 are refused."""
    reset = _tensor("reset", reset, None, "flags `(batch,)`")
    if tuple(reset.shape) != (batch_size,):
        raise ValueError(
            f"`reset` should have the shape `({batch_size},)`, a flag of each observation. "
            f"Received: reset of shape {tuple(reset.shape)}"
        )
    return as_flags("reset", reset)


def state_tensors(state: Any, shapes: Sequence[tuple[int, ...]], batch_size: int) -> list[Tensor]:
    """Returns a memory state as a list of tensors, each of its shape behind the batch axis."""
    if not isinstance(state, list | tuple) or len(state) != len(shapes):
        received = f"{len(state)} of them" if isinstance(state, list | tuple) else repr(state)
        raise ValueError(
            f"`state` should be a list of {len(shapes)} tensors: what the step before returned, at "
            f"the start `policy.get_initial_state(batch_size)`. Received: state={received}"
        )
    tensors = [_tensor("state", tensor, None, "tensors") for tensor in state]
    for tensor, shape in zip(tensors, shapes, strict=True):
        if tuple(tensor.shape) != (batch_size, *shape):
            raise ValueError(
                f"`state` should be that of {batch_size} environments, as many as there are "
                "observations: what the step before returned, at the start "
                f"`policy.get_initial_state({batch_size})`. Received: a tensor of shape "
                f"{tuple(tensor.shape)} for {(batch_size, *shape)}"
            )
    return tensors


def check_draw(deterministic: bool, key: Any) -> None:
    """Raises a ValueError unless a draw is either not asked for, or has a key."""
    if not isinstance(deterministic, bool):
        raise ValueError(
            f"`deterministic` should be True or False. Received: deterministic={deterministic!r}"
        )
    if deterministic:
        return
    if tuple(getattr(key, "shape", ())) != (2,) or "int" not in str(key.dtype):
        received = "None" if key is None else repr(key)
        raise ValueError(
            "`key` should be a key of `keras_s5rl.random` when `deterministic=False`: a draw needs "
            f"one, such as `keras_s5rl.random.key(0)`. Received: key={received}"
        )


def _tensor(name: str, value: Any, dtype: str | None, expected: str) -> Tensor:
    try:
        return ops.convert_to_tensor(value, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"`{name}` should be {expected} ({' '.join(str(error).split())[:120]}). "
            f"Received: {name}={value!r}"
        ) from None

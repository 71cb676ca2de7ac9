"""What the arguments of layers over time are checked for."""


def check_shape(name, values, expected, sizes):
    """Raises a ValueError if a static size of a tensor is not the one in `sizes`.

    Args:
        name: String, the argument.
        values: Tensor or `KerasTensor`.
        expected: String, the shape in words.
        sizes: Sequence of integers, or `None` where any size will do.
    """
    shape = tuple(values.shape)
    if len(shape) != len(sizes) or any(
        None not in pair and pair[0] != pair[1] for pair in zip(shape, sizes, strict=True)
    ):
        raise ValueError(
            f"`{name}` should have shape {expected}, here {tuple(sizes)}. "
            f"Received: {name}.shape={shape}"
        )


def refuse_step_scale(layer, step_scale):
    """Raises a ValueError if a layer in discrete time is given step sizes."""
    if step_scale is not None:
        raise ValueError(
            f"`step_scale` is for layers in continuous time, such as `S5`; {type(layer).__name__} "
            "has no step size. Leave it out. "
            f"Received: step_scale of shape {tuple(step_scale.shape)}"
        )

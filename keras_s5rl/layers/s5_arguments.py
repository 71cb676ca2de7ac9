"""The arguments of `S5`, and checks of them."""

from keras_s5rl.layers.checks import (
    check_booleans,
    check_choice,
    check_number,
    check_positive_integers,
)
from keras_s5rl.layers.discretization import DISCRETIZATIONS
from keras_s5rl.layers.initializers import HippoOutputMatrix
from keras_s5rl.ops import check_implementation

# The arguments of S5 alone that JSON has values for
PLAIN_ARGUMENTS = (
    *("state_size", "num_blocks", "discretization", "c_init", "dt_min", "dt_max"),
    *("conjugate_symmetry", "clip_eigenvalues", "bidirectional", "step_rescale", "implementation"),
)


def check_s5_arguments(
    state_size: int,
    num_blocks: int,
    discretization: str,
    c_init: str,
    dt_min: float,
    dt_max: float,
    conjugate_symmetry: bool,
    clip_eigenvalues: bool,
    bidirectional: bool,
    step_rescale: float,
    implementation: str,
) -> None:
    """Raises a ValueError unless these arguments of `S5` are right, and go together."""
    check_positive_integers(state_size=state_size, num_blocks=num_blocks)
    check_booleans(
        conjugate_symmetry=conjugate_symmetry,
        clip_eigenvalues=clip_eigenvalues,
        bidirectional=bidirectional,
    )
    check_choice("discretization", discretization, DISCRETIZATIONS)
    check_choice("c_init", c_init, HippoOutputMatrix.distributions)
    check_implementation(implementation)
    unit = num_blocks * (2 if conjugate_symmetry else 1)
    if state_size % unit:
        raise ValueError(
            "`state_size` should be a multiple of `num_blocks`, of twice that with "
            f"`conjugate_symmetry`, {unit}. Received: state_size={state_size}, {num_blocks=}"
        )
    check_number("dt_min", dt_min, "a positive step size", lambda step: step > 0)
    check_number("dt_max", dt_max, f"not below `dt_min`, {dt_min}", lambda step: step >= dt_min)
    check_number("step_rescale", step_rescale, "positive", lambda factor: factor > 0)

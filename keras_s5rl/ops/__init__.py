"""Operations on tensors that the layers are made of."""

from keras_s5rl.ops.linear_recurrence import (
    check_implementation,
    linear_recurrence,
    linear_recurrence_time_major,
)
from keras_s5rl.ops.product import product
from keras_s5rl.ops.rowwise import rowwise
from keras_s5rl.ops.scale import scale

__all__ = [
    "check_implementation",
    "linear_recurrence",
    "linear_recurrence_time_major",
    "product",
    "rowwise",
    "scale",
]

"""The memory s5_no_resets: S5 whose state is never cleared, the paper's ablation of resets."""

from typing import Any

from keras_s5rl.models.memories.registry import memory_settings, register_memory
from keras_s5rl.models.memories.s5 import make_stack


def build(*, dtype: str | None, **stack_arguments: Any) -> Any:
    from keras_s5rl.layers import WithoutResets

    stack = make_stack(dtype=dtype, name="stack", **stack_arguments)
    return WithoutResets(stack, return_state=True, dtype=dtype, name="memory")


register_memory("s5_no_resets", build, memory_settings("s5"))

"""What Keras needs to load a saved layer or policy, without Keras and the layers being imported.

A file names the classes in it, and Keras looks the names up among those that were registered. A
class registers itself when its module is imported; until then a stand-in has its place.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_CLASSES = {
    "keras_s5rl.layers.attention_block": ("AttentionBlock",),
    "keras_s5rl.layers.causal_attention": ("CausalAttention",),
    "keras_s5rl.layers.dense": ("Dense",),
    "keras_s5rl.layers.initializers": (
        "HippoEigenvalues",
        "HippoInputMatrix",
        "HippoOutputMatrix",
        "LogUniform",
        "Normal",
        "Orthogonal",
    ),
    "keras_s5rl.layers.lru": ("LRU",),
    "keras_s5rl.layers.min_gru": ("MinGRU",),
    "keras_s5rl.layers.residual_block": ("ResidualBlock",),
    "keras_s5rl.layers.resettable": ("Resettable",),
    "keras_s5rl.layers.ring_eigenvalues": ("RingEigenvalues",),
    "keras_s5rl.layers.row_normalization": ("RowNormalization",),
    "keras_s5rl.layers.s5": ("S5",),
    "keras_s5rl.layers.s5_block": ("S5Block",),
    "keras_s5rl.layers.s5_stack": ("S5Stack",),
    "keras_s5rl.layers.sequence_stack": ("SequenceStack",),
    "keras_s5rl.models.actor_critic": ("ActorCritic",),
    "keras_s5rl.models.distributions": ("Categorical", "DiagonalGaussian", "MultiCategorical"),
    "keras_s5rl.models.feed_forward": ("FeedForward",),
    "keras_s5rl.ops.linear_recurrence": ("LinearRecurrence",),
}


class _StandIn:
    """A class that is imported when Keras makes an object of it."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


class _KerasImport:
    """A finder for `sys.meta_path` that calls a function once Keras has been imported."""

    def __init__(self, function: Callable[[ModuleType], None]) -> None:
        self.function = function

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)
                self.function(module)

            # For this one import, of which the loader is the only way to hear when it is over.
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _register(keras: ModuleType) -> None:
    registered = keras.saving.get_custom_objects()
    for module, names in _CLASSES.items():
        for name in names:
            registered.setdefault(f"keras_s5rl>{name}", _StandIn(module, name))


def register_with_keras() -> None:
    """Makes the classes of the package known to Keras, now or when Keras is imported."""
    if "keras" in sys.modules:
        _register(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _KerasImport(_register))

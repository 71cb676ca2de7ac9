"""Programs compiled for an NVIDIA H200 on a machine without one, and what they launch there.

JAX's CUDA plugin (`pip install "keras-s5rl[cuda]"`) compiles for a described device. Products of
matrices are then not tuned, and nothing can be run; but the program is the one that a GPU runs, so
that its kernels can be counted.
"""

import contextlib
import os
import pathlib
import re
from collections import Counter
from unittest import mock

_TARGET = pathlib.Path(__file__).with_name("h200.txtpb")
# What launches nothing.
_FREE = frozenset(
    ("after-all", "bitcast", "constant", "get-tuple-element", "parameter", "partition-id", "tuple")
)
_COPIES = frozenset(("copy", "copy-start", "dynamic-slice", "dynamic-update-slice", "slice"))
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([a-z][\w\-]*)\(")


def compile_for_h200(function, *arguments):
    """Returns `function` compiled for arguments of these shapes.

    The package is made to choose what it chooses on a GPU: kernels of its own for the recurrence,
    packed loops, one vector of weights. So `function` has to be made inside of `as_on_a_gpu`, too.

    Args:
        function: Function of structures of JAX arrays.
        *arguments: Structures of arrays, or of anything with `shape` and `dtype`.
    """
    import jax
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, use_abstract_mesh

    target = topologies.get_topology_desc(
        platform="cuda", target_config=_TARGET.read_text(), topology="1x1x1"
    )
    mesh = Mesh(np.array(target.devices), ("device",))
    there = NamedSharding(mesh, PartitionSpec())
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), arguments
    )
    with as_on_a_gpu(), use_abstract_mesh(mesh.abstract_mesh):
        return jax.jit(function).trace(*shapes).lower(lowering_platforms=("cuda",)).compile()


@contextlib.contextmanager
def as_on_a_gpu():
    """A scope in which the package chooses what it chooses on an NVIDIA GPU."""
    import importlib

    import jax

    from keras_s5rl import backend

    linear_recurrence = importlib.import_module("keras_s5rl.ops.linear_recurrence")
    with (
        mock.patch.object(jax, "default_backend", lambda: "gpu"),
        mock.patch.object(backend, "device_name", lambda: "gpu: NVIDIA H200"),
        mock.patch.object(linear_recurrence, "pallas_obstacle", lambda: None),
    ):
        yield


def see_no_gpu():
    """Lets JAX's CUDA plugin start on a machine without a GPU; to be called before JAX starts."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # for libraries that want a driver


def launches(compiled):
    """Counts what a compiled program launches, in each of its loops and beside them.

    Args:
        compiled: As of `compile_for_h200`.

    Returns:
        Dict: the trip count of each loop, a string, `"1"` for what is in no loop (`"?"` where it is
        unknown), to a `collections.Counter` of `kernels`, `copies` and `conditionals`, of one pass
        through it. Loops within loops stand by themselves.
    """
    computations = _computations(compiled.as_text())
    (entry,) = [name for name, (is_entry, _) in computations.items() if is_entry]
    loops = [("1", entry)]
    found = {}
    while loops:
        trips, name = loops.pop()
        counts, inner = _count(computations, name)
        label = trips
        while label in found:
            label += "'"
        found[label] = counts
        loops += inner
    return found


def _computations(text):
    """Name of each computation to whether it is the entry, and its lines."""
    computations, lines = {}, None
    for line in text.splitlines():
        line = re.sub(r"/\*.*?\*/", "", line)
        head = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line)
        if head:
            lines = []
            computations[head[2]] = (bool(head[1]), lines)
        elif line.startswith("}"):
            lines = None
        elif lines is not None:
            lines.append(line)
    return computations


def _count(computations, name):
    """The counts of a computation with what it calls, and its loops, `(trip count, body)`."""
    counts, loops = Counter(), []
    for line in computations[name][1]:
        match = _INSTRUCTION.match(line)
        if match is None or match[1] in _FREE:
            continue
        opcode = match[1]
        if opcode == "while":
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            body = re.search(r"body=%?([\w.\-]+)", line)[1]
            loops.append((trips[1] if trips else "?", body))
        elif opcode == "call":
            inner, inner_loops = _count(computations, re.search(r"to_apply=%?([\w.\-]+)", line)[1])
            counts += inner
            loops += inner_loops
        elif opcode == "conditional":
            counts["conditionals"] += 1
        elif opcode in _COPIES:
            counts["copies"] += 1
        else:
            counts["kernels"] += 1
    return counts, loops

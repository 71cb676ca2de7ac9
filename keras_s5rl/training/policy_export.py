"""`export_policy`: one step of a policy as a file for other runtimes, and what goes into it."""

from pathlib import Path
from typing import Any

import gymnasium
import keras
import numpy as np
from keras import ops

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.spaces import value_bounds, value_dtype
from keras_s5rl.models import JointDistribution, Policy
from keras_s5rl.models.distributions import Distribution
from keras_s5rl.runs import write_json_atomically
from keras_s5rl.space_leaves import Leaf, leaves
from keras_s5rl.typing import Space, StrPath, Tensor

FORMATS = ("onnx", "tf_saved_model")


def export_policy(
    policy: Policy, view: AgentView, path: StrPath, format: str = "tf_saved_model"
) -> dict[str, Any]:
    """Writes one step of a policy, with its state as inputs and outputs, and `<path>.json` beside
    it, which says what these are.

    The file needs neither this package nor Keras. It takes any batch.

    Args:
        policy: `keras_s5rl.models.Policy`, such as `agent.policy`.
        view: `keras_s5rl.envs.AgentView` of the environment that it was made for, such as
            `agent.environment`.
        path: Name of the file, or of the folder of a SavedModel.
        format: `"tf_saved_model"`, on TensorFlow and JAX, or `"onnx"`, on TensorFlow with the extra
            `export`. Defaults to `"tf_saved_model"`.

    Returns:
        Dict, what the file with the ending `.json` holds.

    Raises:
        ValueError: If the format is not known, or cannot hold the policy.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` should be one of {FORMATS}. Received: format={format!r}")
    if format == "onnx" and isinstance(policy.distribution, JointDistribution):
        raise ValueError(
            "`format` should be 'tf_saved_model' for a policy of discrete and continuous actions "
            f"together. Received: format='onnx' with {policy.distribution}"
        )
    model = step_model(policy)
    # The exporter to ONNX asks for a model that was called.
    model([np.zeros((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs])
    model.export(str(path), format=format, verbose=False)
    description = {"format": format, **describe_step(policy, view)}
    write_json_atomically(Path(f"{path}.json"), description)
    return description


class _Step(keras.layers.Layer):
    """One step of a policy as a layer."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(dtype="float32", autocast=False, name="policy_step")
        self.policy = policy

    def call(self, inputs: list[Tensor]) -> list[Tensor]:
        observation, reset, *state = inputs
        parameters, _, state = self.policy.step(observation, reset, state)
        return [_mode(self.policy.distribution, parameters), parameters, *state]


def _mode(distribution: Distribution, parameters: Tensor) -> Tensor:
    """The most likely action. ONNX has no form of what Keras does with floats in `argmax`; their
    ranks are integers and have the same one."""
    if distribution.num_log_stds:
        return distribution.mode(parameters)
    ranks = ops.cast(parameters[..., None, :] <= parameters[..., None], "int32")
    return distribution.mode(ops.sum(ranks, axis=-1))


def step_model(policy: Policy) -> keras.Model:
    """Returns a Keras model of one step: from observation, reset and states to action, action
    parameters and states."""
    inputs = [
        keras.Input((policy.observation_size,), name="observation"),
        keras.Input((), dtype="bool", name="reset"),
        *(
            keras.Input(state.shape[1:], dtype=state.dtype, name=f"state_{index}")
            for index, state in enumerate(policy.get_initial_state(1))
        ),
    ]
    return keras.Model(inputs, _Step(policy)(inputs))


def describe_step(policy: Policy, view: AgentView) -> dict[str, Any]:
    """Returns what goes into a step of a policy and comes out of it, as plain values."""
    states = [
        {
            "name": f"state_{index}",
            "shape": ["batch", *state.shape[1:]],
            "dtype": keras.backend.standardize_dtype(state.dtype),
        }
        for index, state in enumerate(policy.get_initial_state(1))
    ]
    size, space = policy.observation_size, view.action_space
    return {
        "inputs": [
            {
                "name": "observation",
                "shape": ["batch", size],
                "dtype": "float32",
                "entries": _entries(view, size),
            },
            {
                "name": "reset",
                "shape": ["batch"],
                "dtype": "bool",
                "meaning": "true in the first step of an episode: the states are cleared first, so "
                "that any finite numbers will do as states then",
            },
            *states,
        ],
        "outputs": [
            {"name": "action", **_action(space), "meaning": "the most likely action"},
            {
                "name": "parameters",
                "shape": ["batch", policy.distribution.num_parameters],
                "dtype": "float32",
                "meaning": f"of {policy.distribution!r}, to draw actions from",
            },
            *states,
        ],
    }


def _entries(view: AgentView, size: int) -> list[dict[str, Any]]:
    """What the columns of the policy's observation hold, one after the other."""
    entries = _leaf_entries("observation", view.env.observation_space, 0)
    if view.previous_action:
        entries += _leaf_entries(
            "previous_action",
            view.action_space,
            entries[-1]["stop"],
            meaning="class 0, or zeros, in the first step of an episode",
        )
    return [
        *entries,
        {
            "name": "first_step",
            "start": size - 2,
            "stop": size,
            "kind": "numbers",
            "meaning": "0, 1 in the first step of an episode; 1, 0 after it",
        },
    ]


def _leaf_entries(name: str, space: Space, start: int, **others: str) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{name}/{leaf.name}" if leaf.path else name,
            "start": start + leaf.flat_start,
            "stop": start + leaf.flat_stop,
            **_kind(leaf),
            **others,
        }
        for leaf in leaves(space)
    ]


def _kind(leaf: Leaf) -> dict[str, Any]:
    """How the columns of a leaf of a space come from its values."""
    if leaf.is_box or isinstance(leaf.space, gymnasium.spaces.MultiBinary):
        return {"kind": "numbers", "shape": list(leaf.space.shape)}
    classes, lowest = (array.tolist() for array in leaf.classes)
    return {"kind": "one-hots", "classes": classes, "lowest": lowest}


def _action(space: Space) -> dict[str, Any]:
    low, high = (np.asarray(bound) for bound in value_bounds(space))
    return {
        "shape": ["batch", *low.shape],
        "dtype": value_dtype(space),
        "space": str(space),
        # JSON has no infinity.
        "low": [float(x) if np.isfinite(x) else None for x in low.ravel()],
        "high": [float(x) if np.isfinite(x) else None for x in high.ravel()],
    }

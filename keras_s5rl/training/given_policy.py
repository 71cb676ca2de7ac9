"""Policies of the user's own: what they have to do, and how a run records them."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.models import Policy
from keras_s5rl.models.keras_configs import plain_config
from keras_s5rl.models.ssm_variables import ssm_variables
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.optimizer import check_ssm_learning_rate
from keras_s5rl.training.checks import check_spaces
from keras_s5rl.typing import Tensor

_BATCH, _TIME, _RESET = 2, 3, 1  # of the sequence that it is tried on, and where that has a reset


def check_given_policy(policy: Any, view: AgentView, config: PPOConfig, name: str) -> None:
    """Raises a ValueError unless a policy can be trained in an environment.

    It is built, if it was not, and tried on a short sequence: shapes, dtypes, and that steps and
    pieces between resets give what the sequence gives.

    Args:
        policy: What was given for a `keras_s5rl.models.Policy`.
        view: `keras_s5rl.envs.AgentView` of the environment.
        config: `PPOConfig`.
        name: String, what the environment is called.
    """
    if not isinstance(policy, Policy):
        raise ValueError(
            "`policy` should be a `keras_s5rl.models.Policy`, a Keras model that derives from it, "
            f"an object and not its class. Received: policy={policy!r}"
        )
    check_spaces(policy, view, name)
    shape = (_BATCH, _TIME, policy.observation_size)
    if not policy.built:  # in symbols: computed one operation at a time it takes seconds
        policy(keras.KerasTensor(shape))
    observations = np.random.default_rng(0).normal(size=shape).astype("float32")
    whole, *others = backend.compile(lambda x: _try(policy, x))(observations)
    _check_equal(policy, "return from `step` what `call` returns for a sequence", whole, others[0])
    expected = "clear its memory where `resets` is true, and start as `get_initial_state` says"
    _check_equal(policy, expected, whole, others[1])
    if not policy.trainable_variables:
        raise _error(policy, "have trainable weights", "none")
    check_ssm_learning_rate(config, ssm_variables(policy))
    if (policy.normalization is not None) != config.normalize_observations:
        raise ValueError(
            "`normalize_observations` should be True exactly where the `normalization` of the "
            "policy is a `keras_s5rl.models.RunningNormalization`. Received: "
            f"normalize_observations={config.normalize_observations} with "
            f"normalization={policy.normalization}"
        )


def _try(policy: Policy, observations: Tensor) -> Any:
    """Action parameters and values of a sequence with a reset: as a whole, in steps, in pieces."""
    observations = ops.convert_to_tensor(observations)
    resets = ops.tile(ops.equal(ops.arange(_TIME), _RESET)[None], (_BATCH, 1))
    initial = policy.get_initial_state(_BATCH)
    _check_state(policy, "get_initial_state", initial, initial)
    whole = policy(observations, resets=resets, initial_state=initial)
    _check_outputs(policy, "call", whole, (_BATCH, _TIME), initial)
    state, steps = initial, []
    for t in range(_TIME):
        step = policy.step(observations[:, t], resets[:, t], state)
        _check_outputs(policy, "step", step, (_BATCH,), initial)
        *decided, state = step
        steps.append(decided)
    pieces = [policy(observations[:, :_RESET])[:2], policy(observations[:, _RESET:])[:2]]
    return (
        whole[:2],
        [ops.stack(values, axis=1) for values in zip(*steps, strict=True)],
        [ops.concatenate(values, axis=1) for values in zip(*pieces, strict=True)],
    )


def recorded_policy(policy: Policy) -> dict[str, Any] | None:
    """Returns what config.json holds of a policy that was given: what Keras makes it of again, or
    `None` where it cannot be written down."""
    try:
        return plain_config(policy)
    except Exception:  # of its own `get_config`
        return None


def policy_of(settings: dict[str, Any], given: Policy | None = None) -> Policy | None:
    """Returns the policy of a run that was given one, `given` or made again; `None` of others.

    Args:
        settings: Dict, the run's config.json.
        given: The policy in which the weights are to be, or `None`.

    Raises:
        ValueError: If it can only be given.
    """
    if "policy" not in settings or given is not None:
        return given
    recorded = settings["policy"] or {}
    registered = recorded.get("registered_name")
    if registered is None or keras.saving.get_registered_object(registered) is None:
        raise ValueError(
            f"`policy` should be given in Python, `PPO(policy=...)` or `PPO.load(run_dir, "
            f"policy=...)`: the run trained a policy of the user's own, a {settings['memory']}. "
            "Where its class is registered with Keras "
            f"(`keras.saving.register_keras_serializable`), importing {recorded.get('module')} is "
            f"enough (--import). Received: policy={registered!r}"
        )
    return keras.saving.deserialize_keras_object(recorded)


def _check_outputs(policy: Any, method: str, outputs: Any, batch: Any, initial: Any) -> None:
    """Raises a ValueError unless these are action parameters, values and a state."""
    if not isinstance(outputs, tuple) or len(outputs) != 3:
        expected = f"return `(action_parameters, value, state)` from `{method}`"
        raise _error(policy, expected, type(outputs).__name__)
    parameters, value, state = outputs
    for name, tensor, shape in (("action parameters", parameters, None), ("values", value, batch)):
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        received = tuple(tensor.shape)
        fits = received == shape if shape else received[:-1] == batch
        if dtype != "float32" or not fits:
            expected = f"{shape if shape else (*batch, 'parameters')}"
            raise _error(
                policy, f"return from `{method}` {name} float32 {expected}", f"{dtype} {received}"
            )
    width = policy.distribution.num_outputs
    entropy = policy.distribution.entropy(parameters)
    if tuple(entropy.shape) != tuple(batch) or parameters.shape[-1] < width:
        expected = f"return from `{method}` the parameters that `distribution.parameters` makes"
        raise _error(policy, expected, f"{parameters.shape[-1]} of {width} outputs")
    _check_state(policy, method, state, initial)


def _check_state(policy: Any, method: str, state: Any, initial: Any) -> None:
    """Raises a ValueError unless a state is a list of tensors, like the initial one."""

    def kinds(tensors: Any) -> Any:
        if not isinstance(tensors, list):
            return type(tensors).__name__
        if not all(hasattr(tensor, "shape") for tensor in tensors):
            return [type(tensor).__name__ for tensor in tensors]
        return [
            (tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
            for tensor in tensors
        ]

    is_list = isinstance(initial, list) and all(hasattr(tensor, "shape") for tensor in initial)
    if not (is_list and all(t.shape and t.shape[0] == _BATCH for t in initial)):
        expected = f"return from `get_initial_state({_BATCH})` a flat list of tensors, batch first"
        raise _error(policy, expected, kinds(initial))
    if kinds(state) != kinds(initial):
        expected = f"return from `{method}` a state like the initial one, {kinds(initial)}"
        raise _error(policy, expected, kinds(state))


def _check_equal(policy: Any, expected: str, outputs: Any, others: Any) -> None:
    for one, other in zip(outputs, others, strict=True):
        one, other = map(ops.convert_to_numpy, (one, other))
        difference = float(np.abs(one - other).max())
        if not difference <= 1e-3 * max(1.0, float(np.abs(one).max())):
            raise _error(policy, expected, f"differences up to {difference:.3g}")


def _error(policy: Any, expected: str, received: Any) -> ValueError:
    return ValueError(
        f"`policy` should {expected}. Received: {received} from policy={type(policy).__name__}"
    )

"""`SystemIdentification`: what a system does to its observations, described without their bases."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.action_frames import krylov_frames, transposed
from keras_s5rl.layers.checks import (
    check_features,
    check_positive_integers,
    refuse_step_scale,
)
from keras_s5rl.layers.loop_steps import resets_in_reverse, select_states
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.typing import LayerArguments, Shape, Tensor

_ACTIONS = 2
_FRAMES = 4
_EPSILON = 0.01  # a change of an observation in a step that counts as one
_LARGEST_CHANGE = 1.0  # squared; an angle that turns from pi to -pi is no movement
_KEPT_ERRORS = 0.98
_KEPT_REWARDS = 0.995


@keras.saving.register_keras_serializable("keras_s5rl")
class SystemIdentification(SequenceLayer):
    """Identifies a linear system from observations and actions, and says what it found in numbers
    that don't depend on the bases of either.

    In each step a Kalman filter, which is recursive least squares whose solution may drift,
    corrects the model

        x_t - x_(t-1) = A x_(t-1) + B a_(t-1) + c

    Beside it the layer sums up errors of the model, `R = sum e e^T / |x_t - x_(t-1)|^2`, and what
    goes with rewards, `W = sum (r - mean r) x x^T` and `w = sum (r - mean r) x`, with weights that
    decay. Of the frames `E_1 .. E_4` of the model (`keras_s5rl.layers.action_frames`) and of these
    sums it makes

    - directions, pairs of numbers that turn with the actions: the previous action, `E_k^T x`,
      `E_k^T R x`, `E_k^T W x`, `E_k^T w` and the like;
    - invariants: products such as `x^T W x`, sizes, traces, the reward, the number of steps.

    If all `x` of an episode are multiplied by an orthogonal matrix and all `a` by another one, `Q`,
    invariants stay as they are, and each direction is multiplied by `Q`. Where all that matters to
    a task can be written in them, nothing of the two matrices has to be learned.

    It has no weights, and hands on no gradient. Its computations are float32.

    Args:
        observation_size: Positive integer, numbers of `x`.
        drift: Non-negative float, variance by which each parameter of the model drifts in a step:
            the filter forgets what is older than about `1 / sqrt(drift)` steps. Defaults to `0.1`.
        prior: Positive float, variance of each parameter at the start. Defaults to `100.0`.
        seed: Not used, as nothing is drawn.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, observation_size + 6)`: `[x | reward | 1 where a trial starts
            | previous action (2) | first-step flag (2)]`, what a policy sees of
            `projected_control`. The first-step flag is not used, since `resets` say it.
        initial_state, resets, mask: As for `S5`.

    Input shape:
        `(batch, time, observation_size + 6)`.

    Output shape:
        `(batch, time, num_invariants + 2 * num_directions)`, the pairs one after the other; with
        `return_sequences=False` without the axis of time; with `return_state` a tuple of it and the
        states.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import SystemIdentification
    >>> layer = SystemIdentification(observation_size=4)
    >>> outputs = layer(np.zeros((2, 5, 10), "float32"))
    >>> outputs.shape[-1] == layer.num_invariants + 2 * layer.num_directions
    True

    Reference:
    - Ljung, "System identification: theory for the user", 1999, section 11.2 (the filter).
    """

    num_invariants = 34
    num_directions = 24

    def __init__(
        self,
        observation_size: int,
        drift: float = 0.1,
        prior: float = 100.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        check_positive_integers(observation_size=observation_size)
        if not drift >= 0.0 or not prior > 0.0:
            raise ValueError(
                "`drift` should be a number that is not negative, and `prior` a positive one. "
                f"Received: drift={drift}, prior={prior}"
            )
        self.observation_size = observation_size
        self.drift = float(drift)
        self.prior = float(prior)
        self._regressors = observation_size + _ACTIONS + 1

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        size, regressors = self.observation_size, self._regressors
        return [
            (regressors, regressors),  # covariance of the parameters
            (regressors, size),  # [A B c], transposed
            (size,),  # the last observation
            (size, size),  # R
            (size, size),  # W
            (size,),  # w
            (size,),  # mean observation
            (3,),  # steps, mean reward, squared error of the model in this step
        ]

    def output_size(self, features: int) -> int:
        return self.num_invariants + 2 * self.num_directions

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features, expected = check_features(inputs_shape), self.observation_size + 6
        if features != expected:
            raise ValueError(
                f"`inputs` should have {expected} features: {self.observation_size} of the "
                "observation, reward, start of a trial, two of the previous action, two of the "
                f"first-step flag. Received: inputs.shape={tuple(inputs_shape)}"
            )
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        refuse_step_scale(self, step_scale)
        if 0 in inputs.shape[:2]:
            return self._no_outputs(inputs), states
        steps = {"inputs": ops.cast(inputs, "float32")}
        if resets is not None:
            if reverse:
                resets = resets_in_reverse(resets)
            steps["reset"] = resets
        if mask is not None:
            steps["valid"] = mask

        def advance(states: Any, step: Any) -> Any:
            if resets is not None:
                states = select_states(
                    step["reset"], [ops.zeros_like(one) for one in states], states
                )
            new, change = self._advance(states, step["inputs"])
            if mask is not None:
                new = select_states(step["valid"], new, states)
            return new, (new[1:], change)

        if inputs.shape[0] == 1:
            states, seen = advance(states, {name: values[0] for name, values in steps.items()})
            flat = seen, steps["inputs"][0]
        else:
            states, seen = backend.scan(advance, list(states), steps, reverse=reverse)
            # What follows from the states is worked out for all steps at once.
            flat = keras.tree.map_structure(_rows, (seen, steps["inputs"]))
        (kept, change), rows = flat
        outputs = ops.stop_gradient(self._describe(kept, change, rows))
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:2], outputs.shape[-1]))
        return ops.cast(outputs, self.compute_dtype), states

    def _split(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Observation, reward, whether a trial starts, and action, as the environment clips it."""
        size = self.observation_size
        action = ops.clip(inputs[:, size + 2 : size + 4], -1.0, 1.0)
        return inputs[:, :size], inputs[:, size], inputs[:, size + 1], action

    def _advance(self, states: list[Tensor], inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """Takes one step; returns the states after it, and the change of the observation."""
        covariance, model, last, errors, products, trend, mean, numbers = states
        count, mean_reward = numbers[:, 0], numbers[:, 1]
        observation, reward, starts, action = self._split(inputs)
        # A state of zeros is that before an episode.
        is_later = ops.greater(count, 0.0)
        identity = ops.eye(self._regressors)
        covariance = ops.where(is_later[:, None, None], covariance, self.prior * identity)
        change = observation - last
        is_movement = ops.logical_and(
            ops.less(starts, 0.5), ops.less(_dot(change, change), _LARGEST_CHANGE)
        )
        counts = ops.cast(ops.logical_and(is_later, is_movement), "float32")
        change = change * counts[:, None]

        regressors = ops.concatenate([last, action, ops.ones_like(action[:, :1])], axis=1)
        regressors = regressors * counts[:, None]
        error = change - _apply(transposed(model), regressors)
        spread = _apply(covariance, regressors)
        gain = spread / (1.0 + _dot(regressors, spread))[:, None]
        covariance = covariance - _outer(gain, spread) + self.drift * identity
        model = model + _outer(gain, error)

        relative = counts / (1e-4 + _dot(change, change))
        kept = ops.where(ops.greater(counts, 0.0), _KEPT_ERRORS, 1.0)
        errors = kept[:, None, None] * errors + _outer(error, relative[:, None] * error)
        # The first reward of an episode is that of no step.
        later = ops.cast(is_later, "float32")
        mean_reward = mean_reward + later * (reward - mean_reward) / ops.maximum(count, 1.0)
        surplus = (counts * (reward - mean_reward))[:, None] * observation
        products = _KEPT_REWARDS * products + _outer(observation, surplus)
        trend = _KEPT_REWARDS * trend + surplus
        mean = mean + (observation - mean) / (count + 1.0)[:, None]
        numbers = ops.stack([count + 1.0, mean_reward, _dot(error, error)], axis=1)
        return [covariance, model, observation, errors, products, trend, mean, numbers], change

    def _describe(self, kept: list[Tensor], change: Tensor, inputs: Tensor) -> Tensor:
        """Returns invariants and directions, `(batch, output_size)`."""
        model, _, errors, products, trend, mean, numbers = kept
        count, mean_reward, squared_error = ops.unstack(numbers, 3, axis=1)
        observation, reward, starts, action = self._split(inputs)
        size = self.observation_size
        total = ops.sum(errors * ops.eye(size), axis=(1, 2))
        wrong = _apply(errors, observation) / (total + 1e-3)[:, None]
        product_size = ops.sqrt(ops.sum(products * products, axis=(1, 2)))
        worth = _apply(products, observation) / (product_size + 0.1)[:, None]
        trend_size = ops.sqrt(_dot(trend, trend))
        trend = trend / (trend_size + 0.1)[:, None]

        dynamics, offset = transposed(model[:, :size]), model[:, -1]
        influence = transposed(model[:, size : size + _ACTIONS])
        frames, sizes, couplings = krylov_frames(dynamics, influence, _FRAMES, _EPSILON)
        expected = _apply(dynamics, observation) + offset
        axes = ops.concatenate(frames, axis=2)
        places = _apply(transposed(axes), observation)
        rest = observation - _apply(axes, places)
        vectors = ops.stack([wrong, worth, trend, mean, 10.0 * offset, 10.0 * expected], axis=1)
        seen = ops.matmul(vectors, axes[:, :, : 2 * _ACTIONS])  # in the first two frames
        directions = ops.concatenate(
            [part if len(part.shape) == 2 else _flat(part) for part in (action, places, seen)],
            axis=1,
        )
        pairs = ops.reshape(directions, (-1, directions.shape[1] // _ACTIONS, _ACTIONS))

        # The two controls differ in strength: B^T B of the action, of the places in the first three
        # frames, of R x in two and of W x in one.
        strength = ops.matmul(transposed(influence), influence)
        trace = strength[:, 0, 0] + strength[:, 1, 1] + 1e-4
        strength = strength / trace[:, None, None]
        chosen = ops.concatenate([pairs[:, :4], pairs[:, 5:8]], axis=1)
        pairs = ops.concatenate([pairs, ops.matmul(chosen, strength)], axis=1)
        pairs = pairs / ops.sqrt(1.0 + ops.sum(pairs * pairs, axis=2, keepdims=True) / 9.0)

        invariants = [
            *(reward, starts, mean_reward, count / 100.0, 1.0 / (1.0 + count)),
            *(_dot(observation, observation), _dot(observation, change), _dot(mean, observation)),
            *(_dot(mean, mean), _dot(trend, observation), _dot(observation, worth)),
            *(_dot(observation, wrong), _dot(rest, rest), _dot(rest, trend)),
            *(_log(_dot(change, change)), _log(squared_error), _log(total)),
            *(_log(product_size), _log(trend_size), *map(_log, sizes)),
            strength[:, 0, 0] * strength[:, 1, 1] - strength[:, 0, 1] * strength[:, 1, 0],
            *(10.0 * coupling for coupling in couplings),
        ]
        numbers_of_step = 3.0 * ops.tanh(ops.stack(invariants, axis=1) / 3.0)
        return ops.concatenate([numbers_of_step, _flat(pairs)], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "observation_size": self.observation_size,
            "drift": self.drift,
            "prior": self.prior,
        }


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return ops.sum(one * other, axis=1)


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return ops.matmul(matrix, vector[:, :, None])[:, :, 0]


def _outer(one: Tensor, other: Tensor) -> Tensor:
    return one[:, :, None] * other[:, None]


def _flat(matrices: Tensor) -> Tensor:
    return ops.reshape(matrices, (-1, matrices.shape[1] * matrices.shape[2]))


def _rows(values: Tensor) -> Tensor:
    return ops.reshape(values, (-1, *values.shape[2:]))


def _log(values: Tensor) -> Tensor:
    return 0.2 * ops.log(values + 1e-6)

"""`SeedsLearner`: several trainings that differ in their seeds alone, side by side."""

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.models.weights import values_in_place
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.typing import Array, Tensor


class SeedsLearner:
    """Trains several seeds of one learner, each as it would train alone.

    The state is that of the first seed, with an entry `others`: a list of the states of the other
    seeds. Metrics have a leading axis of seeds.

    On an accelerator one program has an axis of seeds. On a CPU, whose cores gain nothing from
    batches of small products, one compiled iteration runs for each seed, as many at a time as there
    are cores: its results are, bit for bit, those of a training of this seed alone. torch runs one
    seed after the other.

    Args:
        learner: `Learner`, whose policy has the weights of the first seed.
        others: List of pairs, for each other seed: its key, and its initial weights, a list of
            tensors, one a trainable variable of the policy.

    Example:

    >>> from keras_s5rl import envs, random
    >>> from keras_s5rl.models.weights import copy_values
    >>> from keras_s5rl.ppo import Learner, PPOConfig, make_optimizer, make_policy
    >>> from keras_s5rl.ppo.seeds_learner import SeedsLearner
    >>> config = PPOConfig(num_envs=4, num_steps=8, width=16)
    >>> view = envs.AgentView(envs.make("RepeatPreviousEasy"))
    >>> policy, other = (make_policy(view, "mlp", config, seed=seed) for seed in (0, 1))
    >>> optimizer = make_optimizer(config, 1_000, policy.trainable_variables)
    >>> learner = Learner(envs.AutoReset(view), policy, optimizer, config)
    >>> other_weights = copy_values(other.trainable_variables)
    >>> learner = SeedsLearner(learner, [(random.key(1), other_weights)])
    >>> state = learner.initial_state(random.key(0))
    >>> state, metrics = learner.compile(state)(state)
    >>> metrics["entropy"].shape
    (2,)
    """

    def __init__(self, learner: Learner, others: Sequence[tuple[Tensor, Sequence[Tensor]]]) -> None:
        self.learner = learner
        self._others = others

    @property
    def variables(self) -> dict[str, list[Any]]:
        """The Keras variables of which the state of the first seed holds the values."""
        return self.learner.variables

    def initial_state(self, key: Tensor) -> dict[str, Any]:
        """Returns the state before the first iteration.

        Args:
            key: Key of the first seed.
        """
        variables = self.learner.variables["trainable"]
        others = []
        for other_key, weights in self._others:
            with values_in_place(variables, weights):
                others.append(self.learner.initial_state(other_key))
        return {**self.learner.initial_state(key), "others": others}

    def compile(self, state: dict[str, Any]) -> Callable[..., Any]:
        """Returns the iteration of all seeds as a function of states like this one.

        Raises:
            ValueError: If there is less memory than it takes to run.
        """
        if keras.backend.backend() == "jax" and not backend.device_name().startswith("cpu"):
            iterate_all = _batched(self.learner.iterate)
        else:
            iterate_all = _several_at_a_time(self.learner.compile(self._states(state)[0]))

        def run(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            (first, *others), metrics = iterate_all(self._states(state))
            return {**first, "others": others}, metrics

        return run

    def states(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the states of the seeds in a state of all, each as of its learner alone."""
        return states_of(state)

    def _states(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """The states of the seeds, with the learning rate of the first: callbacks may change it."""
        first, *others = states_of(state)
        for index, variable in enumerate(self.learner.optimizer.variables):
            if variable.name == "learning_rate":
                for other in others:
                    other["optimizer"][index] = first["optimizer"][index]
        return [first, *others]


def states_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the states of the seeds in a state of all, each as of its learner alone."""
    first = {name: value for name, value in state.items() if name != "others"}
    return [first, *({**other, "optimizer": [*other["optimizer"]]} for other in state["others"])]


def _batched(iterate: Callable[..., Any]) -> Callable[..., Any]:
    """All seeds in one program."""

    @backend.compile
    def iterate_all(states: list[Any]) -> tuple[list[Any], dict[str, Tensor]]:
        stacked = keras.tree.map_structure(lambda *leaves: ops.stack(leaves), *states)
        stacked, metrics = ops.vectorized_map(iterate, stacked)
        return [take(stacked, index) for index in range(len(states))], metrics

    def take(stacked: Any, index: int) -> Any:
        return keras.tree.map_structure(lambda leaf: leaf[index], stacked)

    return iterate_all


def _several_at_a_time(program: Callable[..., Any]) -> Callable[..., Any]:
    """One program, run for each seed; on JAX as many at a time as there are cores."""
    is_parallel = keras.backend.backend() == "jax"

    def iterate_all(states: list[Any]) -> tuple[list[Any], dict[str, Array]]:
        if is_parallel:
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                results = list(pool.map(lambda state: _finished(program(state)), states))
        else:
            results = [program(state) for state in states]
        names = results[0][1]
        metrics = {
            name: np.stack([ops.convert_to_numpy(metrics[name]) for _, metrics in results])
            for name in names
        }
        return [state for state, _ in results], metrics

    return iterate_all


def _finished(results: Any) -> Any:
    """Results that are computed: a thread that does not wait for its own starts all at once."""
    backend.wait_until_ready(results)
    return results

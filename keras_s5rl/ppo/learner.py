"""`Learner`: one iteration of PPO: rollout, advantages, epochs of minibatches."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.autoreset import AutoReset
from keras_s5rl.models import Policy
from keras_s5rl.models.weights import copy_values, values_in_place
from keras_s5rl.ppo import losses
from keras_s5rl.ppo.advantages import generalized_advantages
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.ended_episodes import ended_episodes
from keras_s5rl.ppo.flat_optimizer import arranged
from keras_s5rl.ppo.host_memory import check_memory, memory_errors_named
from keras_s5rl.ppo.kl_stop import steps_to_kl
from keras_s5rl.ppo.reward_normalization import initial_returns, normalize_rewards
from keras_s5rl.ppo.rollout import collect_rollout
from keras_s5rl.typing import Tensor

# Entries of the state of which each device has its own, where there are several.
_PARTS = ("environment", "memory", "returns")


class Learner:
    """The PPO iteration as a pure function of one state.

    The state is a dict: `trainable` and `optimizer` (lists of tensors, one a variable),
    `environment` (the environments' state), `memory` (the policy's memory, a flat list), `key`, and
    `returns` where rewards are normalised, `statistics` (a list, one a variable of the policy's
    `normalization`) where observations are. Everything that the next iteration depends on is in it:
    it can be saved and restored bit for bit.

    Of `num_devices` devices each plays in its share of the environments, with draws of its own, and
    puts in its share of every minibatch; weights and optimizer are the same on each. `environment`,
    `memory` and `returns` then have a leading axis of devices.

    Args:
        environment: `keras_s5rl.envs.AutoReset`, whose observations the policy takes.
        policy: `keras_s5rl.models.Policy`.
        optimizer: A Keras optimizer built on the policy's trainable variables; that of
            `make_optimizer` where `config.target_kl` is given.
        config: `PPOConfig`.
        env_args: Dict of the environment's arguments, for error messages. Defaults to `None`.

    Example:

    >>> from keras_s5rl import envs, random
    >>> from keras_s5rl.ppo import Learner, PPOConfig, make_optimizer, make_policy
    >>> config = PPOConfig(num_envs=4, num_steps=8, width=16)
    >>> view = envs.AgentView(envs.make("RepeatPreviousEasy"))
    >>> policy = make_policy(view, "mlp", config, seed=0)
    >>> optimizer = make_optimizer(config, 1_000, policy.trainable_variables)
    >>> learner = Learner(envs.AutoReset(view), policy, optimizer, config)
    >>> state = learner.initial_state(random.key(0))
    >>> iterate = learner.compile(state)
    >>> state, metrics = iterate(state)
    >>> sorted(metrics)[:3]
    ['approx_kl', 'clip_fraction', 'entropy']
    """

    def __init__(
        self,
        environment: AutoReset,
        policy: Policy,
        optimizer: Any,
        config: PPOConfig,
        env_args: dict[str, Any] | None = None,
    ) -> None:
        self.environment = environment
        self.policy = policy
        self.optimizer = optimizer
        self.config = config
        self._arranged = arranged(optimizer, policy.trainable_variables)
        self._num_tasks = max(1, len(environment.env.tasks))
        names = ("num_envs", "num_steps", "width", "num_layers")
        self._sizes = {name: getattr(config, name) for name in names} | {"env_args": env_args}

    @property
    def variables(self) -> dict[str, list[Any]]:
        """The Keras variables of which the state holds the values, by its entries."""
        variables = {
            "trainable": self.policy.trainable_variables,
            "optimizer": self.optimizer.variables,
        }
        if self.policy.normalization is not None:
            variables["statistics"] = self.policy.normalization.variables
        return variables

    def initial_state(self, key: Tensor) -> dict[str, Any]:
        """Returns the state before the first iteration: fresh episodes, empty memory, the
        weights that the policy has now."""
        config, num_envs = self.config, self.config.envs_per_device
        environment_key, key = ops.unstack(random.split(key), 2)
        start = backend.compile(
            lambda key: self.environment.initial(
                key, num_envs, stagger_starts=config.stagger_starts
            )
        )

        def part(environment_key: Tensor) -> dict[str, Any]:
            check_memory(start, (environment_key,), self._sizes)
            memory = [ops.copy(s) for s in self.policy.get_initial_state(num_envs)]
            part = {"environment": start(environment_key), "memory": memory}
            if config.normalize_rewards:
                part["returns"] = initial_returns(num_envs, self._num_tasks)
            return part

        if config.num_devices == 1:
            parts = part(environment_key)
        else:
            keys = ops.unstack(random.split(environment_key, config.num_devices))
            parts = keras.tree.map_structure(lambda *leaves: ops.stack(leaves), *map(part, keys))
        return {
            **{name: copy_values(variables) for name, variables in self.variables.items()},
            "key": key,
            **parts,
        }

    def compile(self, state: dict[str, Any]) -> Callable[..., Any]:
        """Returns `iterate` as one compiled function of states like this one, over all devices.

        Its argument stays as it is, no tensor is donated: an iteration that fails, is interrupted
        or diverges has not happened.

        Raises:
            ValueError: If there is less memory than the function takes to run; from the function,
                if memory could not be allocated.
        """
        if self.config.num_devices == 1:
            program = backend.compile(self.iterate)
        else:
            program = backend.devices.compile(self.iterate, self.config.num_devices, _PARTS)
        with memory_errors_named(self._sizes):
            check_memory(program, (state,), self._sizes)

        def run(state: dict[str, Any]) -> Any:
            with memory_errors_named(self._sizes):
                return program(state)

        return run

    def iterate(self, state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """One iteration, on the part of the state that this device has.

        Returns:
            `(state, metrics)`: the next state, and a dict of float32 tensors. Scalars are the
            losses, `entropy` and `approx_kl` (nats), `clip_fraction`, `gradient_norm`, each a mean
            over the epochs' minibatches; `gradient_step_share` with a `target_kl`;
            `explained_variance` of the rollout; and `weights`, the sum of their sizes, finite if
            they are. Of each environment are `episodes`, `episode_returns` and `episode_lengths`,
            as of `ended_episodes`.
        """
        key, rollout_key, update_key = ops.unstack(random.split(state["key"], 3), 3)
        if self.config.num_devices > 1:
            device = backend.devices.index()
            rollout_key = random.fold_in(rollout_key, device)
            update_key = random.fold_in(update_key, device)
        played, rollout = self.rollout(state, rollout_key)
        batch = self.training_batch(rollout, state["memory"])
        if "statistics" in state:  # those that the rollout was played with
            batch["statistics"] = state["statistics"]
        trainable, optimizer, metrics = self.update(
            state["trainable"], state["optimizer"], batch, update_key
        )
        metrics |= ended_episodes(rollout, self.config.episodes_kept)
        metrics["explained_variance"] = losses.explained_variance(
            batch["value"], batch["value_target"], batch.get("valid")
        )
        metrics["weights"] = sum(ops.sum(ops.abs(values)) for values in trainable)
        return played | {"trainable": trainable, "optimizer": optimizer, "key": key}, metrics

    def rollout(
        self, state: dict[str, Any], key: Tensor
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plays the policy, with the weights of `state`.

        Args:
            state: Dict, the learner's state.
            key: Key of `keras_s5rl.random`.

        Returns:
            `(played, rollout)`: the entries of the state that playing changes (`environment`,
            `memory`, `returns` where rewards are normalised, and `statistics` where observations
            are), and a dict of tensors `(time, num_envs, ...)` as of `collect_rollout`, rewards
            normalised if they are to be.
        """
        with self._weights(state["trainable"], state.get("statistics", [])):
            environment, memory, rollout = collect_rollout(
                self.environment,
                self.policy,
                state["environment"],
                state["memory"],
                key,
                self.config,
            )
        played = {"environment": environment, "memory": memory}
        if "statistics" in state:
            played["statistics"] = self.policy.normalization.merged(
                state["statistics"], rollout["observation"]
            )
        if self.config.normalize_rewards:
            played["returns"], rollout["reward"] = normalize_rewards(
                state["returns"],
                rollout["reward"],
                rollout["discount"],
                rollout["done"],
                rollout["task"],
                self.config.discount,
                rollout.get("valid"),
            )
        return played, rollout

    def loss(
        self, trainable: list[Tensor], batch: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The PPO loss of a batch of whole sequences.

        Args:
            trainable: List of tensors, one for each trainable variable of the policy.
            batch: Dict of tensors `(batch, time, ...)`: `observation`, `reset`, `action`,
                `log_prob`, `value`, `advantage` (normalised, if at all), `value_target`, and
                `valid` where not every step counts; `memory`, the memory state before the first
                step, a flat list of tensors `(batch, ...)`; and `statistics` where observations are
                normalised.

        Returns:
            `(loss, metrics)`, scalar tensors.
        """
        config, valid = self.config, batch.get("valid")
        with self._weights(trainable, batch.get("statistics", [])):
            parameters, value, _ = self.policy(
                batch["observation"], resets=batch["reset"], initial_state=batch["memory"]
            )
        distribution = self.policy.distribution
        log_ratio = distribution.log_prob(parameters, batch["action"]) - batch["log_prob"]
        if valid is not None:
            log_ratio = ops.where(valid, log_ratio, 0.0)
        policy_loss = losses.policy_loss(log_ratio, batch["advantage"], config.clip_epsilon, valid)
        value_loss = losses.value_loss(
            value,
            batch["value"],
            batch["value_target"],
            config.value_clip,
            valid,
        )
        entropy = losses.mean(distribution.entropy(parameters), valid)
        loss = policy_loss + config.value_coefficient * value_loss
        if config.entropy_coefficient:
            loss = loss - config.entropy_coefficient * entropy
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "approx_kl": losses.approximate_kl(log_ratio, valid),
            "clip_fraction": losses.clip_fraction(log_ratio, config.clip_epsilon, valid),
        }

    def training_batch(self, rollout: dict[str, Tensor], memory: list[Tensor]) -> dict[str, Any]:
        """Returns a rollout as whole sequences with advantages.

        Args:
            rollout: Dict of tensors `(time, num_envs, ...)`, as of `rollout`.
            memory: Flat list of tensors `(num_envs, ...)`, the memory before the first step, from
                which the sequences are replayed.

        Returns:
            Dict of tensors `(num_envs, time, ...)`, a batch as `loss` takes it; the advantages are
            those of the whole rollout, normalised by task if they are to be.
        """
        config = self.config
        advantage = generalized_advantages(
            config.reward_scale * rollout["reward"],
            rollout["value"],
            rollout["next_value"],
            rollout["discount"],
            rollout["done"],
            config.discount,
            config.gae_lambda,
        )
        value_target = advantage + rollout["value"]
        if config.normalize_advantages == "task":
            advantage = losses.normalize_groups(advantage, rollout["task"], self._num_tasks)
        names = ("observation", "reset", "action", "log_prob", "value", "valid")
        time_major = {name: rollout[name] for name in names if name in rollout}
        time_major |= {"advantage": advantage, "value_target": value_target}
        batch = {name: ops.swapaxes(tensor, 0, 1) for name, tensor in time_major.items()}
        return batch | {"memory": memory}

    def update(
        self, trainable: list[Tensor], optimizer: list[Tensor], batch: dict[str, Any], key: Tensor
    ) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
        """Trains for epochs of minibatches; each of these is a random subset of the environments.

        Args:
            trainable: List of tensors, one for each trainable variable of the policy.
            optimizer: List of tensors, one for each variable of the optimizer.
            batch: Dict of tensors, as of `training_batch`.
            key: Key of `keras_s5rl.random`.

        Returns:
            `(trainable, optimizer, metrics)`: both lists after the last step, and a dict of float32
            scalars, means over the minibatches.
        """
        config, batch = self.config, dict(batch)
        # One for all environments: a minibatch has no rows of it.
        statistics = {"statistics": batch.pop("statistics")} if "statistics" in batch else {}
        rows = random.permutation(key, config.envs_per_device, batch=(config.num_epochs,))
        rows = ops.reshape(rows, (-1, config.envs_per_device // config.num_minibatches))
        # Normalised before the loop: devices wait for each other once, not in every minibatch.
        advantage = ops.take(batch.pop("advantage"), rows, axis=0)
        if config.normalize_advantages == "minibatch":
            valid = ops.take(batch["valid"], rows, axis=0) if "valid" in batch else None
            advantage = losses.normalize(advantage, valid)

        def minibatch_step(carry: Any, inputs: Any) -> Any:
            rows, advantage = inputs
            minibatch = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), batch)
            minibatch |= {"advantage": advantage, **statistics}
            vectors, optimizer, loss, metrics, gradient_norm = backend.gradient_step(
                lambda vectors: self.loss(self._arranged.weights(vectors), minibatch),
                self._arranged.optimizer,
                *carry,
            )
            weights = self.policy.constrain(self._arranged.weights(vectors))
            metrics |= {"loss": loss, "gradient_norm": gradient_norm}
            return (self._arranged.vectors(weights), optimizer), metrics

        carry, minibatches = self._arranged.join(trainable, optimizer), (rows, advantage)
        if config.target_kl is None:
            carry, metrics = backend.packed_scan(minibatch_step, carry, minibatches)
            metrics = {name: ops.mean(value) for name, value in metrics.items()}
        else:
            limit = config.target_kl
            carry, metrics = steps_to_kl(minibatch_step, self._skip, carry, minibatches, limit)
        return *self._arranged.split(*carry), backend.devices.mean(metrics)

    def _skip(self, carry: Any) -> Any:
        vectors, optimizer = carry
        return vectors, self._arranged.optimizer.skip(optimizer)

    def _weights(self, trainable: list[Tensor], statistics: list[Tensor]) -> Any:
        """A scope in which the policy's variables have these values."""
        variables = list(self.policy.trainable_variables)
        if statistics:
            variables += self.policy.normalization.variables
        return values_in_place(variables, [*trainable, *statistics])

"""One iteration of PPO: rollout, advantages, epochs of minibatches."""

import keras
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.ppo import losses
from keras_s5rl.ppo.advantages import generalized_advantages
from keras_s5rl.ppo.ended_episodes import ended_episodes
from keras_s5rl.ppo.host_memory import check_memory, memory_errors_named
from keras_s5rl.ppo.reward_normalization import initial_returns, normalize_rewards
from keras_s5rl.ppo.rollout import collect_rollout

# Entries of the state of which each device has its own, where there are several.
_PARTS = ("environment", "memory", "returns")


class Learner:
    """The PPO iteration as a pure function of one state, compiled as a whole.

    The state is a dict: `trainable` and `optimizer` (lists of tensors, one a variable),
    `environment` (the environments' state), `memory` (the policy's memory, a flat list), `key`, and
    `returns` where rewards are normalised. Everything that the next iteration depends on is in it:
    it can be saved and restored bit for bit.

    Of `num_devices` devices each plays in its share of the environments, with draws of its own, and
    puts in its share of every minibatch; weights and optimizer are the same on each. `environment`,
    `memory` and `returns` then have a leading axis of devices.

    Args:
        environment: `keras_s5rl.envs.AutoReset`, whose observations the policy takes.
        policy: `keras_s5rl.models.ActorCritic`.
        optimizer: A Keras optimizer built on the policy's trainable variables.
        config: `PPOConfig`.
        env_args: Dict of the environment's arguments, for error messages. Defaults to `None`.
    """

    def __init__(self, environment, policy, optimizer, config, env_args=None):
        self.environment = environment
        self.policy = policy
        self.optimizer = optimizer
        self.config = config
        self._num_tasks = max(1, len(environment.env.tasks))
        self._compiled_iteration = None
        names = ("num_envs", "num_steps", "width", "num_layers")
        self._sizes = {name: getattr(config, name) for name in names} | {"env_args": env_args}

    @property
    def is_compiled(self):
        """Whether the iteration has been compiled, so that the next one starts at once."""
        return self._compiled_iteration is not None

    def initial_state(self, key):
        """Returns the state before the first iteration: fresh episodes, empty memory, the
        weights that the policy has now."""
        config, num_envs = self.config, self.config.envs_per_device
        environment_key, key = ops.unstack(random.split(key), 2)
        start = backend.compile(
            lambda key: self.environment.initial(
                key, num_envs, stagger_starts=config.stagger_starts
            )
        )

        def part(environment_key):
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
            "trainable": copy_values(self.policy.trainable_variables),
            "optimizer": copy_values(self.optimizer.variables),
            "key": key,
            **parts,
        }

    def __call__(self, state):
        """Runs the compiled iteration.

        `state` stays as it is, its tensors are not donated: an iteration that fails, is interrupted
        or diverges has not happened.
        """
        with memory_errors_named(self._sizes):
            if self._compiled_iteration is None:
                iteration = self._compile()
                check_memory(iteration, (state,), self._sizes)
                self._compiled_iteration = iteration
            return self._compiled_iteration(state)

    def _compile(self):
        if self.config.num_devices == 1:
            return backend.compile(self.iterate)
        return backend.devices.compile(self.iterate, self.config.num_devices, _PARTS)

    def iterate(self, state):
        """One iteration, on the part of the state that this device has.

        Returns:
            `(state, metrics)`: the next state, and a dict of float32 tensors. Scalars are the
            losses, `entropy` and `approx_kl` (nats), `clip_fraction`, `gradient_norm`, each a mean
            over the epochs' minibatches; `explained_variance` of the rollout; and `weights`, the
            sum of their sizes, finite if they are. Of each environment are `episodes`,
            `episode_returns` and `episode_lengths`, as of `ended_episodes`.
        """
        key, rollout_key, update_key = ops.unstack(random.split(state["key"], 3), 3)
        if self.config.num_devices > 1:
            device = backend.devices.index()
            rollout_key = random.fold_in(rollout_key, device)
            update_key = random.fold_in(update_key, device)
        with self._weights(state["trainable"]):
            environment, memory, rollout = collect_rollout(
                self.environment,
                self.policy,
                state["environment"],
                state["memory"],
                rollout_key,
                self.config,
            )
        next_state = {"environment": environment, "memory": memory, "key": key}
        if self.config.normalize_rewards:
            next_state["returns"], rollout["reward"] = normalize_rewards(
                state["returns"],
                rollout["reward"],
                rollout["discount"],
                rollout["done"],
                rollout["task"],
                self.config.discount,
            )
        batch = self._training_batch(rollout, state["memory"])
        trainable, optimizer, metrics = self._update(
            state["trainable"], state["optimizer"], batch, update_key
        )
        metrics |= ended_episodes(rollout, self.config.episodes_kept)
        metrics["explained_variance"] = losses.explained_variance(
            batch["value"], batch["value_target"]
        )
        metrics["weights"] = sum(ops.sum(ops.abs(values)) for values in trainable)
        return next_state | {"trainable": trainable, "optimizer": optimizer}, metrics

    def loss(self, trainable, batch):
        """The PPO loss of a batch of whole sequences.

        Args:
            trainable: List of tensors, one for each trainable variable of the policy.
            batch: Dict of tensors `(batch, time, ...)`: `observation`, `reset`, `action`,
                `log_prob`, `value`, `advantage` (normalised, if at all), `value_target`; and
                `memory`, the memory state before the first step, a flat list of tensors
                `(batch, ...)`.

        Returns:
            `(loss, metrics)`, scalar tensors.
        """
        config = self.config
        with self._weights(trainable):
            parameters, value, _ = self.policy(
                batch["observation"], resets=batch["reset"], initial_state=batch["memory"]
            )
        distribution = self.policy.distribution
        log_ratio = distribution.log_prob(parameters, batch["action"]) - batch["log_prob"]
        policy_loss = losses.policy_loss(log_ratio, batch["advantage"], config.clip_epsilon)
        value_loss = losses.value_loss(
            value,
            batch["value"],
            batch["value_target"],
            config.value_clip,
        )
        entropy = ops.mean(distribution.entropy(parameters))
        loss = policy_loss + config.value_coefficient * value_loss
        if config.entropy_coefficient:
            loss = loss - config.entropy_coefficient * entropy
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "approx_kl": losses.approximate_kl(log_ratio),
            "clip_fraction": losses.clip_fraction(log_ratio, config.clip_epsilon),
        }

    def _training_batch(self, rollout, memory):
        """The rollout as whole sequences, batch first, with advantages; `memory` is the state
        from which each is replayed."""
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
        names = ("observation", "reset", "action", "log_prob", "value")
        time_major = {name: rollout[name] for name in names}
        time_major |= {"advantage": advantage, "value_target": value_target}
        batch = {name: ops.swapaxes(tensor, 0, 1) for name, tensor in time_major.items()}
        return batch | {"memory": memory}

    def _update(self, trainable, optimizer, batch, key):
        """Epochs of minibatches; each minibatch is a random subset of the environments."""
        config, batch = self.config, dict(batch)
        rows = random.permutation(key, config.envs_per_device, batch=(config.num_epochs,))
        rows = ops.reshape(rows, (-1, config.envs_per_device // config.num_minibatches))
        # Normalised before the loop: devices wait for each other once, not in every minibatch.
        advantage = ops.take(batch.pop("advantage"), rows, axis=0)
        if config.normalize_advantages == "minibatch":
            advantage = losses.normalize(advantage)

        def minibatch_step(carry, inputs):
            rows, advantage = inputs
            minibatch = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), batch)
            minibatch["advantage"] = advantage
            trainable, optimizer, loss, metrics, gradient_norm = backend.gradient_step(
                lambda values: self.loss(values, minibatch), self.optimizer, *carry
            )
            return (self.policy.constrain(trainable), optimizer), metrics | {
                "loss": loss,
                "gradient_norm": gradient_norm,
            }

        (trainable, optimizer), metrics = backend.scan(
            minibatch_step, (trainable, optimizer), (rows, advantage)
        )
        metrics = {name: ops.mean(value) for name, value in metrics.items()}
        return trainable, optimizer, backend.devices.mean(metrics)

    def _weights(self, trainable):
        """A scope in which the policy's variables have these values."""
        variables = self.policy.trainable_variables
        return keras.StatelessScope(state_mapping=list(zip(variables, trainable, strict=True)))


def copy_values(variables):
    """Returns the values of Keras variables as tensors of their own, from which torch records no
    gradients."""
    return [ops.copy(ops.stop_gradient(variable.value)) for variable in variables]

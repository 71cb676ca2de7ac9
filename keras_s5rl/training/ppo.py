"""`PPO`: the agent, and the loop around the compiled iteration."""

import dataclasses
import math
import time

import keras
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.models import check_memory
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.learner import Learner, copy_values
from keras_s5rl.ppo.optimizer import make_optimizer
from keras_s5rl.ppo.policy import make_policy
from keras_s5rl.training.checks import (
    check_activation,
    check_count,
    check_devices,
    check_finite,
    check_spaces,
    check_tasks,
)
from keras_s5rl.training.evaluation import play_episodes, summarize
from keras_s5rl.training.hooks import Hooks
from keras_s5rl.training.keys import EVALUATION, TRAINING
from keras_s5rl.training.learner_state import state_from_arrays, state_to_arrays
from keras_s5rl.training.metrics import EpisodeRecord
from keras_s5rl.training.progress import Progress
from keras_s5rl.training.recorder import Recorder
from keras_s5rl.training.views import agent_view, name_of


class PPO:
    """Trains a recurrent policy by proximal policy optimisation, and scores it.

    Args:
        env: String, a registered environment, or an object with the methods of
            `keras_s5rl.envs.Environment`.
        env_args: Dict of keyword arguments of the environment, or `None`. Defaults to `None`.
        memory: String, a registered memory: `"s5"`, `"gru"`, `"lstm"` or `"mlp"`. Defaults to
            `"s5"`.
        config: `PPOConfig`, or `None` for its defaults. Defaults to `None`.
        seed: Integer from 0 to 2**32 - 1; equal seeds give equal runs, bit for bit.
            Defaults to `0`.

    Raises:
        ValueError: If an argument is not known or out of its range.

    Example:

    >>> from keras_s5rl import PPO, PPOConfig
    >>> config = PPOConfig(num_envs=8, num_steps=16, width=16, state_size=16)
    >>> agent = PPO("RepeatPreviousEasy", config=config)
    >>> history = agent.fit(total_steps=256, verbose=False)
    >>> report = agent.evaluate(num_episodes=4)
    >>> len(report["returns"])
    4

    Reference:
    - Schulman et al., "Proximal policy optimization algorithms", 2017.
    """

    def __init__(self, env, env_args=None, memory="s5", config=None, seed=0):
        self.env = name_of(env)
        self.env_args = dict(env_args or {})
        self.memory = memory
        self.config = PPOConfig() if config is None else config
        self.seed = seed
        self._given_env = env
        self._key = random.key(seed)
        check_memory(memory)
        check_activation(self.config.activation)
        self.environment = self.view(env, self.env_args)
        check_tasks(self.config, self.environment, self.env)
        self.policy = make_policy(self.environment, memory, self.config, seed)
        self.policy.stop_training = False
        self.update = 0
        self._episodes = EpisodeRecord()
        self._total_steps = None
        self._learner = None
        self._state = None

    def view(self, env, env_args=None):
        """Returns `keras_s5rl.envs.AgentView` of an environment as this agent sees it.

        Args:
            env: String, a registered environment, or an `Environment`.
            env_args: Dict of keyword arguments of an environment given by its name, or `None`.
        """
        return agent_view(env, env_args, self.config.observe_previous_action)

    @property
    def env_steps(self):
        """Environment steps taken in training so far."""
        return self.update * self.config.steps_per_update

    @property
    def num_parameters(self):
        """Trainable parameters of the policy."""
        return sum(math.prod(v.shape) for v in self.policy.trainable_variables)

    def settings(self):
        """Returns everything that decides the course of a training, as a dict of plain values."""
        return {
            "env": self.env,
            "env_args": self.env_args,
            "memory": self.memory,
            "backend": keras.backend.backend(),
            "seed": self.seed,
            "num_seeds": 1,
            **dataclasses.asdict(self.config),
        }

    def fit(
        self,
        total_steps,
        run_dir=None,
        resume=False,
        checkpoint_every=50,
        log_every=10,
        callbacks=(),
        verbose=True,
        override=False,
        accept_edited_config=False,
    ):
        """Trains until the agent has taken `total_steps` environment steps.

        Args:
            total_steps: Positive integer, absolute: a second call goes on from where the first
                ended. Rounded up to a whole update.
            run_dir: Folder in which the run is recorded, or `None` to record nothing. Defaults to
                `None`.
            resume: Whether `run_dir` holds a run to go on with: bit for bit on the same backend and
                machine, up to rounding on another, which is said. Defaults to `False`.
            checkpoint_every: Positive integer, updates between checkpoints. Defaults to `50`.
            log_every: Positive integer, updates of one epoch of the callbacks. Defaults to `10`.
            callbacks: Keras callbacks. Their model is the policy, their batches are updates, their
                epochs `log_every` updates and their logs means of the metrics (NaN where no episode
                ended). What they do to weights and optimizer counts. Defaults to `()`.
            verbose: Whether to show progress. Defaults to `True`.
            override: Whether a resumed run may go on with other settings of its `config` than it
                was started with, such as a lower `learning_rate` (those that leave the shape of its
                state as it is: `keras_s5rl.ppo.config.OVERRIDABLE_SETTINGS`). Its config.json then
                says so. Defaults to `False`.
            accept_edited_config: Whether to resume a run whose config.json was edited. Defaults to
                `False`.

        Returns:
            `keras.callbacks.History`, the means of the metrics over each `log_every` updates.

        Raises:
            ValueError: If an argument is out of its range, `run_dir` holds another run or, to
                resume, none, or there are fewer devices than `config.num_devices`.
            NonFiniteLossError: If a loss becomes infinite or not a number. The last checkpoint
                stays in place.
        """
        schedule = {"checkpoint_every": checkpoint_every, "log_every": log_every}
        for name, value in [("total_steps", total_steps), *schedule.items()]:
            check_count(name, value)
        if resume and run_dir is None:
            raise ValueError("`run_dir` should name the run to resume. Received: run_dir=None")
        resuming = {"override": override, "accept_edited_config": accept_edited_config}
        for name, value in resuming.items():
            if value and not resume:
                raise ValueError(
                    f"`{name}` goes with `resume=True`. Received: {name}={value}, resume=False"
                )
        if run_dir is not None and not isinstance(self._given_env, str):
            raise ValueError(
                "`run_dir` needs an environment that can be made again by its name: register it "
                f"with `keras_s5rl.envs.register_env`. Received: env={self.env}"
            )
        check_devices(self.config)
        self._check_schedule(total_steps)
        recorder = None
        if run_dir is not None:
            settings = {**self.settings(), "total_steps": total_steps, **schedule}
            if resume:
                recorder = Recorder.resume(run_dir, settings, **resuming)
            else:
                recorder = Recorder.create(run_dir, settings)
        try:
            self._prepare(total_steps)
            if resume:
                recorder.restore(self._restore)
            progress = Progress(total_steps, self.env_steps) if verbose else None
            last_update = self.config.num_updates(total_steps)
            hooks = Hooks(self.policy, callbacks, progress, log_every, last_update)
            return self._train(hooks, recorder, last_update, checkpoint_every)
        finally:
            self.policy.stop_training = False
            if recorder is not None:
                recorder.close()

    def evaluate(self, num_episodes=256, deterministic=True, env=None, env_args=None, seed=None):
        """Scores the policy: one episode in each of `num_episodes` fresh environments.

        The episodes are drawn from a key that training never uses; neither training's state nor its
        keys are touched.

        Args:
            num_episodes: Positive integer. Defaults to `256`.
            deterministic: Whether the score is that of the mode of the policy rather than of draws
                from it. Defaults to `True`.
            env: Another environment of the same observation and action sizes, or `None` for the one
                trained in.
            env_args: Dict of keyword arguments of the environment, or `None` for those trained with
                (its own defaults where `env` is another).
            seed: Integer from 0 to 2**32 - 1, each of which stands for another set of episodes, or
                `None` for the agent's own. Defaults to `None`.

        Returns:
            Dict: `env`, `num_episodes`, `deterministic`, `seed`, `update`, `env_steps`,
            `return_mean`, `return_std`,
            `return_ci95` (half-width of the 95 % confidence interval), `length_mean` (steps),
            `returns` (list), and `other_mode`, the same numbers of the policy played the other way
            on the same episodes.
        """
        check_count("num_episodes", num_episodes)
        environment, name = self.environment, self.env
        if env is not None or env_args is not None:
            env = self._given_env if env is None else env
            environment, name = self.view(env, env_args), name_of(env)
            check_spaces(self.policy, environment, name)
        seed = self.seed if seed is None else seed
        key = random.fold_in(random.key(seed), EVALUATION)
        modes = (deterministic, not deterministic)
        played, other = play_episodes(environment, self.policy, num_episodes, key, modes)
        return {
            "env": name,
            "num_episodes": num_episodes,
            "deterministic": deterministic,
            "seed": seed,
            "update": self.update,
            "env_steps": self.env_steps,
            **summarize(*played),
            "other_mode": {"deterministic": not deterministic, **summarize(*other)},
            "returns": played[0].tolist(),
        }

    @classmethod
    def load(cls, run_dir, accept_edited_config=False):
        """Returns the agent of a run, as its newest readable checkpoint holds it, whatever backend
        wrote that.

        Args:
            run_dir: Folder of the run. It may be training.
            accept_edited_config: Whether to take a config.json that was edited. Defaults to
                `False`.

        Raises:
            ValueError: If `run_dir` holds no run, its config.json was edited, or no checkpoint can
                be read.
        """
        settings, restore = Recorder.read(run_dir, accept_edited_config)
        agent = cls(
            settings["env"],
            settings["env_args"],
            settings["memory"],
            PPOConfig.from_settings(settings),
            settings["seed"],
        )
        agent._prepare(settings["total_steps"])
        restore(agent._restore)
        return agent

    def _check_schedule(self, total_steps):
        num_updates = self.config.num_updates
        if self._total_steps is None or not self.config.anneal_learning_rate:
            return
        if num_updates(total_steps) > num_updates(self._total_steps):
            raise ValueError(
                "`total_steps` cannot grow while the learning rate is annealed: it has already "
                "been lowered towards 0 at the old end. Train from the start, or with "
                f"anneal_learning_rate=False. Received: total_steps={total_steps} after "
                f"{self._total_steps}"
            )

    def _prepare(self, total_steps):
        """Makes the optimizer, the learner and its first state, once."""
        if self._learner is not None:
            return
        optimizer = make_optimizer(self.config, total_steps)
        optimizer.build(self.policy.trainable_variables)
        self.policy.optimizer = optimizer
        autoreset = envs.AutoReset(self.environment)
        self._learner = Learner(autoreset, self.policy, optimizer, self.config)
        self._state = self._learner.initial_state(random.fold_in(self._key, TRAINING))
        self._total_steps = total_steps

    def _train(self, hooks, recorder, last_update, checkpoint_every):
        self._read_weights()
        if recorder is not None:
            recorder.start(self)
        with hooks:
            try:
                while self.update < last_update and not self.policy.stop_training:
                    self._update(hooks, recorder)
                    if recorder is not None and self.update % checkpoint_every == 0:
                        recorder.checkpoint(self)
            except KeyboardInterrupt:  # a notebook's stop button: the policy keeps what it learned
                self._write_back()
                raise
            self._write_back()
            hooks.end()
        self._read_weights()
        if recorder is not None:
            recorder.finish(self)
        return self.policy.history

    def _update(self, hooks, recorder):
        """One update with its hooks: callbacks see the policy as it is, and may change it."""
        hooks.before_update(self.update)
        if hooks.watched:
            self._read_weights()
        metrics = self._iterate(recorder)
        if hooks.watched:
            self._write_back()
        hooks.after_update(metrics)
        if hooks.watched:
            self._read_weights()

    def _iterate(self, recorder):
        """One update: runs the compiled iteration, and hands its metrics to the recorder."""
        started = time.monotonic()
        self._state, tensors = self._learner(self._state)
        values = {name: float(ops.convert_to_numpy(tensors[name])) for name in sorted(tensors)}
        self.update += 1
        check_finite(values, self.update)
        metrics = self._episodes.metrics(
            values,
            time.monotonic() - started,
            self.update,
            self.env_steps,
            self.config.steps_per_update,
        )
        if recorder is not None:
            recorder.record(metrics)
        return metrics

    def _write_back(self):
        """Gives the policy and its optimizer the learner's weights.

        They are copies: the next iteration takes over the learner's own tensors.
        """
        for variables, name in self._variable_lists():
            for variable, value in zip(variables, self._state[name], strict=True):
                variable.assign(ops.copy(backend.devices.on_default(value)))

    def _read_weights(self):
        """Takes over what was done to the weights, the learning rate and the like from outside."""
        for variables, name in self._variable_lists():
            self._state[name] = copy_values(variables)

    def _variable_lists(self):
        return (
            (self.policy.trainable_variables, "trainable"),
            (self.policy.optimizer.variables, "optimizer"),
        )

    def _restore(self, checkpoint):
        self._state = state_from_arrays(checkpoint["arrays"], self._state)
        self.update = checkpoint["update"]
        self._episodes = EpisodeRecord(checkpoint["mmer"], checkpoint["wall_time_s"])
        self._write_back()

    def snapshot(self):
        """Returns the whole state of the training: `(update, arrays, metadata)`."""
        metadata = {"mmer": self._episodes.mmer, "wall_time_s": self._episodes.wall_time_s}
        return self.update, state_to_arrays(self._state), metadata

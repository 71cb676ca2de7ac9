"""`PPO`: the agent."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any, Self

import keras

from keras_s5rl import backend, envs, random
from keras_s5rl.backend.programs import Programs
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.models import Policy, resolve_memory_args
from keras_s5rl.models.encoders import encoder_setting
from keras_s5rl.models.ssm_variables import ssm_variables
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.host_memory import memory_errors_named
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.ppo.learners import make_learner
from keras_s5rl.ppo.optimizer import make_optimizer
from keras_s5rl.ppo.policy import default_encoder, make_policy
from keras_s5rl.ppo.seeds_learner import SeedsLearner
from keras_s5rl.runs import recorded_imports
from keras_s5rl.training.agent_evaluation import evaluate_agent
from keras_s5rl.training.agent_settings import agent_settings
from keras_s5rl.training.agent_training import train_agent
from keras_s5rl.training.arguments import check_config, check_env_args
from keras_s5rl.training.checks import check_activation, check_tasks
from keras_s5rl.training.given_policy import check_given_policy
from keras_s5rl.training.keys import TRAINING
from keras_s5rl.training.loading import load_agent
from keras_s5rl.training.loop import Loop
from keras_s5rl.training.score_record import ScoreRecord
from keras_s5rl.training.seed_scores import SeedScores
from keras_s5rl.training.seeds import check_seeds, first_records, seed_policy, seeds_learner
from keras_s5rl.training.views import agent_view, name_of
from keras_s5rl.typing import Array, GymnasiumEnv, StrPath


class PPO:
    """Trains a recurrent policy by proximal policy optimisation, and scores it.

    Args:
        env: String, a registered environment, `"gymnasium:<id>"` or `"gymnax:<name>"`; or an object
            with the methods of `keras_s5rl.envs.Environment`; or environments of Gymnasium: a
            callable that makes one, a `VectorEnv` of `config.num_envs`, or an `Env` if that is 1.
            Gymnasium's are stepped on the host. Their state is in no checkpoint: a resumed run
            begins new episodes. Those that were not given are closed when `fit` ends.
        env_args: Dict of keyword arguments of the environment, or `None`. Defaults to `None`.
        memory: String, a registered memory, such as `"s5"`, `"gru"` or `"attention"`. Defaults to
            `"s5"`.
        config: `PPOConfig`, or `None` for its defaults. Defaults to `None`.
        seed: Integer from 0 to 2**32 - 1; equal seeds give equal runs, bit for bit.
            Defaults to `0`.
        memory_args: Dict of settings that are the memory's own, such as `{"state_size": 128}`, or
            `None` for their defaults; `keras_s5rl.models.memory_settings` lists them. Defaults to
            `None`.
        imports: List of strings, the modules that registered environment, memory and encoder. A run
            lists them, and the commands then say that they are needed. Defaults to `()`.
        encoder: `"entries"` (convolutions for images, a dense layer for other entries), `"dense"`
            (one over all), another registered name, or a Keras layer for `ActorCritic`. `None` for
            entries where there is an image or several boxes, else dense. Defaults to `None`.
        policy: `keras_s5rl.models.Policy` to train instead of one with `memory` and `encoder`,
            which then do not count, nor do the settings of the network. Its observations are those
            of `view`. A run of it is resumed with such a policy given, or, where its class is
            registered with Keras, made again. Or `None`. Defaults to `None`.
        num_seeds: Positive integer: so many seeds, from `seed` on, train side by side, each as it
            would alone. `policy` is that of the first one, and so is what callbacks see and change,
            but for the learning rate; `seed_policy` gives the others. Defaults to `1`.

    Attributes:
        policy: `keras_s5rl.models.Policy`. However a `fit` ends (by an exception too), its
            weights, its optimizer and `update` belong together, and the next one goes on from
            there.
        update: Updates so far.

    Raises:
        ValueError: If an argument is not known or out of its range, or if there is too little
            memory for it.

    Example:

    >>> from keras_s5rl import PPO, PPOConfig
    >>> config = PPOConfig(num_envs=8, num_steps=16, width=16)
    >>> agent = PPO("RepeatPreviousEasy", config=config, memory_args={"state_size": 16})
    >>> history = agent.fit(total_steps=256, verbose=False)
    >>> report = agent.evaluate(num_episodes=4)
    >>> len(report["returns"])
    4

    Reference:
    - Schulman et al., "Proximal policy optimization algorithms", 2017.
    """

    def __init__(
        self,
        env: str | envs.Environment | GymnasiumEnv,
        env_args: dict[str, Any] | None = None,
        memory: str = "s5",
        config: PPOConfig | None = None,
        seed: int = 0,
        memory_args: dict[str, Any] | None = None,
        imports: Sequence[str] = (),
        encoder: Any = None,
        policy: Policy | None = None,
        num_seeds: int = 1,
    ) -> None:
        check_env_args(env_args)
        check_config(config)
        self.policy_is_given = policy is not None
        self.memory_args = {} if self.policy_is_given else resolve_memory_args(memory, memory_args)
        self.imports = recorded_imports({"imports": list(imports)})
        self.env = name_of(env)
        self.env_args = dict(env_args or {})
        self.memory = type(policy).__name__ if self.policy_is_given else memory
        self.config = PPOConfig() if config is None else config
        self.seed, self.num_seeds = seed, num_seeds
        self._key = random.key(seed)
        check_seeds(num_seeds, seed, env, self.config, policy)
        self.seeds = range(seed, seed + num_seeds)
        check_activation(self.config.activation)
        backend.use_compilation_cache()
        self.given_env = env
        with memory_errors_named({"env_args": env_args}):
            self.environment = self.view(env, self.env_args)
        check_tasks(self.config, self.environment, self.env)
        if policy is not None:
            check_given_policy(policy, self.environment, self.config, self.env)
            self.policy, self.encoder = policy, "dense"  # an encoder does not count
        else:
            encoder = default_encoder(self.environment) if encoder is None else encoder
            self.policy = make_policy(
                self.environment, memory, self.config, seed, self.memory_args, encoder
            )
            self.encoder = encoder_setting(encoder)
        self.policy.stop_training = False
        self.programs = Programs()
        self._total_steps = 0  # of the longest training so far
        self._loop: Any = None

    def view(
        self, env: str | envs.Environment | GymnasiumEnv, env_args: dict[str, Any] | None = None
    ) -> AgentView:
        """Returns `keras_s5rl.envs.AgentView` of an environment as this agent sees it.

        Args:
            env: String, a registered environment, or an `Environment`.
            env_args: Dict of keyword arguments of an environment given by its name, or `None`.
        """
        return agent_view(env, env_args, self.config)

    @property
    def update(self) -> int:
        return 0 if self._loop is None else self._loop.update

    @property
    def is_named(self) -> bool:
        """Whether the environment was given by its name, and can be made again by it."""
        return isinstance(self.given_env, str)

    @property
    def env_steps(self) -> int:
        """Environment steps taken in training so far."""
        return self.update * self.config.steps_per_update

    @property
    def scores(self) -> ScoreRecord | SeedScores:
        """The latest scores while training, and the best ones with the weights that had them; of
        several seeds `scores.records`, one of each."""
        return first_records(self)[1] if self._loop is None else self._loop.scores

    @property
    def num_parameters(self) -> int:
        """Trainable parameters of the policy."""
        return sum(math.prod(v.shape) for v in self.policy.trainable_variables)

    def settings(self) -> dict[str, Any]:
        """Returns everything that decides the course of a training, as a dict of plain values."""
        return agent_settings(self)

    def fit(
        self,
        total_steps: int,
        run_dir: StrPath | None = None,
        resume: bool = False,
        checkpoint_every: int = 50,
        log_every: int = 10,
        callbacks: Any = (),
        verbose: bool = True,
        override: bool = False,
        accept_edited_config: bool = False,
        eval_every: int | None = None,
        eval_episodes: int = 64,
        early_stop_patience: int | None = None,
    ) -> keras.callbacks.History:
        """Trains until the agent has taken `total_steps` environment steps.

        Where an exception ends it (a callback's, Ctrl-C, a full disk, a loss that is not finite),
        the agent is that of the last whole update, whose checkpoint is written if it can be, and
        the next `fit` goes on from there.

        Args:
            total_steps: Positive integer, absolute: a second call goes on from where the first
                ended. Rounded up to a whole update. An annealed learning rate falls in a straight
                line from its first value at step 0 to 0 at the largest `total_steps` so far: a call
                with a larger one puts it back up, onto the line to the new end.
            run_dir: Folder in which the run is recorded, or `None` to record nothing. Defaults to
                `None`.
            resume: Whether `run_dir` holds a run to go on with: bit for bit on the same backend and
                machine, up to rounding on another, with a warning. Defaults to `False`.
            checkpoint_every: Positive integer, updates between checkpoints. Defaults to `50`.
            log_every: Positive integer, updates of one epoch of the callbacks. Defaults to `10`.
            callbacks: Keras callbacks. Their model is the policy, their batches are updates, their
                epochs `log_every` updates and their logs means of the metrics (NaN where no update
                has a value). What they do to weights and optimizer counts. Defaults to `()`.
            verbose: Whether to show progress. Defaults to `True`.
            override: Whether a resumed run may go on with other settings of its `config` than it
                was started with, such as a lower `learning_rate` (those that leave the shape of its
                state as it is: `keras_s5rl.ppo.config.OVERRIDABLE_SETTINGS`). Its config.json then
                says so. Defaults to `False`.
            accept_edited_config: Whether to resume a run whose config.json was edited. Defaults to
                `False`.
            eval_every: Positive integer, updates between scores of the policy on fixed episodes
                that training never sees, or `None` for none. They are the metrics `eval_...`; the
                run keeps the best policy of each seed, too. Defaults to `None`.
            eval_episodes: Positive integer, how many episodes. Defaults to `64`.
            early_stop_patience: Positive integer, evaluations without a better mean return after
                which training stops, or `None`; for one seed. Defaults to `None`.

        Returns:
            `keras.callbacks.History`, the means of the metrics over each `log_every` updates.

        Raises:
            ValueError: If an argument is out of its range, `run_dir` holds another run or, to
                resume, none, there are fewer devices than `config.num_devices`, or too little
                memory.
            NonFiniteLossError: If a loss becomes infinite or not a number. The last checkpoint
                stays in place, and the policy is that of the update before.
        """
        return train_agent(
            self,
            total_steps,
            run_dir,
            resume,
            checkpoint_every,
            log_every,
            callbacks,
            verbose,
            override,
            accept_edited_config,
            eval_every,
            eval_episodes,
            early_stop_patience,
        )

    def evaluate(
        self,
        num_episodes: int = 256,
        deterministic: bool = True,
        env: str | envs.Environment | GymnasiumEnv | None = None,
        env_args: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
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
            Dict of what decided the score: `env`, `env_args` (all of them, defaults too; `None` of
            an environment that was given as an object), `num_episodes`, `deterministic`, `seed`,
            `update`, `env_steps`; and of the score: `return_mean`, `return_std`, `return_ci95`
            (half-width of the 95 % confidence interval), `length_mean` (steps), `returns` (list),
            and `other_mode`, the same numbers of the policy played the other way on the same
            episodes.
        """
        return evaluate_agent(self, num_episodes, deterministic, env, env_args, seed)

    @classmethod
    def load(
        cls,
        run_dir: StrPath,
        accept_edited_config: bool = False,
        policy: Policy | None = None,
        seed: int | None = None,
    ) -> Self:
        """Returns the agent of a run, as its newest readable checkpoint holds it, whatever backend
        wrote that.

        Args:
            run_dir: Folder of the run. It may be training.
            accept_edited_config: Whether to take a config.json that was edited. Defaults to
                `False`.
            policy: Where the run was given its policy, one like it, which then has the weights; or
                `None`, to make it again. Defaults to `None`.
            seed: Integer, the one to take of several that trained, or `None`. Defaults to `None`.

        Raises:
            ValueError: If `run_dir` holds no run, its config.json was edited, no checkpoint can be
                read, or its environment or memory is not known; the error then names the modules to
                import.
        """
        return load_agent(cls, run_dir, accept_edited_config, policy, seed)

    def prepare(self, total_steps: int) -> Loop:
        """Returns the loop that trains to an end, in environment steps.

        It makes the optimizer, the learner and its first state once, and another optimizer and
        learner where the learning rate is to fall to a later end.
        """
        if self._loop is None:
            learner = self._make_learner(total_steps)
            state = learner.initial_state(random.fold_in(self._key, TRAINING))
            records = first_records(self)
            self._loop = Loop(learner, state, self.policy, learner.variables, *records)
        elif self.config.anneal_learning_rate and total_steps > self._total_steps:
            learner = self._make_learner(total_steps)
            self._loop.go_on_with(learner, learner.variables)
        else:
            return self._loop
        self._total_steps = total_steps
        return self._loop

    def _make_learner(self, total_steps: int) -> Learner | SeedsLearner:
        optimizer = make_optimizer(
            self.config, total_steps, self.policy.trainable_variables, ssm_variables(self.policy)
        )
        self.policy.optimizer = optimizer
        learner = make_learner(self.environment, self.policy, optimizer, self.config, self.env_args)
        return learner if self.num_seeds == 1 else seeds_learner(self, learner)

    def seed_policy(self, seed: int) -> contextlib.AbstractContextManager[Policy]:
        """Returns a context in which `policy` has the weights that a seed, one of `seeds`, has."""
        return seed_policy(self, seed)

    def snapshot(self) -> tuple[int, dict[str, Array], dict[str, Any]]:
        """Returns the whole state of the training: `(update, arrays, metadata)`."""
        return self._loop.snapshot()

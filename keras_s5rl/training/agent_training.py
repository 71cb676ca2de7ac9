"""The training of an agent: `PPO.fit` without its documentation."""

import contextlib
import functools
from typing import Any

import keras

from keras_s5rl import backend
from keras_s5rl.training.agent_evaluation import scoring
from keras_s5rl.training.arguments import (
    check_callbacks,
    check_evaluation,
    check_fit,
    check_verbose,
)
from keras_s5rl.training.backend_notice import report_backend
from keras_s5rl.training.checks import check_devices
from keras_s5rl.training.early_stop import EarlyStop
from keras_s5rl.training.hooks import Hooks
from keras_s5rl.training.host_views import close_environments
from keras_s5rl.training.processes import (
    Follower,
    check_same,
    refused_together,
    share_state,
)
from keras_s5rl.training.progress import Progress
from keras_s5rl.training.recorder import Recorder
from keras_s5rl.typing import StrPath


def train_agent(
    agent: Any,
    total_steps: int,
    run_dir: StrPath | None,
    resume: bool,
    checkpoint_every: int,
    log_every: int,
    callbacks: Any,
    verbose: bool,
    override: bool,
    accept_edited_config: bool,
    eval_every: int | None,
    eval_episodes: int,
    early_stop_patience: int | None,
) -> keras.callbacks.History:
    """Does what `PPO.fit` of the agent does, and returns what it returns; the arguments are its."""
    schedule = {"checkpoint_every": checkpoint_every, "log_every": log_every}
    evaluation = {
        "eval_every": eval_every,
        "eval_episodes": eval_episodes,
        "early_stop_patience": early_stop_patience,
    }
    resuming = {"override": override, "accept_edited_config": accept_edited_config}
    unnamed = None if agent.is_named else agent.env
    check_fit({"total_steps": total_steps, **schedule}, run_dir, resume, resuming, unnamed)
    check_evaluation(evaluation, agent.num_seeds)
    check_callbacks(callbacks)
    check_verbose(verbose)
    check_devices(agent.config)
    is_first = backend.processes.index() == 0
    verbose = verbose and is_first
    if verbose:
        report_backend()
    settings = {**agent.settings(), "total_steps": total_steps, **schedule, **evaluation}
    recorder: Recorder | Follower | None = None
    with refused_together():
        check_same({**settings, "is_recorded": run_dir is not None})
    with refused_together():
        if run_dir is not None and not is_first:
            recorder = Follower()
        elif run_dir is not None and resume:
            recorder = Recorder.resume(run_dir, settings, **resuming)
        elif run_dir is not None:
            about = {"num_parameters": agent.num_parameters}
            recorder = Recorder.create(run_dir, {**settings, **about})
    with contextlib.ExitStack() as stack:
        stack.callback(_leave, agent, recorder)
        loop = agent.prepare(total_steps)
        if recorder is not None and resume:
            recorder.restore(loop.restore)
        share_state(loop)
        last_update = agent.config.num_updates(total_steps)
        progress, early_stop, options = None, None, {}
        if verbose and loop.update < last_update:
            progress = Progress(total_steps, agent.env_steps, compiles=loop.will_compile)
        if eval_every is not None:
            score = stack.enter_context(scoring(agent, eval_episodes))
            options = {"evaluate": score, "evaluate_every": eval_every}
            if early_stop_patience is not None and is_first:
                early_stop = EarlyStop(loop, early_stop_patience, eval_every, log_every)
        hooks = Hooks(agent.policy, callbacks, progress, log_every, last_update, early_stop)
        if recorder is None:
            loop.run(hooks, last_update, **options)
        else:
            loop.read_weights()
            recorder.start(agent)
            save = functools.partial(recorder.checkpoint, agent)
            loop.run(hooks, last_update, recorder.record, save, checkpoint_every, **options)
            recorder.finish(agent)
        return agent.policy.history


def _leave(agent: Any, recorder: Recorder | Follower | None) -> None:
    """What is done after every way out of a training."""
    agent.policy.stop_training = False
    close_environments(agent.environment)
    if recorder is not None:
        recorder.close()

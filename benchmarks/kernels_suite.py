"""Benchmark suite `kernels`: what an iteration of PPO launches on a GPU, counted without one.

A case is a memory with the settings of `popgym_paper.flags`: 64 environments x 1,024 steps, 30
epochs of 8 minibatches, width 256, 4 layers. Rollout and update are compiled for an H200 by JAX's
CUDA plugin (`pip install "keras-s5rl[cuda]"`), on a machine with or without a GPU; nothing is run.

`step` counts what a step of the rollout launches, `minibatch` what a gradient step does beside its
loops over time (a recurrent memory's).
"""

import functools
import pathlib

from benchmarks.gpu_programs import as_on_a_gpu, compile_for_h200, launches, see_no_gpu

_PRESET = pathlib.Path(__file__).resolve().parents[1] / "launch" / "presets" / "popgym_paper.flags"
CASES = {memory: {"memory": memory} for memory in ("s5", "gru")}
# Result: heading and format of its column.
COLUMNS = {
    f"{place}_{what}": (f"{place} {what}", "d")
    for place in ("step", "minibatch")
    for what in ("kernels", "copies", "conditionals")
}


def measure(memory, repeats):
    """Counts for one memory.

    Args:
        memory: String.
        repeats: Unused: a program is compiled once.

    Returns:
        Dict: `step_kernels`, `step_copies` and `step_conditionals` of a step of the rollout, the
        same of a `minibatch`, and `loops`, the counts of all loops of `rollout` and `update` by
        their trip counts.
    """
    see_no_gpu()
    import jax

    with as_on_a_gpu():
        learner, state = _paper_learner(memory)
        played = jax.eval_shape(lambda state: learner.rollout(state, state["key"])[1], state)
        loops = {
            "rollout": launches(
                compile_for_h200(lambda state: learner.rollout(state, state["key"]), state)
            ),
            "update": launches(
                compile_for_h200(functools.partial(_update, learner), state, played)
            ),
        }
    config = learner.config
    step = loops["rollout"][str(config.num_steps)]
    minibatch = loops["update"][str(config.num_epochs * config.num_minibatches)]
    counts = {
        f"{place}_{what}": found[what]
        for place, found in (("step", step), ("minibatch", minibatch))
        for what in ("kernels", "copies", "conditionals")
    }
    return {**counts, "loops": {name: dict(found) for name, found in loops.items()}}


def _update(learner, state, played):
    batch = learner.training_batch(played, state["memory"])
    return learner.update(state["trainable"], state["optimizer"], batch, state["key"])


def _paper_learner(memory):
    """The learner of the preset, and the shapes of its state."""
    import jax

    from keras_s5rl import envs, random
    from keras_s5rl.cli import command, train
    from keras_s5rl.cli.memory_flags import MemoryFlags
    from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags
    from keras_s5rl.ppo import Learner, make_optimizer, make_policy

    values = command.parse_flags(
        train.define_flags,
        ["train", f"--flagfile={_PRESET}", f"--memory={memory}"],
        MemoryFlags(lambda values: str(values.memory)),
    )
    config = config_from_flags(values)
    view = envs.AgentView(envs.make(values.env))
    memory_args = memory_args_from_flags(values, memory)
    policy = make_policy(view, memory, config, seed=0, memory_args=memory_args)
    optimizer = make_optimizer(config, values.total_steps, policy.trainable_variables)
    learner = Learner(envs.AutoReset(view), policy, optimizer, config)
    return learner, jax.eval_shape(learner.initial_state, random.key(0))

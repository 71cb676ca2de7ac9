"""Benchmark suite `env`: how many steps a second environments take, POPGym's beside popgym.

A case is an environment, by its registered name. `batched` numbers are steps of all environments
together, in one compiled program: random actions drawn inside, observations made, and finished
episodes restarted by `AutoReset`, from staggered starts. `single` numbers are a Python loop
`env.step(env.action_space.sample())` in Gymnasium's environment, for the package and for popgym.
Each measurement takes at least as many steps as the longest episode, so that it holds its share of
restarts. `ratio` is batched at 1,024 environments over popgym's loop, which is
measured wherever popgym is installed; `--peers` adds no other cases.
"""

import statistics
import time
import warnings

import gymnasium

from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.registry import registered_envs

SHARES_PROCESS = True  # start-up and memory are not measured

_SIZES = (64, 1024)
_MIN_BATCHED_STEPS = 256
_MIN_SINGLE_STEPS = 1000

# POPGym's environments, and those of control.
_LEVELS = ("Easy", "Medium", "Hard")
CASES = {name: {"env": name} for name in registered_envs() if name.endswith(_LEVELS)}
CASES |= {name: {"env": name} for name in TASKS}
CASES["projected_cartpole"] = {"env": "projected_cartpole"}
CASES["projected_control"] = {
    "env": "projected_control",
    "env_args": {
        "tasks": ("reacher_easy", "cartpole_balance", "cartpole_swingup", "point_mass_easy"),
        "action_repeat": 1,
    },
}

PEER_CASES = {}  # popgym has columns

# Result: heading and format of its column.
COLUMNS = {
    "batched_64_median": ("64 envs, steps/s", ",.0f"),
    "batched_1024_median": ("1024 envs, steps/s", ",.0f"),
    "batched_1024_min": ("min", ",.0f"),
    "batched_1024_max": ("max", ",.0f"),
    "single_median": ("single, steps/s", ",.0f"),
    "popgym_median": ("popgym, steps/s", ",.0f"),
    "ratio": ("ratio", ",.0f"),
}


def measure(env, repeats, env_args=None):
    """Measures one environment.

    Args:
        env: String, a registered name.
        repeats: Positive integer, measurements of each number after warming up.
        env_args: Dict of keyword arguments of the environment, or `None`.

    Returns:
        Dict: median, minimum and maximum of the environment steps per second `batched_64`,
        `batched_1024`, `single` and `popgym`, and `ratio`; popgym's are `None` where it does not
        have the environment or is not installed.
    """
    from keras_s5rl import envs

    env_args = env_args or {}
    num_steps = envs.make(env, **env_args).max_episode_steps
    result = {}
    for num_envs in _SIZES:
        run = _batched_run(envs.make(env, **env_args), num_envs, max(_MIN_BATCHED_STEPS, num_steps))
        result |= _spread(f"batched_{num_envs}", run, repeats)
    num_steps = max(_MIN_SINGLE_STEPS, num_steps)
    ids = {"single": f"keras_s5rl:keras_s5rl/{env}-v0", "popgym": f"popgym:popgym-{env}-v0"}
    for name, env_id in ids.items():
        result |= _spread(name, _single_run(env_id, env_args, num_steps), repeats)
    reference = result["popgym_median"]
    result["ratio"] = None if reference is None else result["batched_1024_median"] / reference
    return result


def note(results):
    """Returns how to read the columns of popgym."""
    if any(result["popgym_median"] is not None for result in results.values()):
        return "ratio: 1024 envs over popgym's loop"
    return "popgym is not installed: pip install 'keras-s5rl[popgym]'"


def _spread(name, run, repeats):
    """Median, minimum and maximum of `run() -> steps`, per second."""
    if run is None:
        rates = None
    else:
        run()
        run()  # JAX compiles anew where a reward has the dtype of a Python number
        rates = [_rate(run) for _ in range(repeats)]
    summaries = {"median": statistics.median, "min": min, "max": max}
    return {f"{name}_{key}": rates and summary(rates) for key, summary in summaries.items()}


def _rate(run):
    started = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - started)


def _batched_run(env, num_envs, num_steps):
    """A function that takes `num_steps` steps in each of `num_envs` environments."""
    from keras import ops

    from keras_s5rl import backend, envs, random

    autoreset = envs.AutoReset(env)

    def step(carry, key):
        action = _draw_actions(env.action_space, key, num_envs)
        state, transition = autoreset.step(carry["state"], action)
        return outcome(state, **transition), None

    # All that a user of a step reads is carried, so that all of it is computed.
    def outcome(state, reward, terminated, truncated, **unread):
        return {
            "state": state,
            "observation": autoreset.observation(state),
            "reward": reward,
            "ended": (terminated, truncated),
        }

    def program(carry, key):
        key, actions_key = ops.unstack(random.split(key), 2)
        carry, _ = backend.scan(step, carry, random.split(actions_key, num_steps))
        return carry, key

    def start(key):
        state = autoreset.initial(key, num_envs, stagger_starts=True)
        never = ops.zeros((num_envs,), dtype="bool")
        return outcome(state, ops.zeros((num_envs,)), never, never)

    compiled = backend.compile(program)
    key = random.key(0)
    last = [backend.compile(start)(key), key]

    def run():
        last[:] = backend.wait_until_ready(compiled(*last))
        return num_envs * num_steps

    return run


def _draw_actions(space, key, num_envs):
    """Uniformly random actions of all environments."""
    from keras import ops

    from keras_s5rl import random

    uniform = random.uniform(key, (num_envs, *space.shape))
    if isinstance(space, gymnasium.spaces.Box):
        return space.low + uniform * (space.high - space.low)
    sizes = space.n if isinstance(space, gymnasium.spaces.Discrete) else space.nvec
    return ops.cast(ops.floor(uniform * sizes.astype("float32")), "int32")


def _single_run(env_id, env_args, num_steps):
    """A function that takes `num_steps` steps in one environment of Gymnasium, or `None`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # popgym on its own labyrinths
            env = gymnasium.make(env_id, disable_env_checker=True, **env_args)
    except (ModuleNotFoundError, gymnasium.error.Error):
        return None
    env.action_space.seed(0)
    env.reset(seed=0)

    def run():
        env.reset()
        for _ in range(num_steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        return num_steps

    return run

"""`Simulator`: steps tasks of DeepMind Control on the host, in numpy."""

import copy
import os
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_s5rl.envs.mujoco import suite
from keras_s5rl.typing import Array


class Simulator:
    """Tasks of DeepMind Control as pure functions of numpy arrays, many rows of any of them a call.

    A row is an episode: the index of its task, the seed of all that is random in it, and the state
    of its physics. `start` and `step` give the same bits for the same row, whatever was computed
    before. They may be called from any thread.

    The physics are stepped by `mujoco.rollout` in a thread pool; observations and rewards are
    dm_control's own. Only the constraint solver's warm start is not part of the state: each step
    starts cold. The solver converges either way, so that a step is dm_control's to 1e-10 or better
    in contacts, and bit for bit where no constraint is active.

    A seed also decides parts of the model, such as a target's place. Models are made when a row
    first asks for them and kept as long as there is room: as many for each task as the largest
    number of different seeds that one call held.

    Args:
        tasks: Sequence of names, see `keras_s5rl.envs.mujoco.suite`.
        num_threads: Integer, threads that step; None for one a processor core.

    Attributes:
        state_size: Integer S, float64 numbers of the largest state.
        observation_sizes: Tuple of integers, of each task; O is the largest.
        action_bounds: Tuple of pairs of float64 arrays, the bounds of each task's actions.
        time_steps: Tuple of floats, seconds of a control step of each task.
    """

    def __init__(self, tasks: Sequence[str], num_threads: int | None = None) -> None:
        num_threads = (os.cpu_count() or 1) if num_threads is None else num_threads
        self._arguments = (tuple(tasks), num_threads)
        self._tasks = [_Task(name, num_threads) for name in tasks]
        from mujoco.rollout import Rollout

        # Without threads the pool steps where it is called.
        self._pool = Rollout(nthread=num_threads if num_threads > 1 else 0)
        self._lock = threading.Lock()
        self.state_size = max(task.state_size for task in self._tasks)
        self.observation_sizes = tuple(task.observation_size for task in self._tasks)
        self.action_bounds = tuple(task.action_bounds for task in self._tasks)
        self.time_steps = tuple(task.time_step for task in self._tasks)

    def __reduce__(self) -> tuple[Any, ...]:
        # Threads and MuJoCo's data stay here: a copy has its own.
        return Simulator, self._arguments

    def start(self, task: Array, seed: Array) -> Any:
        """Starts episodes as dm_control does with these seeds.

        Args:
            task: int32 array `(n,)`, indices into `tasks`.
            seed: int32 array `(n,)`, `0 <= seed`.

        Returns:
            `physics, outcome`. int32 `(n, 2 S)`: the float64 numbers of MuJoCo's state
            (`mjSTATE_FULLPHYSICS`), each as two words, zeros after the task's own; float32
            `(n, O + 1)`: the observation, zeros after it, and the reward, here 0.
        """
        physics, outcome = self._empty(len(task))
        with self._lock:
            for row in range(len(task)):
                source = self._tasks[task[row]]
                state, observation = source.start(int(seed[row]))
                physics[row, : source.state_size] = state
                outcome[row, : source.observation_size] = observation
        return physics.view("int32"), outcome

    def step(self, task: Array, seed: Array, physics: Array, control: Array) -> Any:
        """Takes one control step of each row's task.

        Args:
            task: int32 array `(n,)`.
            seed: int32 array `(n,)`, the seed that the row was started with.
            physics: int32 array `(n, 2 S)`.
            control: float32 array `(n, num_controls)` within the task's bounds; entries after the
                task's own are ignored.

        Returns:
            `physics, outcome`, as from `start`, the outcome with the reward of the step.
        """
        states = np.ascontiguousarray(physics).view("float64")
        physics, outcome = self._empty(len(task))
        with self._lock:
            for index in np.unique(task):
                source, rows = self._tasks[index], np.flatnonzero(task == index)
                state, observation, reward = source.step(
                    self._pool, seed[rows].tolist(), states[rows], control[rows]
                )
                physics[rows, : source.state_size] = state
                outcome[rows, : source.observation_size] = observation
                outcome[rows, -1] = reward
        return physics.view("int32"), outcome

    def _empty(self, num_rows: int) -> Any:
        physics = np.zeros((num_rows, self.state_size), "float64")
        outcome = np.zeros((num_rows, max(self.observation_sizes) + 1), "float32")
        return physics, outcome


class _Task:
    """One task: its models by seed, and the steps of any number of its rows."""

    def __init__(self, name: str, num_threads: int) -> None:
        env = suite.load(name)
        import mujoco

        self._mujoco = mujoco
        self._signature = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
        self._template = SimpleNamespace(physics=env.physics, task=env.task)
        self._loaded: dict[int, Any] = {}  # seed: episode, the one that was used longest ago first
        model = env.physics.model.ptr
        self._thread_data = [mujoco.MjData(model) for _ in range(num_threads)]
        self.time_step = env.control_timestep()
        self._num_substeps = round(self.time_step / env.physics.timestep())
        self.state_size = mujoco.mj_stateSize(model, self._signature)
        self.observation_size = _flat(env.reset().observation).size
        action = env.action_spec()
        self.action_bounds = action.minimum, action.maximum

    def start(self, seed: Array) -> Any:
        self._begin(self._template, seed)
        return self._state(self._template), self._observation(self._template)

    def step(self, pool: Any, seeds: Array, states: Array, controls: Array) -> Any:
        controls = controls[:, : self.action_bounds[0].size].astype("float64")
        episodes = self._episodes(seeds)
        history, sensors = pool.rollout(
            [episode.physics.model.ptr for episode in episodes],
            self._thread_data,
            states[:, : self.state_size],
            np.repeat(controls[:, None], self._num_substeps, axis=1),
        )
        observations, rewards = [], []
        for episode, control, state, sensor in zip(
            episodes, controls, history[:, -1], sensors[:, -1], strict=True
        ):
            physics, task = episode.physics, episode.task
            task.before_step(control, physics)
            physics.set_state(state, self._signature)
            # Sensors of forces are those of the last substep, as in dm_control; `mj_step1` brings
            # all others up to date.
            physics.data.sensordata[:] = sensor
            self._mujoco.mj_step1(physics.model.ptr, physics.data.ptr)
            task.after_step(physics)
            rewards.append(task.get_reward(physics))
            observations.append(self._observation(episode))
        return history[:, -1], np.stack(observations), rewards

    def _episodes(self, seeds: Array) -> list[Any]:
        """Returns the episode of each seed, its model as that seed makes it."""
        for seed in seeds:
            if seed in self._loaded:
                self._loaded[seed] = self._loaded.pop(seed)
        missing = [seed for seed in dict.fromkeys(seeds) if seed not in self._loaded]
        num_in_use = len(set(seeds)) - len(missing)
        for seed in missing:
            if len(self._loaded) > num_in_use:
                episode = self._loaded.pop(next(iter(self._loaded)))
            else:
                episode = SimpleNamespace(
                    physics=self._template.physics.copy(), task=copy.deepcopy(self._template.task)
                )
            self._begin(episode, seed)
            self._loaded[seed] = episode
            num_in_use += 1
        return [self._loaded[seed] for seed in seeds]

    def _begin(self, episode: Any, seed: int) -> None:
        # As `suite.load(..., task_kwargs={"random": seed}).reset()`.
        episode.task.random.seed(seed)
        with episode.physics.reset_context():
            episode.task.initialize_episode(episode.physics)

    def _state(self, episode: Any) -> Array:
        return episode.physics.get_state(self._signature)

    def _observation(self, episode: Any) -> Array:
        return _flat(episode.task.get_observation(episode.physics))


def _flat(observation: Any) -> Array:
    return np.concatenate([np.ravel(value) for value in observation.values()])

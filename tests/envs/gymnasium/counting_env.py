"""An environment of Gymnasium of which every reward and end is known."""

import gymnasium
import numpy as np
from gymnasium import spaces


class CountingEnv(gymnasium.Env):
    """Shows its clock and how long the episode will be, 1 to 4 steps; odd lengths terminate, even
    ones are truncated. A step pays 10 times the clock, and the action."""

    observation_space = spaces.Box(0.0, np.inf, (2,))
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length = 0, int(self.np_random.integers(1, 5))
        return self._show(), {}

    def step(self, action):
        assert self.time < self.length, "it steps past the end"
        assert self.action_space.contains(action)
        self.time += 1
        over, odd = self.time == self.length, self.length % 2 == 1
        reward = 10.0 * self.time + float(action)
        return self._show(), reward, over and odd, over and not odd, {}

    def _show(self):
        return np.array([self.time, self.length], "float32")


class MaskedEnv(CountingEnv):
    """Allows the actions up to the one numbered by the clock, and no other."""

    def reset(self, **options):
        observation, _ = super().reset(**options)
        return observation, self._info()

    def step(self, action):
        assert action <= self.time % 3, "the action is not allowed"
        return (*super().step(action)[:4], self._info())

    def _info(self):
        return {"action_mask": (np.arange(3) <= self.time % 3).astype("int8")}


class BrokenEnv(CountingEnv):
    """Fails in the 40th step of the process."""

    steps = 0

    def step(self, action):
        BrokenEnv.steps += 1
        if BrokenEnv.steps == 40:
            raise ZeroDivisionError("the sensor fell off")
        return super().step(action)


class UnresetEnv(CountingEnv):
    """Cannot be reset."""

    def reset(self, **options):
        raise OSError("no cable")

"""`HostLearner`: the PPO iteration in environments of Gymnasium."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ppo.learner import Learner


class HostLearner(Learner):
    """A `Learner` whose environments are stepped on the host, by a
    `keras_s5rl.envs.gymnasium.host_autoreset.HostAutoReset`.

    The state of a simulator is not in the learner's. Where the simulators are not where a state
    left them (it comes from a checkpoint, or an iteration failed in between), new episodes begin,
    whose seeds follow from the state: equal states go on alike.
    """

    environment: Any

    def compile(self, state: dict[str, Any]) -> Callable[..., Any]:
        """Returns `iterate` as one compiled function of states like this one.

        Raises:
            ValueError: As of `Learner`.
            EnvironmentFailedError: From the function, if an environment raised an exception.
        """
        host, restart = self.environment.host, backend.compile(self.environment.restarted)
        program = super().compile(state)

        def run(state: dict[str, Any]) -> Any:
            with host.failures_raised():
                environment = state["environment"]
                observation = ops.convert_to_numpy(environment["env"]["env"]["observation"])
                if not host.is_at(int(environment["num_steps"]), observation):
                    state = state | {"environment": restart(environment)}
                    if "returns" in state:  # those of the episodes under way are gone with them
                        returns = state["returns"]
                        zeros = ops.zeros_like(returns["return"])
                        state |= {"returns": returns | {"return": zeros}}
                return backend.wait_until_ready(program(state))

        return run

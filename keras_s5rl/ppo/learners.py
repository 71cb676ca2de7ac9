"""The learner that fits the environments."""

from typing import Any

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.autoreset import AutoReset
from keras_s5rl.envs.gymnasium.host_autoreset import HostAutoReset
from keras_s5rl.envs.gymnasium.host_environments import HostEnvironments
from keras_s5rl.models import Policy
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.host_learner import HostLearner
from keras_s5rl.ppo.learner import Learner


def make_learner(
    view: AgentView,
    policy: Policy,
    optimizer: Any,
    config: PPOConfig,
    env_args: dict[str, Any] | None = None,
) -> Learner:
    """Returns a `Learner` in the environments of an `AgentView`; a `HostLearner` where they are
    Gymnasium's. The other arguments are those of `Learner`."""
    if isinstance(view.env, HostEnvironments):
        return HostLearner(HostAutoReset(view), policy, optimizer, config, env_args)
    return Learner(AutoReset(view), policy, optimizer, config, env_args)

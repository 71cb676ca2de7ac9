"""Environments as an agent sees them."""

from keras_s5rl import envs
from keras_s5rl.envs.environment_check import check_unless_built_in
from keras_s5rl.training.checks import check_spaces


def agent_view(env, env_args=None, previous_action=True):
    """Returns `keras_s5rl.envs.AgentView` of an environment.

    Args:
        env: String, a registered environment, or an `Environment`.
        env_args: Dict of keyword arguments of an environment given by its name, or `None`.
        previous_action: Whether the agent sees its previous action. Defaults to `True`.

    Raises:
        ValueError: If the environment is not known or is none, see
            `keras_s5rl.envs.check_environment`, or is an object and there are `env_args`.
    """
    if isinstance(env, str):
        env = envs.make(env, **(env_args or {}))
    elif env_args:
        raise ValueError(
            "`env_args` are the arguments of an environment that is made by its name; give them to "
            f"the object yourself. Received: env_args={env_args} with env={name_of(env)}"
        )
    check_unless_built_in(env)
    return envs.AgentView(env, previous_action)


def view_for(policy, env, name):
    """Returns the view of an environment that a policy was made for.

    Args:
        policy: `keras_s5rl.models.ActorCritic`; its observation size tells whether it sees its
            previous action.
        env: `keras_s5rl.envs.Environment`.
        name: String, what the environment is called.

    Raises:
        ValueError: If the policy was not made for the spaces of `env`.
    """
    view, blind = envs.AgentView(env), envs.AgentView(env, previous_action=False)
    if blind.observation_space.shape == (policy.observation_size,):
        view = blind
    check_spaces(policy, view, name)
    return view


def name_of(env):
    """Returns what an environment is called: its registered name, or that of its class."""
    return env if isinstance(env, str) else type(env).__name__

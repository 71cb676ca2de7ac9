"""`untrained_policy`: what a trained policy is compared with."""

import keras

from keras_s5rl.models import Policy
from keras_s5rl.ppo.policy import make_policy
from keras_s5rl.training.given_policy import recorded_policy
from keras_s5rl.training.ppo import PPO


def untrained_policy(agent: PPO) -> Policy:
    """Returns a policy as the agent's was before its training; of one that was given to the agent,
    a new one of its configuration.

    Args:
        agent: `keras_s5rl.PPO`.

    Raises:
        ValueError: If the policy was given, and Keras cannot make it again.
    """
    if not agent.policy_is_given:
        return make_policy(
            agent.environment,
            agent.memory,
            agent.config,
            agent.seed,
            agent.memory_args,
            agent.encoder,
        )
    recorded = recorded_policy(agent.policy)
    policy = None if recorded is None else keras.saving.deserialize_keras_object(recorded)
    if not isinstance(policy, Policy):
        raise ValueError(
            "`policy` should have a `get_config`, and a class that is registered with Keras, for "
            "an untrained one to compare with can be made. "
            f"Received: policy={type(agent.policy).__name__}"
        )
    if not policy.built:
        policy(keras.KerasTensor((1, 1, policy.observation_size)))
    return policy

"""Ids of Gymnasium for the environments of the registry."""

import gymnasium

_PACKAGE = "keras_s5rl.envs.gymnasium"


def register_id(env: str) -> None:
    """Makes `gymnasium.make("keras_s5rl/<env>-v0")` and `make_vec` work, if they do not yet.

    The adapters are named, not imported: they import Keras.

    Args:
        env: String, the name of a registered environment.
    """
    env_id = f"keras_s5rl/{env}-v0"
    if env_id not in gymnasium.registry:
        gymnasium.register(
            env_id,
            entry_point=f"{_PACKAGE}.env:GymnasiumEnv",
            vector_entry_point=f"{_PACKAGE}.vector_env:GymnasiumVectorEnv",
            kwargs={"env": env},
        )

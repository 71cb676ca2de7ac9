"""Playing the policy in the environments."""

from typing import Any

from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.autoreset import AutoReset
from keras_s5rl.layers.derived_weights import DerivedWeights, hand_on
from keras_s5rl.models import Policy
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.typing import Tensor, Tensors


def collect_rollout(
    environment: AutoReset,
    policy: Policy,
    environment_state: Tensors,
    memory: list[Tensor],
    key: Tensor,
    config: PPOConfig,
) -> tuple[Tensors, list[Tensor], dict[str, Tensor]]:
    """Plays the policy for `config.num_steps` steps in every environment.

    Args:
        environment: `keras_s5rl.envs.AutoReset`.
        policy: `keras_s5rl.models.Policy`.
        environment_state: The state of `environment`.
        memory: Flat list of tensors `(num_envs, ...)`, the policy's memory.
        key: Key of `keras_s5rl.random`.
        config: `PPOConfig`.

    Returns:
        `(environment_state, memory, rollout)`. The rollout is a dict of tensors
        `(time, num_envs, ...)`: `observation`, `reset`, `action`, `log_prob`, `value`,
        `next_value`, `reward`, `discount`, `done`, and of each step `episode_ended`,
        `episode_return`, `episode_length` (of the episode so far); `task` where the configuration
        asks for it, and `valid` where there are steps that belong to no episode. `next_value` is
        the critic after the step in the same episode: at the final observation where a time limit
        cut the episode, and meaningless (and unused) where `discount` is 0.
    """

    def step(carry: Any, key: Tensor) -> Any:
        environment_state, memory = carry
        observation = environment.observation(environment_state)
        reset = environment_state["is_first"]
        parameters, value, memory = policy.step(observation, reset, memory, **derived)
        action = policy.distribution.sample(parameters, key)
        before = environment_state
        environment_state, transition = environment.step(environment_state, action)

        done = ops.logical_or(transition["terminated"], transition["truncated"])
        outputs = {
            "observation": observation,
            "reset": reset,
            "action": action,
            "log_prob": policy.distribution.log_prob(parameters, action),
            "value": value,
            "reward": transition["reward"],
            "discount": transition["discount"],
            "done": done,
            "episode_ended": transition["episode_ended"],
            "episode_return": transition["episode_return"],
            "episode_length": transition["episode_length"],
        }
        if "valid" in transition:
            outputs["valid"] = transition["valid"]
        if config.needs_tasks:
            outputs["task"] = _tasks(environment.env, before["env"], done)
        if config.treat_truncation_as_termination:
            outputs["discount"] = ops.where(done, 0.0, transition["discount"])
        else:
            cut = ops.logical_and(transition["truncated"], transition["discount"] > 0)
            final = transition["final_observation"]
            outputs["cut"] = cut
            outputs["final_value"] = _final_value(policy, final, memory, cut, value, derived)
        return (environment_state, memory), outputs

    keys = random.split(key, config.num_steps)
    derived = hand_on(DerivedWeights(policy), policy)
    carry, rollout = backend.packed_scan(step, (environment_state, memory), keys)
    environment_state, memory = carry

    # The critic behind the last step sees the next observation with its own reset flag; that memory
    # state is thrown away.
    _, last_value, _ = policy.step(
        environment.observation(environment_state), environment_state["is_first"], memory
    )
    following = ops.concatenate([rollout["value"][1:], last_value[None]], axis=0)
    rollout["next_value"] = following
    if not config.treat_truncation_as_termination:
        rollout["next_value"] = ops.where(rollout.pop("cut"), rollout.pop("final_value"), following)
    return environment_state, memory, rollout


def _tasks(env: Any, state: Tensors, done: Tensor) -> Tensor:
    """The task of each environment, 0 if the environment has but one."""
    return env.info(state)["task"] if env.tasks else ops.zeros_like(done, dtype="int32")


def _final_value(
    policy: Policy,
    final_observation: Tensor,
    memory: list[Tensor],
    cut: Tensor,
    value: Tensor,
    derived: dict[str, Any],
) -> Tensor:
    """The critic at the final observations, worked out only in steps in which a time limit cut
    an episode."""

    def evaluate() -> Tensor:
        _, final_value, _ = policy.step(final_observation, ops.zeros_like(cut), memory, **derived)
        return final_value

    return backend.cond(ops.any(cut), evaluate, lambda: ops.zeros_like(value))

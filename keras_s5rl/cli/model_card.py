"""The model card of a policy: what it plays, how well, how it was trained, how it is loaded."""

import textwrap
from typing import Any

from keras_s5rl.cli.run_command import command_of
from keras_s5rl.envs import registered_envs

_CARD = """\
---
library_name: keras
license: {license}
pipeline_tag: reinforcement-learning
tags:
- reinforcement-learning
- keras
- keras_s5rl
- {env_tag}
---

# {env}, {memory}

A policy for the environment `{env}`{env_args}, trained by PPO with keras_s5rl.
Its memory is `{memory}`. It has {num_parameters:,} parameters, and was trained for
{env_steps:,} environment steps.

## Scores

{scores}

## Use

```python
{use}
```

## Training

{command}

| setting | value |
| --- | --- |
{settings}

Versions: {versions}.

## Licence

{license}
"""
_LOAD = """\
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or "tensorflow", "torch"; before Keras is imported

{imports}
policy = keras.saving.load_model("hf://{repo}", compile=False)"""
_PLAY = """

env = gymnasium.make("{env_id}"{env_args})
player = keras_s5rl.Player(policy, env)
observation, info = env.reset(seed=0)
player.reset()
action = player.act(observation)"""
_NOT_SETTINGS = ("machine", "versions", "imports", "policy")


def model_card(
    repo: str,
    license: str,
    config: dict[str, Any],
    num_parameters: int,
    env_steps: int,
    report: dict[str, Any] | None,
) -> str:
    """Returns a model card as Markdown.

    Args:
        repo: String, `user/name` on the Hugging Face Hub.
        license: String, the identifier of a licence, such as `"apache-2.0"`.
        config: Dict, the contents of config.json of the run.
        num_parameters: Integer, of the policy.
        env_steps: Integer, environment steps of its training.
        report: Dict, the evaluation of this policy, or `None`.
    """
    env, env_args = config["env"], config["env_args"]
    settings = {name: value for name, value in config.items() if name not in _NOT_SETTINGS}
    return _CARD.format(
        license=license,
        env=env,
        env_tag=env.replace(":", "-").replace("/", "-"),
        env_args=f" with `{env_args}`" if env_args else "",
        memory=config["memory"],
        num_parameters=num_parameters,
        env_steps=env_steps,
        scores=_scores(report),
        use=_use(repo, config),
        command=textwrap.indent(command_of(config), "    "),
        settings="\n".join(f"| `{name}` | `{value}` |" for name, value in settings.items()),
        versions=", ".join(f"{name} {version}" for name, version in config["versions"].items()),
    )


def _scores(report: dict[str, Any] | None) -> str:
    if report is None:
        return "This policy was not evaluated."
    other = report["other_mode"]
    mode, other_mode = "most likely action", "action drawn from the policy"
    if not report["deterministic"]:
        mode, other_mode = other_mode, mode
    return f"""\
| | return | 95% interval over the episodes |
| --- | --- | --- |
| {mode} | {report["return_mean"]:.4f} | +- {report["return_ci95"]:.4f} |
| {other_mode} | {other["return_mean"]:.4f} | +- {other["return_ci95"]:.4f} |

{report["num_episodes"]} fresh episodes each; mean length {report["length_mean"]:.1f}."""


def _use(repo: str, config: dict[str, Any]) -> str:
    """Python that loads the policy, and plays it where a Gymnasium id has its environment."""
    env, modules = config["env"], ["keras", "keras_s5rl", *config["imports"]]
    env_id = env.removeprefix("gymnasium:") if env.startswith("gymnasium:") else None
    if env in registered_envs() and not config["imports"]:
        env_id = f"keras_s5rl/{env}-v0"
    play = ""
    if env_id is not None:
        arguments = "".join(f", {name}={value!r}" for name, value in config["env_args"].items())
        play = _PLAY.format(env_id=env_id, env_args=arguments)
        modules.append("gymnasium")
    imports = "".join(f"import {name}\n" for name in sorted(modules))
    return _LOAD.format(imports=imports, repo=repo) + play

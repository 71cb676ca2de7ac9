"""`--push_to_hub`: a policy and its model card on the Hugging Face Hub."""

import re
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.runs import RunDirectory, read_json

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_LICENSE = re.compile(r"[a-z0-9.-]+")


class PushError(RuntimeError):
    """What did not get to the Hub as a whole."""


def define_hub_flags(values: FlagValues) -> None:
    flags.DEFINE_string(
        "push_to_hub",
        None,
        "repository on the Hugging Face Hub, user/name, for the policy and a model card; made, for "
        "everybody to see, if there is none",
        flag_values=values,
    )
    flags.DEFINE_string(
        "hub_license",
        "apache-2.0",
        "licence of the policy, by its identifier on the Hub; goes with push_to_hub",
        flag_values=values,
    )


def check_hub(values: FlagValues) -> None:
    """Finds before the work that nothing could be pushed.

    Raises:
        UsageError: If the repository has no such name, the library or a token is missing.
    """
    repo = values.push_to_hub
    if repo is None:
        if values["hub_license"].present:
            raise UsageError(
                "`hub_license` goes with `push_to_hub`. "
                f"Received: hub_license={values.hub_license}, push_to_hub=None"
            )
        return
    if not _REPO.fullmatch(repo):
        raise UsageError(f"`push_to_hub` should be user/name. Received: push_to_hub={repo}")
    if not _LICENSE.fullmatch(values.hub_license):
        raise UsageError(
            "`hub_license` should be an identifier such as apache-2.0, mit or cc-by-4.0. "
            f"Received: hub_license={values.hub_license}"
        )
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError(
            '`push_to_hub` needs huggingface_hub: pip install "keras-s5rl[hub]". '
            f"Received: push_to_hub={repo}"
        ) from None
    if huggingface_hub.get_token() is None:
        raise UsageError(
            "`push_to_hub` needs a token that may write: log in with `hf auth login`, or set "
            f"HF_TOKEN. Received: push_to_hub={repo}"
        )


def push_to_hub(agent: Any, run: RunDirectory, config: dict[str, Any], values: FlagValues) -> str:
    """Pushes the policy of an agent with its model card; returns where it is.

    Raises:
        PushError: If that fails, for want of a network or the right to write.
    """
    import huggingface_hub

    from keras_s5rl.cli.model_card import model_card

    repo = values.push_to_hub
    report = read_json(run.evaluation_path) if run.evaluation_path.exists() else None
    if report is not None and report.get("update") != agent.update:
        report = None  # of another checkpoint
    if config["num_seeds"] > 1:
        report = None  # of all seeds
        config = {**config, "seed": values.policy_seed, "num_seeds": 1}
    card = model_card(
        repo, values.hub_license, config, agent.num_parameters, agent.env_steps, report
    )
    try:
        # Keras writes a card of its own, which ours replaces.
        agent.policy.save(f"hf://{repo}")
        huggingface_hub.HfApi().upload_file(
            path_or_fileobj=card.encode(),
            path_in_repo="README.md",
            repo_id=repo,
            commit_message="Add the model card.",
        )
    except Exception as error:  # of the library, of its HTTP client, of the system
        raise PushError(
            f"`push_to_hub` did not get all to the Hub ({type(error).__name__}: "
            f"{str(error).strip().rstrip('.')}). The run is as it was; the same command tries "
            f"again. Received: push_to_hub={repo}"
        ) from error
    return f"https://huggingface.co/{repo}"

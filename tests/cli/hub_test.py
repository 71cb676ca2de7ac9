"""Policies on the Hugging Face Hub, with a stand-in that keeps what is uploaded in a folder."""

import json
import re
import shutil
import sys
import types

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, Player
from keras_s5rl.cli import export_policy
from keras_s5rl.cli.model_card import model_card
from tests.support.fake_trackers import module
from tests.support.small_runs import run_settings

SETTINGS = {"format_version": 5, "imports": [], "versions": {"keras": "3.12"}}


class Hub:
    """A `huggingface_hub` with one repository, which is a folder."""

    def __init__(self, folder, token="made-up", error=None):
        self.folder, self.token, self.error, self.repos = folder, token, error, []

    def create_repo(self, repo, exist_ok):
        self.repos.append(repo)
        return types.SimpleNamespace(repo_id=repo)

    def upload_folder(self, repo_id, folder_path, commit_message):
        if self.error is not None:
            raise self.error
        shutil.copytree(folder_path, self.folder, dirs_exist_ok=True)

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id, commit_message):
        (self.folder / path_in_repo).write_bytes(path_or_fileobj)

    def install(self, monkeypatch):
        package = module(
            "huggingface_hub",
            HfApi=lambda **library: self,
            get_token=lambda: self.token,
        )
        monkeypatch.setitem(sys.modules, "huggingface_hub", package)
        # Keras has looked for the library when it was imported.
        from keras.src.saving import saving_lib

        monkeypatch.setattr(saving_lib, "huggingface_hub", package)
        return self


def export(*flags):
    return export_policy.main(["export_policy.py", *flags])


@pytest.mark.slow
@pytest.mark.jax_alone
def test_a_policy_on_the_hub_plays_as_the_agent_by_what_its_card_says(
    trained, tmp_path, monkeypatch, capsys
):
    hub = Hub(tmp_path / "repo").install(monkeypatch)
    assert export(f"--run_dir={trained[0]}", "--push_to_hub=me/policy", "--hub_license=mit") == 0
    assert "https://huggingface.co/me/policy" in capsys.readouterr().out
    assert hub.repos == ["me/policy"]
    card = (hub.folder / "README.md").read_text()
    assert card.startswith("---\n") and "\nlicense: mit\n" in card
    report = json.loads((trained[0] / "evaluation.json").read_text())
    assert f"| {report['return_mean']:.4f} | +- {report['return_ci95']:.4f} |" in card
    (use,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert 'load_model("hf://me/policy"' in use  # for which Keras asks for TensorFlow
    names = {}
    exec(use.replace("hf://me/policy", str(hub.folder)), names)
    agent = PPO.load(trained[0])
    expected = Player(agent.policy, names["env"])
    for one, other in zip(names["policy"].weights, agent.policy.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), np.asarray(other.value))
    assert names["action"] == expected.act(names["observation"])


@pytest.mark.slow
@pytest.mark.jax_alone
def test_without_a_network_the_error_is_one_line(trained, tmp_path, monkeypatch, capsys):
    Hub(tmp_path / "repo", error=ConnectionError("Name not known.\nTry again.")).install(
        monkeypatch
    )
    assert export(f"--run_dir={trained[0]}", "--push_to_hub=me/policy") == 1
    error = capsys.readouterr().err
    assert "(ConnectionError: Name not known. Try again)" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--push_to_hub=policy", "`push_to_hub` should be user/name"),
        ("--push_to_hub=me/policy", "log in with `hf auth login`"),
        ("--push_to_hub=me/policy --hub_license=MIT+", "`hub_license` should be an identifier"),
        ("--output=policy --hub_license=mit", "`hub_license` goes with `push_to_hub`"),
        ("", "`output` should name a file or a folder, or `push_to_hub`"),
    ],
)
def test_a_mistake_is_found_before_the_run_is_read(flags, expected, tmp_path, monkeypatch, capsys):
    Hub(tmp_path / "repo", token=None).install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert export("--run_dir=runs/none", *flags.split()) == 2
    error = capsys.readouterr().err
    assert expected in error and "Received: " in error and error.count("\n") == 1


def test_without_the_library_the_error_names_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert export("--run_dir=runs/none", "--push_to_hub=me/policy") == 2
    assert 'pip install "keras-s5rl[hub]"' in capsys.readouterr().err


def test_a_card_without_a_score_says_so_and_one_of_an_own_environment_imports_it():
    config = SETTINGS | run_settings(env="Own", imports=["my_envs"], memory="s5")
    card = model_card("me/policy", "mit", config, 1234, 5678, None)
    assert "This policy was not evaluated." in card and "import my_envs" in card
    assert "gymnasium" not in card and "1,234 parameters" in card and "--import=my_envs" in card

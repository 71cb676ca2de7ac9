"""README and the pages in docs: what they show runs as printed, and they leave nothing out."""

import dataclasses
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import benchmark, reproduce
from keras_s5rl.cli import (
    command,
    compare,
    evaluate,
    export_policy,
    plot,
    probe,
    report,
    sweep,
    train,
)
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags
from keras_s5rl.envs import registry
from keras_s5rl.models import memory_settings, registered_memories
from keras_s5rl.ppo.config import PPOConfig
from tests.support.small_runs import EVALUATION_METRICS, METRICS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
}
SNIPPETS = {
    name: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, text in PAGES.items()
}
COMMANDS = sorted(
    {
        found
        for text in PAGES.values()
        for found in re.findall(r"^    python launch/(\w+)\.py (.*)$", text, re.MULTILINE)
    }
)
DEFINE_FLAGS = {
    "train": train.define_flags,
    "evaluate": evaluate.define_flags,
    "plot": plot.define_flags,
    "compare": compare.define_flags,
    "probe": probe.define_flags,
    "report": report.define_flags,
    "sweep": sweep.define_flags,
    "export_policy": export_policy.define_flags,
    "benchmark": benchmark.define_flags,
    "reproduce": reproduce.define_flags,
}
PARTS = ("", ".layers", ".models", ".models.settings", ".envs", ".ppo", ".training", ".ops")
FAST = ("docs/how_to/compare.md", "docs/how_to/memory.md")


@pytest.fixture(scope="module")
def hooks():
    """What MkDocs takes from the sources."""
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "generate" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(name, *arguments):
    if "--" in arguments:  # behind it stand flags of train
        end = arguments.index("--")
        parse("train", *arguments[end + 1 :])
        arguments = arguments[:end]
    more = MemoryFlags(lambda values: values.memory) if name == "train" else None
    positional = "run_dir" if name in ("compare", "report") else None
    return command.parse_flags(DEFINE_FLAGS[name], [name, *arguments], more, positional)


@pytest.mark.usefixtures("registries_as_before")
@pytest.mark.filterwarnings("ignore:The `native_serialization` parameter:DeprecationWarning")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page in FAST else pytest.mark.slow)
        for page, snippets in SNIPPETS.items()
        if snippets
    ],
)
def test_the_snippets_of_a_page_run_as_printed_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for snippet in SNIPPETS[page]:
        exec(compile(snippet, page, "exec"), namespace)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_the_layer_in_readme_runs_on_the_other_backends(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed.")
    (snippet,) = [snippet for snippet in SNIPPETS["README.md"] if "resets" in snippet]
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", snippet],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", [page for page, snippets in SNIPPETS.items() if snippets])
def test_the_first_snippet_of_a_page_chooses_the_backend_before_keras_is_imported(page):
    first = SNIPPETS[page][0]
    assert first.startswith('import os\n\nos.environ.setdefault("KERAS_BACKEND", "jax")'), page


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_commands_have_the_flags_that_the_pages_give_them(name, arguments):
    arguments = re.sub(r"\$\w+", "0", arguments.split(" #")[0].replace("$memory", "gru"))
    if "--import=" not in arguments:  # a module of the reader's, with flags of its own
        parse(name, *shlex.split(arguments))


@pytest.mark.parametrize(
    "preset", sorted((ROOT / "launch" / "presets").glob("*.flags")), ids=lambda p: p.name
)
def test_presets_describe_a_valid_configuration_and_are_listed(preset):
    values = parse("train", f"--flagfile={preset}")
    config = config_from_flags(values)
    assert memory_args_from_flags(values, values.memory)
    assert config.num_updates(values.total_steps) > 0
    assert f"| `{preset.name}` |" in PAGES["docs/reference/presets.md"]


def anchors(page, hooks):
    """What a link into a page can point to."""
    text = hooks.on_page_markdown(PAGES[page])
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = [
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in headings
    ]
    return {*slugs, *re.findall(r"^::: (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_what_is_there(page, hooks):
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if page != "README.md":  # what is outside of docs is not on the site
            assert target.is_relative_to(DOCS), link
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT)), hooks), link


@pytest.mark.parametrize("part", [*PARTS, ".random"])
def test_every_public_name_has_an_entry_and_a_docstring(part, hooks):
    name = f"keras_s5rl{part}"
    module = importlib.import_module(name)
    text = "".join(hooks.on_page_markdown(PAGES[page]) for page in PAGES if "/api/" in page)
    entries = re.findall(r"^::: (.*)$", text, re.MULTILINE)
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == name]
    for public in getattr(module, "__all__", own):
        value = getattr(module, public)
        if public.startswith("_") or type(value) is type(importlib):
            continue
        assert f"{name}.{public}" in entries
        assert value.__doc__


def test_every_flag_is_in_the_reference_with_its_meaning(hooks):
    text = hooks.on_page_markdown(PAGES["docs/reference/flags.md"])
    settings = [(field.name, field.metadata["setting"]) for field in dataclasses.fields(PPOConfig)]
    for memory in registered_memories():
        settings += memory_settings(memory).items()
    for name, setting in settings:
        meanings = re.findall(rf"^\| `--{name}` \|.*\| (.*) \|$", text, re.MULTILINE)
        assert any(meaning.startswith(setting.help) for meaning in meanings), name
    for name in DEFINE_FLAGS:
        for flag in parse(name):
            assert f"| `--{flag}` |" in text or flag in ("help", "h"), flag


def test_every_metric_is_in_the_reference():
    listed = re.findall(r"^\| `(\w+)` \|", PAGES["docs/reference/metrics.md"], re.MULTILINE)
    assert {*METRICS, *EVALUATION_METRICS} <= set(listed)


def test_every_environment_is_in_the_reference():
    # Other tests register environments of their own.
    families = {re.sub(r"(Easy|Medium|Hard)$", "", name) for name in registry._BUILT_IN}
    text = PAGES["docs/reference/environments.md"]
    assert {family for family in families if f"`{family}`" not in text} == set()


def test_every_memory_is_in_the_reference():
    listed = re.findall(r"^\| `(\w+)` \|", PAGES["docs/reference/memories.md"], re.MULTILINE)
    assert sorted(listed) == sorted(registered_memories())

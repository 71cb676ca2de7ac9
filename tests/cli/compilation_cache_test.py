import os

import keras
import pytest
from keras_s5rl.cli.compilation_cache import use_compilation_cache

from tests.small_runs import FLAGS, STEPS, metrics_of

VARIABLES = [
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
]


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A user's cache folder, and nothing said about it."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_the_users_and_one_of_this_kind_of_processor(home):
    use_compilation_cache()
    (folder,) = (home / "keras_s5rl").iterdir()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def test_a_folder_that_was_named_stays(home, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    use_compilation_cache()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert not any(home.iterdir())


def test_where_no_folder_can_be_made_nothing_is_kept(home):
    (home / "keras_s5rl").write_text("a file in the way")
    use_compilation_cache()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


@pytest.mark.skipif(keras.config.backend() != "jax", reason="JAX keeps compiled programs.")
def test_a_second_run_compiles_nothing_and_is_the_same_run(run, home):
    environment = {**dict.fromkeys(VARIABLES), "XDG_CACHE_HOME": str(home)}
    arguments = [*FLAGS, "--env=RepeatPreviousEasy", f"--total_steps={2 * STEPS}"]
    kept, runs = [], []
    for name in ("first", "second"):
        folder = home / name
        status, _, stderr = run("train", *arguments, f"--run_dir={folder}", environment=environment)
        assert status == 0 and "cache" not in stderr, stderr
        kept.append({path.name for path in (home / "keras_s5rl").rglob("*-cache")})
        runs.append(metrics_of(folder))
    assert kept[0] == kept[1] and len(kept[0]) > 5
    assert runs[0] == runs[1]

"""Programs that JAX keeps for later processes."""

import os
import subprocess
import sys

import keras
import pytest

if keras.config.backend() != "jax":
    pytest.skip("Only JAX keeps compiled programs.", allow_module_level=True)

import jax
from jax.experimental.compilation_cache import compilation_cache

from keras_s5rl.backend.jax_compilation_cache import use_compilation_cache

NAMES = [
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
    "jax_enable_compilation_cache",
]
# Trains, scores and acts in Python; then says what it compiled, and did not find in the cache.
PROGRAM = """
import jax
from jax import monitoring
missed = []
monitoring.register_event_listener(
    lambda event, **unused: missed.append(event) if event.endswith("/cache_misses") else None
)
jax.numpy.zeros(3).block_until_ready()  # JAX has compiled something before
from keras_s5rl import PPO, PPOConfig
config = PPOConfig(num_envs=4, num_steps=8, num_minibatches=1, width=8, encoder_sizes=())
agent = PPO("RepeatPreviousEasy", memory="mlp", config=config)
agent.fit(64, verbose=False)
agent.evaluate(2)
agent.policy.act([[0.0] * 10], [True], [])
print(len(missed), jax.config.jax_compilation_cache_dir)
"""


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A user's cache folder, and no setting about it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = {name: getattr(jax.config, name) for name in NAMES}
    for name in NAMES[1:3]:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in zip(NAMES, (None, 1.0, 0, True), strict=True):
        jax.config.update(name, value)
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def use():
    use_compilation_cache.__wrapped__()  # what is done once in a process


def test_the_folder_is_the_users_and_one_of_this_kind_of_processor(home):
    use()
    (folder,) = (home / "keras_s5rl").iterdir()
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    assert jax.config.jax_persistent_cache_min_entry_size_bytes == -1


def test_a_folder_that_was_named_stays(home):
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    use()
    assert jax.config.jax_compilation_cache_dir == "elsewhere" and not any(home.iterdir())
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 1.0


def test_a_cache_that_is_turned_off_stays_off(home):
    jax.config.update("jax_enable_compilation_cache", False)
    use()
    assert jax.config.jax_compilation_cache_dir is None and not any(home.iterdir())


def test_what_the_user_says_is_worth_keeping_stays(home, monkeypatch):
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1.0")
    use()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 1.0


def test_where_no_folder_can_be_made_nothing_is_kept(home):
    (home / "keras_s5rl").write_text("a file in the way")
    use()
    assert jax.config.jax_compilation_cache_dir is None


@pytest.mark.slow
def test_a_second_process_of_python_compiles_nothing_and_importing_keeps_nothing(tmp_path):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in {n.upper() for n in NAMES} and name != "JAX_COMPILATION_CACHE_DIR"
    }
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}

    def run(program):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    run("import keras_s5rl, keras_s5rl.training, keras_s5rl.layers")
    assert not (tmp_path / "keras_s5rl").exists()
    (first, folder), (second, again) = run(PROGRAM), run(PROGRAM)
    assert folder == again and folder.startswith(str(tmp_path))
    assert int(first) > 3 and int(second) == 0

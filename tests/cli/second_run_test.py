"""Commands keep compiled programs in the user's cache folder."""

import keras
import pytest

from tests.support.small_runs import FLAGS, STEPS, metrics_of

pytestmark = pytest.mark.slow

VARIABLES = [
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
]


@pytest.mark.skipif(keras.config.backend() != "jax", reason="JAX keeps compiled programs.")
def test_a_second_run_compiles_nothing_and_is_the_same_run(run, tmp_path):
    environment = {**dict.fromkeys(VARIABLES), "XDG_CACHE_HOME": str(tmp_path)}
    arguments = [*FLAGS, "--env=RepeatPreviousEasy", f"--total_steps={2 * STEPS}"]
    kept, runs = [], []
    for name in ("first", "second"):
        folder = tmp_path / name
        status, _, stderr = run("train", *arguments, f"--run_dir={folder}", environment=environment)
        assert status == 0 and "cache" not in stderr, stderr
        kept.append({path.name for path in (tmp_path / "keras_s5rl").rglob("*-cache")})
        runs.append(metrics_of(folder))
    assert kept[0] == kept[1] and len(kept[0]) > 5
    assert runs[0] == runs[1]

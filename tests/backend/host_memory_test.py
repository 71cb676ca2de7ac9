"""Memory that is left, and what a program takes."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.backend import host_memory

MEMINFO = "MemTotal: 2000 kB\nMemAvailable:    1000 kB\nSwapFree: 24 kB\nHugePages_Total: 0\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Files of a machine, which can be added to."""
    monkeypatch.setattr(host_memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(host_memory, "_CGROUPS", tmp_path / "cgroup")

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


def test_without_limits_it_is_that_of_the_machine(machine):
    machine("proc/meminfo", MEMINFO)
    machine("cgroup/memory.max", "max\n")
    assert host_memory.available_memory() == 1024 * 1024


@pytest.mark.parametrize("folder", ["", "/outer", "/outer/inner"])
def test_a_container_and_those_around_it_have_their_say(folder, machine):
    machine("proc/meminfo", MEMINFO)
    machine("proc/self/cgroup", "0::/outer/inner\n")
    machine(f"cgroup{folder}/memory.max", "5000\n")
    machine(f"cgroup{folder}/memory.current", "1500\n")
    assert host_memory.available_memory() == 3500


def test_a_container_of_the_first_version_has_its_say(machine):
    machine("proc/meminfo", MEMINFO)
    machine("cgroup/memory/memory.limit_in_bytes", "700\n")
    machine("cgroup/memory/memory.usage_in_bytes", "100\n")
    assert host_memory.available_memory() == 600


def test_without_a_source_it_is_unknown(machine):
    assert host_memory.available_memory() is None


def test_a_limit_of_the_address_space_counts():
    program = (
        "import resource, importlib.util as u\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30,) * 2)\n"
        f"s = u.spec_from_file_location('m', {host_memory.__file__!r}); m = u.module_from_spec(s)\n"
        "s.loader.exec_module(m); left = m.available_memory(); print(left)\n"
        "bytearray(left // 2); assert m.available_memory() <= left"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and 0 < int(done.stdout) < 2**30, done.stderr


@pytest.mark.skipif(keras.config.backend() != "jax", reason="Only JAX knows.")
def test_the_memory_of_a_program_is_what_it_takes_beside_its_arguments():
    program = backend.compile(lambda x: ops.sort(ops.tile(x, 100)))
    needed = backend.memory_needed(program, np.zeros(1000, "float32"))
    assert 400_000 <= needed <= 4_000_000


def test_an_error_that_says_so_is_known_as_such():
    assert backend.ran_out_of_memory(MemoryError())
    assert not backend.ran_out_of_memory(ValueError("`num_envs` should be positive"))

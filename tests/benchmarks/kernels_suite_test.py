"""What a program launches on a GPU, counted in the program."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks.gpu_programs import launches

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A step of a loop has two kernels of its own and one behind a call, a copy and a branch; beside the
# loop are a kernel and a copy.
PROGRAM = """HloModule jit_f, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%fused_add (param_0: f32[4]) -> f32[4] {
  %param_0 = f32[4]{0} parameter(0)
  ROOT %add = f32[4]{0} add(%param_0, %param_0)
}

%called (p.1: f32[4]) -> f32[4] {
  %p.1 = f32[4]{0} parameter(0)
  ROOT %fusion.3 = f32[4]{0} fusion(%p.1), kind=kLoop, calls=%fused_add
}

%branch (p.2: f32[4]) -> f32[4] {
  ROOT %p.2 = f32[4]{0} parameter(0)
}

%body (state: (s32[], f32[4])) -> (s32[], f32[4]) {
  %state = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  %value = f32[4]{0} get-tuple-element(%state), index=1
  %fusion.1 = f32[4]{0} fusion(%value), kind=kLoop, calls=%fused_add
  %gemm = (f32[4]{0}, s8[16]{0}) custom-call(%fusion.1), custom_call_target="__cublas$gemm"
  %call = f32[4]{0} call(%fusion.1), to_apply=%called
  %copy.1 = f32[4]{0} copy(%call)
  %choice = f32[4]{0} conditional(%p, %copy.1, %copy.1), true_computation=%branch
  ROOT %tuple = (s32[], f32[4]{0}) tuple(%i, %choice)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %fusion.2 = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused_add
  %while = (s32[], f32[4]{0}) while(%t), body=%body, backend_config={"known_trip_count":{"n":"7"}}
  ROOT %copy.2 = f32[4]{0} copy(%result)
}
"""


class Compiled:
    def as_text(self):
        return PROGRAM


def test_what_a_step_of_a_loop_launches_is_counted_apart_from_what_lies_beside_it():
    assert launches(Compiled()) == {
        "1": {"kernels": 1, "copies": 1},
        "7": {"kernels": 3, "copies": 1, "conditionals": 1},
    }


@pytest.mark.slow
@pytest.mark.jax_alone
@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None, reason="The extra cuda is not installed."
)
def test_an_iteration_of_the_papers_size_launches_few_kernels_on_an_h200():
    program = [sys.executable, ROOT / "launch" / "benchmark.py", "--suite=kernels", "--only=s5"]
    child = subprocess.run([*program, "--json=-"], stdout=subprocess.PIPE, check=True)
    counts = json.loads(child.stdout)["results"]["s5"]
    # Before outputs, weights and optimizer lay side by side: 59, 3 and 320.
    assert counts["step_kernels"] <= 48 and counts["step_conditionals"] <= 2
    assert counts["minibatch_kernels"] <= 255
    assert set(counts["loops"]["update"]) == {"1", "240"}  # advantages are a kernel, not a loop

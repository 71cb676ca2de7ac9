"""Workers of a sweep as jobs, on a stand-in for submitit and on its executor for one machine."""

import json
import os
import re
import signal
import sys
import time
import types
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="The extra `sweep` is not installed.")

from keras_s5rl.cli import sweep, sweep_slurm, sweep_trial
from tests.support.fake_trackers import module
from tests.support.pretended_training import PRETENDED

pytestmark = pytest.mark.usefixtures("pretended_trainings")

GRID = ["--sampler=grid", "--param=width:30,45", "--sweep_dir=runs/sweep"]


class AutoExecutor:
    """Keeps what it is given; a job runs when `run` is called."""

    made = []

    def __init__(self, folder, cluster, slurm_max_num_timeout):
        self.folder, self.cluster, self.parameters, self.jobs = folder, cluster, {}, []
        AutoExecutor.made.append(self)

    def update_parameters(self, **parameters):
        if "gpu" in parameters:
            raise NameError("Parameter 'gpu' is unknown.")
        self.parameters |= parameters

    def submit(self, job):
        if self.parameters.get("slurm_partition") == "nowhere":
            raise RuntimeError("sbatch: error: invalid partition specified: nowhere")
        self.jobs.append(job)
        paths = types.SimpleNamespace(folder=self.folder)
        return types.SimpleNamespace(job_id=f"job-{len(self.jobs)}", paths=paths)


@pytest.fixture
def cluster(monkeypatch):
    AutoExecutor.made.clear()
    helpers = module("submitit.helpers", Checkpointable=object)
    fake = module("submitit", AutoExecutor=AutoExecutor, helpers=helpers)
    monkeypatch.setitem(sys.modules, "submitit", fake)


def run_sweep(*flags):
    return sweep.main(["sweep.py", *flags])


def test_workers_are_submitted_and_each_works_on_the_sweep(cluster, capsys):
    arguments = json.dumps({"gpus_per_node": 1, "slurm_account": "mine"})
    flags = ["--slurm_workers=2", "--slurm_partition=short", f"--slurm_args={arguments}"]
    assert run_sweep(*GRID, "--slurm", *flags, "--", "--env=RepeatFirstEasy") == 0
    (executor,) = AutoExecutor.made
    assert executor.cluster == "slurm" and executor.folder == Path("runs/sweep/slurm")
    assert executor.parameters == {
        **{"name": "keras_s5rl_sweep", "timeout_min": 240, "slurm_partition": "short"},
        **{"gpus_per_node": 1, "slurm_account": "mine"},
    }
    assert "submitted job-1, job-2" in capsys.readouterr().out
    assert [path.name for path in Path("runs/sweep").iterdir()] == ["sweep.json"]
    first, second = executor.jobs
    first()
    assert len(capsys.readouterr().out.splitlines()) == 3  # two trials and the picture
    second()  # nothing is left to do
    assert len(list(Path("runs/sweep").glob("trial_*"))) == 2


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--slurm_workers=2", "`slurm_workers` goes with `slurm`"),
        ("--slurm --slurm_args=[1]", "`slurm_args` should be a JSON object"),
        ('--slurm --slurm_args={"gpu":1}', "Parameter 'gpu' is unknown"),
        ('--slurm --slurm_args={"timeout_min":1}', "none of which is a flag of its own"),
        ("--slurm --param=width:4", "should name each flag once"),
    ],
)
def test_a_mistake_is_found_before_anything_is_submitted(cluster, flags, expected, capsys):
    assert run_sweep(*GRID, *flags.split()) == 2
    error = capsys.readouterr().err
    assert expected in error and "Received: " in error and error.count("\n") == 1
    assert os.listdir() == [] and not any(executor.jobs for executor in AutoExecutor.made)


def test_what_the_cluster_says_to_a_job_that_it_refuses_is_one_line(cluster, capsys):
    assert run_sweep(*GRID, "--slurm", "--slurm_partition=nowhere") == 2
    error = capsys.readouterr().err
    assert "(sbatch: error: invalid partition specified: nowhere)" in error
    assert error.count("\n") == 1


def test_without_submitit_the_error_names_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert run_sweep(*GRID, "--slurm") == 2
    assert 'pip install "keras-s5rl[slurm]"' in capsys.readouterr().err


def work_as_pretended():
    """The work of a job; a function of a function, for the job cannot import this file."""

    def work(argv, trained=PRETENDED):
        from keras_s5rl.cli import sweep

        sweep_trial._TRAIN = trained
        return sweep._work_in_job(argv)

    return work


def started(folder):
    files = sorted(folder.glob("trial_*/starts"))
    return {file.parent.name: file.read_text().split() for file in files}


@pytest.mark.slow
@pytest.mark.jax_alone
def test_a_preempted_job_goes_on_with_its_trial():
    submitit = pytest.importorskip("submitit", reason="The extra `slurm` is not installed.")
    argv = ["sweep.py", "--sampler=grid", "--param=width:7,40", "--sweep_dir=runs/sweep"]
    executor = submitit.AutoExecutor(folder="jobs", cluster="local")
    executor.update_parameters(timeout_min=5)
    (job,) = sweep_slurm.submit_workers(executor, 1, work_as_pretended(), argv)
    folder = Path("runs/sweep")
    while not (folder / "trial_0000" / "config.json").exists():
        assert job.state == "RUNNING", job.stderr()
        time.sleep(0.05)
    (parent,) = re.findall(r"job_id=(\d+)", job.stdout())  # of the process that does the work
    (worker,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(worker), signal.SIGUSR2)  # what Slurm sends
    while started(folder)["trial_0000"] != ["False", "True"]:
        assert job.state == "RUNNING", job.stderr()
        time.sleep(0.05)
    Path("go").touch()
    assert job.result() is None
    assert started(folder) == {"trial_0000": ["False", "True"], "trial_0001": ["False"]}

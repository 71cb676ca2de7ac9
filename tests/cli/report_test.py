"""The command that writes reports, and the page in a browser where there is one."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_s5rl.cli import command, report, train
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.run_command import command_of
from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import RunDirectory, read_metrics
from tests.support.report_pages import Page
from tests.support.small_runs import run_settings, small_config

# Added to a page in front of its script and behind it.
WATCH = """<script>
const errors = [];
window.addEventListener("error", (event) => errors.push(event.message));
document.addEventListener("securitypolicyviolation", ({ violatedDirective }) =>
  errors.push(violatedDirective));
console.error = console.warn = (...words) => errors.push(words.join(" "));
</script>"""
PLAY = """<script>
const steps = [], pictures = new Set(), find = (id) => document.getElementById(id);
const look = () => {
  steps.push(Number(find("step").value));
  pictures.add(find("picture").src);
};
look();
find("play").click();
const timer = setInterval(look, 50);
setTimeout(() => {
  clearInterval(timer);
  const blank = [...document.querySelectorAll("canvas")].filter((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return !data.some((byte) => byte);
  });
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  const seen = { errors, steps, pictures: pictures.size, blank: blank.length, wide,
    now: find("now").textContent, label: find("play").getAttribute("aria-label") };
  document.body.innerHTML = "";
  document.body.append("SEEN" + JSON.stringify(seen) + "END");
}, 2000);
</script>"""


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Makes a run directory with a score and three updates."""
    monkeypatch.chdir(tmp_path)

    def make(name, **settings):
        run = RunDirectory.create(tmp_path / name, run_settings(**settings))
        run.write_evaluation({"return_mean": 0.5, "return_ci95": 0.25, "num_episodes": 8})
        rows = [
            {"update": i, "env_steps": 128 * i, "episode_return_mean": 0.125 * i, "wall_time_s": i}
            for i in range(1, 4)
        ]
        run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run.release()
        return name

    return make


def write(capsys, *arguments):
    """Calls the command; returns the page that it wrote."""
    assert report.main(["report.py", *arguments]) == 0, capsys.readouterr().err
    path = capsys.readouterr().out.strip()
    with open(path, encoding="utf-8") as file:
        return Page(file.read())


def test_it_shows_scores_settings_and_commands_of_all_runs(make_run, capsys):
    runs = [
        make_run("a", memory="s5", memory_args={"state_size": 8}),
        make_run("b", memory="gru", seed=1),
    ]
    page = write(capsys, *runs, "--noplay")
    assert [row[:3] for row in page.tables["scores"][1:]] == [
        ["s5", "0", "0.500 ± 0.250"],
        ["gru", "1", "0.500 ± 0.250"],
    ]
    assert page.numbers["scores"][1] == [0.5, 0.25, 8, 0.375, 384, 3]
    assert page.tables["differing"] == [
        ["setting", "s5", "gru"],
        ["memory", "s5", "gru"],
        ["seed", "0", "1"],
        ["state_size", "8", "–"],
    ]
    assert ["encoder_sizes", "16"] in page.tables["common"]
    assert len(page.commands) == 2 and "--memory=gru" in page.commands[1]
    assert page.episode == {} and "An episode" not in page.headings


def test_flags_and_folders_may_be_given_in_any_order(make_run, capsys):
    runs = [make_run("a", seed=0), make_run("b", seed=1)]
    first = write(capsys, "--output=c.html", *runs, "--noplay", "--title=Two <seeds>")
    named = [f"--run_dir={run}" for run in runs]
    assert write(capsys, *named, "--noplay", "--title=Two <seeds>").tables == first.tables
    assert first.tables["differing"] == [["setting", "mlp", "mlp"], ["seed", "0", "1"]]


def test_the_command_trains_with_the_settings_of_the_run():
    settings = run_settings(
        **{"env": "projected_cartpole", "env_args": {"num_trials": 2, "same_start": False}},
        **{"memory": "s5", "memory_args": {"state_size": 8, "norm": None, "dt_min": 0.01}},
        **{"seed": 4, "num_seeds": 2, "total_steps": 12_345, "log_every": 3, "imports": ["json"]},
        **{"anneal_learning_rate": False, "stagger_starts": True, "value_clip": 0.3},
        **{"encoder_sizes": (), "max_grad_norm": 1e-7, "eval_every": 5},
    )
    config = json.loads(json.dumps(settings))
    shell = "".join(f"printf '%s\\0' {command_of(config).partition('train.py')[2]}")
    arguments = subprocess.run(["sh", "-c", shell], capture_output=True, check=True, text=True)
    argv = ["train.py", *arguments.stdout.split("\0")[:-1]]
    values = command.parse_flags(train.define_flags, argv, MemoryFlags(lambda v: v.memory))
    assert config_from_flags(values) == PPOConfig.from_settings(config)
    assert memory_args_from_flags(values, "s5") == {
        **{"state_size": 8, "norm": None, "dt_min": 0.01, "block_activation": "full_glu"},
        **{"clip_eigenvalues": True, "dt_max": 0.1},
    }
    assert train.parse_env_args(values.env_args) == settings["env_args"]
    names = ("env", "memory", "encoder", "seed", "num_seeds", "total_steps", "checkpoint_every")
    for name in (*names, "log_every", "backend", "eval_every"):
        assert values[name].value == settings[name], name
    assert values["import"].value == ["json"]


def test_a_run_that_no_command_makes_says_so():
    for given in ({"policy": {}}, {"encoder": {"class_name": "Dense"}}):
        assert command_of(run_settings(**given)).startswith("# It was trained from Python")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "`run_dir` should name the folders of runs. Received: run_dir=[]"),
        (["nowhere"], "`run_dir` is not a run"),
        (["a", "--output=a.pdf"], "`output` should end in .html. Received: output=a.pdf"),
        (["a", "--output=no/folder/a.html"], "`output` should be a file in a folder"),
        (["a", "--noplay", "--seed=3"], "with `noplay`. Received: seed=3, play=False"),
        (["a", "--num_episodes=0"], "`num_episodes`"),
        (["a", "--backend=theano"], "`backend` should be one of"),
        (["a"], "checkpoint"),
        (["damaged", "--noplay"], "Line 1 is not a JSON object"),
        (["edited", "--noplay"], "config.json was edited"),
    ],
)
def test_a_mistake_is_reported_in_one_line(flags, expected, make_run, tmp_path, capsys):
    for name in ("a", "damaged", "edited"):
        make_run(name)
    (tmp_path / "damaged" / "metrics.jsonl").write_text("[1]\n")
    config = tmp_path / "edited" / "config.json"
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    assert report.main(["report.py", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Received: " in error
    assert expected in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "damaged", "edited"]


@pytest.fixture(scope="module")
def cart_poles(tmp_path_factory):
    """A run of projected_cartpole of one update, and the report of two of its episodes."""
    from keras_s5rl.training import PPO

    folder = tmp_path_factory.mktemp("cart_poles")
    agent = PPO(
        "projected_cartpole",
        {"num_trials": 3, "trial_steps": 30},
        config=small_config(num_layers=2),
        memory_args={"state_size": 8},
    )
    agent.fit(128, run_dir=folder / "run", verbose=False)
    RunDirectory.open(folder / "run").write_evaluation(agent.evaluate(8))
    output = folder / "report.html"
    arguments = [str(folder / "run"), f"--output={output}", "--num_episodes=2", "--seed=5"]
    assert report.main(["report.py", *arguments]) == 0
    return folder / "run", output


@pytest.mark.slow
@pytest.mark.not_on_tensorflow
def test_the_episode_is_one_of_the_policy_of_the_run(cart_poles):
    from keras_s5rl.training import PPO
    from keras_s5rl.training.played_episodes import play_episodes

    folder, output = cart_poles
    page = Page(output.read_text(encoding="utf-8"))
    (score,) = page.numbers["scores"][1:]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert score[:3] == [evaluation[n] for n in ("return_mean", "return_ci95", "num_episodes")]
    assert score[-2] == read_metrics(folder / "metrics.jsonl")["env_steps"][-1]
    expected = play_episodes(PPO.load(folder), 2, seed=5)
    played = page.episode
    np.testing.assert_allclose(played["reward"], expected["reward"], rtol=1e-4)
    assert list(played["memory"]) == ["layer 1", "layer 2"]
    for name, norms in expected["memory_norms"].items():
        np.testing.assert_allclose(played["memory"][name], norms, rtol=1e-4, atol=1e-8)
    assert played["resets"] == [1, played["step"].index(0, 1) + 1]
    assert len(played["trials"]) == 2 * 2  # the first of three is the start of the episode
    assert len(played["pictures"]["images"]) == len(played["step"]) == len(expected["step"])


def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.mark.slow
@pytest.mark.jax_alone
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_plays_the_episode_without_an_error(width, cart_poles, tmp_path):
    program = browser()
    if program is None:
        pytest.skip("No Chromium is installed.")
    page = cart_poles[1].read_text(encoding="utf-8")
    page = page.replace("<body>", f"<body>{WATCH}").replace("</body>", f"{PLAY}</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    flags += [f"--window-size={width},900", "--virtual-time-budget=5000", "--dump-dom"]
    result = subprocess.run(
        [program, *flags, (tmp_path / "page.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"SEEN(\{.*\})END", result.stdout)
    assert found, result.stderr
    seen = json.loads(found[1])
    assert seen["errors"] == [] and seen["blank"] == 0 and seen["wide"] <= 0
    assert seen["steps"][0] == 0 and seen["steps"] == sorted(seen["steps"])
    assert len(set(seen["steps"])) > 5 and seen["pictures"] > 5
    assert "action" in seen["now"] and "layer 2" in seen["now"]

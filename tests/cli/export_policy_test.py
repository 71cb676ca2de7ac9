"""The command that writes one step of a policy for other runtimes."""

import json

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, random
from keras_s5rl.cli import export_policy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="The file is TensorFlow's; JAX plays beside it."
)


@pytest.fixture(scope="module")
def exported(trained, run, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "policy"
    status, stdout, stderr = run("export_policy", f"--run_dir={trained[0]}", f"--output={path}")
    assert status == 0, stderr
    assert str(path) in stdout
    return path


def vector(description, entry, value):
    """What the description says that a one-hot of a value is."""
    (entry,) = [e for e in description["inputs"][0]["entries"] if e["name"] == entry]
    assert entry["kind"] == "one-hots" and len(entry["classes"]) == 1
    columns = np.zeros(description["inputs"][0]["shape"][1], "float32")
    columns[entry["start"] + value - entry["lowest"][0]] = 1.0
    return columns


def check_against_the_agent(trained, description, step):
    """Plays an environment with what the description says, and the file, beside the agent."""
    agent = PPO.load(trained[0])
    view, policy = agent.environment, agent.policy
    state = view.initial(view.draw_initial(random.key(3), 1))
    memory, previous = policy.get_initial_state(1), 0
    states = [
        np.full([1, *tensor["shape"][1:]], 7.0, tensor["dtype"])
        for tensor in description["inputs"][2:]
    ]
    for time in range(6):
        seen = int(view.env.observation(state["env"])[0])
        observation = vector(description, "observation", seen)
        observation += vector(description, "previous_action", previous)
        observation[-2:] = [0, 1] if time == 0 else [1, 0]
        expected = keras.ops.convert_to_numpy(view.observation(state))
        np.testing.assert_array_equal(observation[None], expected)
        first = np.array([time == 0])
        action, memory = policy.act(expected, first, memory)
        found, parameters, *states = step([observation[None], first, *states])
        assert int(found[0]) == int(action[0]) == int(np.argmax(parameters[0]))
        for one, other in zip(states, memory, strict=True):
            np.testing.assert_allclose(one, keras.ops.convert_to_numpy(other), atol=1e-4)
        state, *_ = view.transition(state, action, {})
        previous = int(action[0])


@pytest.mark.slow
def test_a_saved_model_plays_as_the_agent_does_by_what_its_description_says(trained, exported):
    tf = pytest.importorskip("tensorflow")
    description = json.loads(exported.with_name("policy.json").read_text())
    loaded = tf.saved_model.load(str(exported))

    def step(inputs):
        return [np.asarray(tensor) for tensor in loaded.serve(inputs)]

    check_against_the_agent(trained, description, step)


@pytest.mark.slow
def test_an_onnx_file_plays_as_the_agent_does(trained, run, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "policy.onnx"
    status, _, stderr = run("export_policy", f"--run_dir={trained[0]}", f"--output={path}")
    assert status == 0, stderr
    description = json.loads(path.with_name("policy.onnx.json").read_text())
    session = runtime.InferenceSession(str(path))
    names = [tensor.name for tensor in session.get_inputs()]
    assert names == [tensor["name"] for tensor in description["inputs"]]

    def step(inputs):
        return session.run(None, dict(zip(names, inputs, strict=True)))

    check_against_the_agent(trained, description, step)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--output=policy"], "`run_dir`"),
        (["--run_dir=runs/none"], "`output`"),
        (["--run_dir=runs/none", "--output=policy"], "`run_dir`"),
        (["--run_dir=runs/none", "--output=nowhere/policy.onnx"], "`output`"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(flags, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_policy.main(["export_policy.py", *flags]) == 2
    error = capsys.readouterr().err
    assert named in error and "Received:" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

"""Training in environments of Gymnasium: whole runs, and what is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from keras_s5rl import PPO
from keras_s5rl.envs.gymnasium.host_environments import EnvironmentFailedError
from tests.envs.gymnasium.counting_env import BrokenEnv, CountingEnv
from tests.support.small_runs import STEPS, as_bytes, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.not_on_tensorflow

ID = "gymnasium:CartPole-v1"


def agent_in(env, seed=0, **settings):
    config = small_config(anneal_learning_rate=False, **settings)
    return PPO(env, memory="mlp", config=config, seed=seed)


@pytest.mark.slow
def test_a_resumed_run_goes_on_as_a_second_fit_does_and_says_that_episodes_are_new(
    tmp_path, capsys
):
    folder = tmp_path / "run"
    agent_in(ID).fit(2 * STEPS, folder, verbose=False)
    agent = agent_in(ID)
    agent.fit(4 * STEPS, folder, resume=True, verbose=False)
    assert capsys.readouterr().err.count("goes on with new episodes") == 1
    of_two_fits = agent_in(ID)
    for num_updates in (2, 4):
        of_two_fits.fit(num_updates * STEPS, verbose=False)
    assert as_bytes(of_two_fits.snapshot()[1]) == newest_arrays(folder)[1]
    assert len(metrics_of(folder)) == 4
    report = PPO.load(folder).evaluate(4)
    assert report == agent.evaluate(4) and report["env"] == ID and len(report["returns"]) == 4
    names = "env env_args num_episodes deterministic seed update env_steps"
    assert list(report)[:7] == names.split() and report["update"] == 4


@pytest.mark.slow
def test_made_environments_are_closed_when_training_ends_and_given_ones_stay_open():
    made = []

    class Closing(CountingEnv):
        def __init__(self):
            made.append(self)
            self.is_open = True

        def close(self):
            self.is_open = False

    agent_in(Closing).fit(STEPS, verbose=False)
    assert len(made) == 8 and not any(env.is_open for env in made)
    with pytest.raises(ValueError, match="fresh copies can be made"):
        agent_in(SyncVectorEnv([Closing] * 8)).evaluate(2)
    vector = gymnasium.make_vec("CartPole-v1", num_envs=8)  # in the mode NEXT_STEP
    agent = agent_in(vector)
    agent.fit(STEPS, verbose=False)
    assert not vector.closed and len(agent.evaluate(3)["returns"]) == 3
    one = agent_in(gymnasium.make("CartPole-v1"), num_envs=1, num_minibatches=1)
    assert one.environment.env.num_envs == 1


@pytest.mark.slow
def test_a_failing_environment_is_named_and_the_last_checkpoint_is_whole(tmp_path, monkeypatch):
    BrokenEnv.steps = -2 * STEPS  # it fails in the third update
    gymnasium.register("BrokenEnv-v0", BrokenEnv)
    monkeypatch.setattr(BrokenEnv, "spec", None)
    try:
        agent = agent_in("gymnasium:BrokenEnv-v0")
        with pytest.raises(EnvironmentFailedError, match="BrokenEnv-v0.*the sensor fell off"):
            agent.fit(4 * STEPS, tmp_path / "run", verbose=False)
        assert newest_arrays(tmp_path / "run")[0] == agent.update == 2
        agent.fit(4 * STEPS, tmp_path / "run", resume=True, verbose=False)
        assert np.isfinite([row["loss"] for row in metrics_of(tmp_path / "run")]).all()
    finally:
        del gymnasium.registry["BrokenEnv-v0"]


@pytest.mark.parametrize(
    ("env", "settings", "expected"),
    [
        ("gymnasium:Nowhere-v0", {}, "`env` should be the id.*Received: env='gymnasium:Nowhere-v0"),
        (CountingEnv(), {}, "one Env alone trains with num_envs=1.*num_envs=8"),
        (CountingEnv, {"stagger_starts": True}, "`stagger_starts` should be False"),
        (CountingEnv, {"num_devices": 2}, "`num_devices` should be 1"),
        (SyncVectorEnv([CountingEnv] * 3), {}, "`num_envs` should be 3"),
        ("gymnasium:keras_s5rl/RepeatPreviousEasy-v0", {}, "trains without Gymnasium"),
    ],
)
def test_what_cannot_train_is_refused(env, settings, expected):
    with pytest.raises(ValueError, match=expected):
        agent_in(env, **settings)


def test_a_run_needs_an_id():
    agent = agent_in(CountingEnv)
    with pytest.raises(ValueError, match="`gymnasium.register`.*Received: env=CountingEnv"):
        agent.fit(STEPS, "runs/no")

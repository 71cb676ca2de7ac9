"""Environments of Gymnasium in compiled programs, beside loops over single ones by hand."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.gymnasium.host_autoreset import HostAutoReset
from keras_s5rl.envs.gymnasium.host_environments import EnvironmentFailedError, HostEnvironments
from keras_s5rl.models import distribution_for
from tests.envs.gymnasium.counting_env import BrokenEnv, CountingEnv, MaskedEnv, UnresetEnv

NUM_ENVS, NUM_STEPS = 3, 14


def to_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def autoreset_of(env, num_envs=NUM_ENVS, **env_args):
    return HostAutoReset(envs.AgentView(HostEnvironments(env, num_envs, env_args or None)))


def played(autoreset, actions, key=0):
    """The transitions of a compiled loop, with what the policy sees before each step."""

    def step(state, action):
        seen = {
            "observation": autoreset.observation(state),
            "is_first": state["is_first"],
            "after_end": state.get("ended", ops.zeros_like(state["is_first"])),
        }
        state, transition = autoreset.step(state, action)
        return state, seen | transition

    @backend.compile
    def program(key, actions):
        return backend.scan(step, autoreset.initial(key, actions.shape[1]), actions)

    _, transitions = to_numpy(program(random.key(key), ops.convert_to_tensor(actions)))
    return transitions


def by_hand(seeds, actions, restarts_later):
    """The same, of single environments stepped in plain loops."""
    rows = []
    for seed, own_actions in zip(seeds, actions.T, strict=True):
        env, over, row, action_before, is_first = CountingEnv(), False, [], 0, True
        observation, _ = env.reset(seed=int(seed))
        total = length = 0
        for action in own_actions:
            step = {"observation": view(observation, action_before, is_first)}
            step |= {"is_first": is_first, "valid": True, "after_end": over}
            action_before, is_first = action, False
            if over:  # the step that restarts it, where restarts come later
                observation, _ = env.reset()
                over, action_before, is_first = False, 0, True
                step |= {"reward": 0.0, "terminated": False, "truncated": False, "valid": False}
                step |= {"episode_return": 0.0, "episode_length": 0, "episode_ended": False}
                step["final_observation"] = np.zeros(7)  # of no episode
                row.append(step)
                continue
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, over = total + reward, length + 1, terminated or truncated
            step |= {"reward": reward, "terminated": terminated, "truncated": truncated}
            step |= {"episode_return": total, "episode_length": length, "episode_ended": over}
            step["final_observation"] = view(observation, action, False)
            row.append(step)
            if over:
                total = length = 0
                if not restarts_later:
                    observation, _ = env.reset()
                    over, action_before, is_first = False, 0, True
        rows.append(row)
    return {
        name: np.array([[step[name] for step in row] for row in rows]).swapaxes(0, 1)
        for name in rows[0][0]
    }


def view(observation, action_before, is_first):
    """Observation, previous action (the null action is 0) and flag."""
    action = np.eye(3)[action_before]
    return np.concatenate([observation, action, [not is_first, is_first]])


def seeds_of(key):
    drawn = random.randint(random.fold_in(random.key(key), 0), (NUM_ENVS,), 0, 2**31 - 1)
    return ops.convert_to_numpy(drawn)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_steps_rewards_and_ends_are_those_of_single_environments(mode):
    actions = np.random.default_rng(0).integers(3, size=(NUM_STEPS, NUM_ENVS)).astype("int32")
    copies = SyncVectorEnv([CountingEnv] * NUM_ENVS, copy=False, autoreset_mode=mode)
    transitions = played(autoreset_of(copies), actions)
    expected = by_hand(seeds_of(0), actions, mode == AutoresetMode.NEXT_STEP)
    assert expected["terminated"].sum() > 2 and expected["truncated"].sum() > 2
    if mode == AutoresetMode.NEXT_STEP:
        assert np.sum(~expected["valid"]) > 3 and expected["valid"].sum() > 20
        counted = expected["valid"]
        transitions["final_observation"][~counted] = 0.0
    else:
        assert "valid" not in transitions
        del expected["valid"]
    for name, values in expected.items():
        np.testing.assert_array_equal(transitions[name], values, err_msg=name)
    np.testing.assert_array_equal(transitions["discount"], 1.0 - expected["terminated"])
    assert transitions["reward"].dtype == "float32"


def test_new_episodes_follow_from_the_key_and_the_number_of_steps():
    autoreset = autoreset_of(CountingEnv, 8)
    first = to_numpy(autoreset.initial(random.key(0), 8))
    later = first | {"num_steps": np.int32(5)}
    restarted, again = (to_numpy(autoreset.restarted(later)) for _ in range(2))
    keras.tree.map_structure(np.testing.assert_array_equal, restarted, again)
    assert restarted["num_steps"] == 5 and restarted["is_first"].all()
    lengths = [state["env"]["env"]["observation"][:, 1] for state in (first, restarted)]
    assert not np.array_equal(*lengths)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_masks_of_actions_become_an_entry_of_the_observation(mode):
    host = HostEnvironments(SyncVectorEnv([MaskedEnv] * NUM_ENVS, autoreset_mode=mode), NUM_ENVS)
    assert list(host.observation_space) == ["action_mask", "observation"]
    seen = [host.reset(np.arange(NUM_ENVS), np.int32(0))]
    for _ in range(8):
        results = host.step(np.zeros(NUM_ENVS, "int32"))
        seen += [value for name, value in results.items() if "observation" in name]
    seen = np.stack(seen)  # the mask, the clock and the length of the episode
    np.testing.assert_array_equal(seen[..., :3], np.arange(3) <= seen[..., 3:4] % 3)
    assert {0, 1, 2} <= set(seen[..., 3].ravel())


class SwitchesEnv(MaskedEnv):
    """Two switches, of which it allows no more than to leave the first one off."""

    action_space = gymnasium.spaces.MultiBinary(2)

    def _info(self):
        return {"action_mask": [1, 0, 1, 1]}


def test_a_mask_of_switches_has_a_number_for_off_and_on():
    host = HostEnvironments(SyncVectorEnv([SwitchesEnv] * NUM_ENVS), NUM_ENVS)
    seen = host.reset(np.arange(NUM_ENVS), np.int32(0))
    np.testing.assert_array_equal(seen[:, :4], np.tile([1, 0, 1, 1], (NUM_ENVS, 1)))
    assert (
        host.observation_space["action_mask"].n == distribution_for(host.action_space).num_outputs
    )


@pytest.mark.slow
def test_environments_in_processes_of_their_own_step_as_those_in_this_one():
    played = []
    for mode in ("sync", "async"):
        host = HostEnvironments("gymnasium:CartPole-v1", 2, {"vectorization_mode": mode})
        seen = [host.reset(np.arange(2), np.int32(0))]
        for _ in range(25):
            results = host.step(np.ones(2, "int32"))
            seen += [results["observation"], results["final_observation"]]
        host.close()
        played.append(np.stack(seen))
    np.testing.assert_array_equal(*played)
    assert (played[0][1::2] != played[0][2::2]).any()  # an episode ended


def test_what_an_environment_raises_comes_out_of_a_program_with_its_name():
    BrokenEnv.steps = 0
    autoreset = autoreset_of(BrokenEnv)
    actions = np.ones((NUM_STEPS, NUM_ENVS), "int32")
    expected = r"BrokenEnv failed \(ZeroDivisionError: the sensor fell off\)"
    with (
        pytest.raises(EnvironmentFailedError, match=expected) as raised,
        autoreset.host.failures_raised(),
    ):
        played(autoreset, actions)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    with autoreset.host.failures_raised():  # the next program begins new episodes
        assert played(autoreset, actions)["reward"].all()


def test_environments_that_were_made_are_closed_and_made_anew_and_given_ones_stay_open():
    host = HostEnvironments("gymnasium:CartPole-v1", 2)
    first = host.reset(np.arange(2), np.int32(0))
    host.close()
    assert not host.is_at(0, first)
    np.testing.assert_array_equal(host.reset(np.arange(2), np.int32(0)), first)
    assert host.is_at(0, first) and not host.is_at(1, first)
    given = SyncVectorEnv([CountingEnv] * 2)
    HostEnvironments(given, 2).close()
    assert not given.closed


@pytest.mark.parametrize(
    ("env", "env_args", "expected"),
    [
        ("gymnasium:Nowhere-v0", None, "`env` should be the id .*Received: env='gymnasium:Nowhere"),
        ("gymnasium:CartPole-v1", {"wheels": 2}, "wheels"),
        ("gymnasium:CartPole-v1", {"wrappers": ["gymnasium"]}, "`wrappers` should hold strings"),
        (SyncVectorEnv([CountingEnv] * 2), None, "`num_envs` should be 2.*Received: num_envs=3"),
        (lambda: 3, None, "`env` should return a new gymnasium.Env"),
        (UnresetEnv, None, r"can be reset \(OSError: no cable\). Received: env=UnresetEnv"),
    ],
)
def test_environments_that_cannot_be_made_raise(env, env_args, expected):
    with pytest.raises(ValueError, match=expected):
        HostEnvironments(env, NUM_ENVS, env_args)


def test_arguments_say_how_copies_are_made():
    limit = ["gymnasium.wrappers:TimeLimit", {"max_episode_steps": 2}]
    host = HostEnvironments("gymnasium:CartPole-v1", 2, {"wrappers": [limit]})
    host.reset(np.arange(2), np.int32(0))
    steps = [host.step(np.zeros(2, "int32")) for _ in range(2)]
    assert [step["truncated"].tolist() for step in steps] == [[False] * 2, [True] * 2]
    own = HostEnvironments("gymnasium:CartPole-v1", 2, {"vectorization_mode": "vector_entry_point"})
    assert own.autoreset_mode == AutoresetMode.NEXT_STEP

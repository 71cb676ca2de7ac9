"""Many environments through Gymnasium: its own vector environment is the oracle of the layouts."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from keras import ops

import keras_s5rl  # noqa: F401  registers the ids
from keras_s5rl.envs import Environment
from keras_s5rl.envs.gymnasium.env import GymnasiumEnv
from keras_s5rl.envs.gymnasium.vector_env import GymnasiumVectorEnv

MODES = list(AutoresetMode)
BOX = Box(0, 40, (2,))


class Sum(Environment):
    """Nothing is random: an episode terminates when the sum of its actions reaches 6, and is
    truncated after 4 steps; both may happen at once."""

    action_space = MultiDiscrete([3, 2])
    max_episode_steps = 4

    def __init__(self, observation_space=BOX):
        self.observation_space = observation_space

    def draw_initial(self, key, num_envs):
        return {"time": ops.zeros((num_envs,), dtype="int32")}

    def initial(self, draws):
        time = draws["time"]
        return {"time": time, "sum": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(self, state, action, draws):
        time, total = state["time"] + 1, state["sum"] + ops.sum(action, axis=1)
        terminated = total >= 6
        reward = 0.1 * ops.cast(total, "float32")
        return {"time": time, "sum": total, "terminated": terminated}, reward, terminated, time >= 4

    def observation(self, state):
        if isinstance(self.observation_space, Discrete):
            return state["sum"]
        numbers = ops.stack([state["time"], state["sum"]], axis=1)
        return ops.cast(
            numbers, "float32" if self.observation_space.dtype == "float32" else "int32"
        )

    def info(self, state):
        pair = ops.stack([state["time"], state["sum"]], axis=1)
        return {"sum": state["sum"], "halves": 0.5 * ops.cast(pair, "float32")}


def sync(env, num_envs, mode):
    return SyncVectorEnv([lambda: GymnasiumEnv(env)] * num_envs, autoreset_mode=mode)


def assert_equal(ours, theirs):
    """Equal structures, types, dtypes and values."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for name in ours:
            assert_equal(ours[name], theirs[name])
    elif isinstance(ours, tuple) or getattr(ours, "dtype", None) == "O":
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            assert_equal(our, their)
    else:
        np.testing.assert_array_equal(ours, theirs, strict=isinstance(ours, np.ndarray))


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("space", "mode"),
    [
        *((MultiDiscrete([9, 40]), mode) for mode in MODES),
        (Discrete(40), AutoresetMode.SAME_STEP),
        (Tuple((Discrete(9), Discrete(40))), AutoresetMode.SAME_STEP),
        (BOX, AutoresetMode.SAME_STEP),
    ],
    ids=str,
)
def test_everything_is_laid_out_as_gymnasiums_own_vector_environment_does_it(space, mode):
    env = Sum(space)
    vectors = GymnasiumVectorEnv(env, 3, mode), sync(env, 3, mode)
    for name in ("observation_space", "action_space", "single_action_space"):
        assert getattr(vectors[0], name) == getattr(vectors[1], name)
    assert vectors[0].metadata == vectors[1].metadata
    assert_equal(*(vector.reset(seed=0) for vector in vectors))
    actions = np.random.default_rng(0).integers([3, 2], size=(40, 3, 2))
    flags, keys = [], set()
    for step, action in enumerate(actions):
        ours, theirs = (vector.step(action) for vector in vectors)
        assert_equal(ours, theirs)
        assert ours[0] in vectors[0].observation_space
        keys |= set(ours[4])
        ended = ours[2] | ours[3]
        flags.append(ours[2].astype(int) + 2 * ours[3])
        mask = ended if mode == AutoresetMode.DISABLED else np.array([True, False, False])
        if mask.any() and (mode == AutoresetMode.DISABLED or step == 20):
            assert_equal(*(vector.reset(options={"reset_mask": mask}) for vector in vectors))
    # Episodes were terminated, truncated and both, and out of step with one another.
    assert set(np.ravel(flags)) == {0, 1, 2, 3}
    assert len({tuple(column) for column in np.transpose(flags)}) == 3
    assert {"sum", "_sum", "halves", "_halves"} <= keys
    assert ("final_info" in keys) == ("final_obs" in keys) == (mode == AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("mode", MODES)
def test_gymnasiums_episode_statistics_are_right(mode):
    vector = RecordEpisodeStatistics(GymnasiumVectorEnv(Sum(), 3, mode))
    vector.reset(seed=0)
    returns, lengths = np.zeros(3), np.zeros(3, int)
    restarting = np.zeros(3, bool)
    for action in np.random.default_rng(1).integers([3, 2], size=(30, 3, 2)):
        _, rewards, terminations, truncations, infos = vector.step(action)
        returns, lengths = returns + rewards, lengths + ~restarting
        ended = terminations | truncations
        assert ("episode" in infos) == ended.any()
        if ended.any():
            np.testing.assert_array_equal(infos["_episode"], ended)
            np.testing.assert_allclose(infos["episode"]["r"], np.where(ended, returns, 0))
            np.testing.assert_array_equal(infos["episode"]["l"], np.where(ended, lengths, 0))
            if mode == AutoresetMode.DISABLED:
                vector.reset(options={"reset_mask": ended})
        returns[ended], lengths[ended] = 0, 0
        restarting = ended & (mode == AutoresetMode.NEXT_STEP)
    assert vector.episode_count > 15


@pytest.mark.parametrize("mode", MODES)
def test_a_step_brings_one_array_to_the_host_and_one_more_where_episodes_ended(mode, monkeypatch):
    vector = GymnasiumVectorEnv(Sum(), 3, mode)
    vector.reset(seed=0)
    transfers = []
    to_numpy = ops.convert_to_numpy
    monkeypatch.setattr(ops, "convert_to_numpy", lambda x: transfers.append(x) or to_numpy(x))
    for _ in range(4):
        transfers.clear()
        *_, infos = vector.step(np.zeros((3, 2), int))
        assert len(transfers) == 1 + ("final_obs" in infos)


@pytest.mark.slow
def test_every_episode_of_a_real_environment_is_whole_and_its_own():
    vector = gymnasium.make_vec("keras_s5rl/RepeatPreviousEasy-v0", num_envs=5, k=1)
    observations, _ = vector.reset(seed=0)
    shown, totals = [observations], np.zeros(5)
    for step in range(1, 4 * 52):
        # With k=1 the card asked for is the one in sight: every episode is worth 1.
        observations, rewards, terminations, _, _ = vector.step(observations)
        shown.append(observations)
        totals += rewards
        assert terminations.all() == terminations.any() == (step % 52 == 51)
        if step % 52 == 51:
            np.testing.assert_allclose(totals, 1.0, rtol=1e-5)
        if step % 52 == 0:
            assert not rewards.any()
            totals[:] = 0.0
    decks = np.reshape(shown, (4, 52, 5)).transpose(0, 2, 1).reshape(20, 52)
    # Fifty-two cards of a deck, thirteen of each suit, no two decks alike.
    np.testing.assert_array_equal([np.bincount(deck) for deck in decks], 13)
    assert len(np.unique(decks, axis=0)) == 20


def run(vector, num_steps, **reset_arguments):
    """Everything returned by a reset and the steps that follow, as one list."""
    rows = [vector.reset(**reset_arguments)]
    return rows + [vector.step(np.zeros(vector.num_envs, int)) for _ in range(num_steps)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_a_seed_fixes_all_that_follows_and_without_one_the_stream_goes_on(mode):
    make = lambda: GymnasiumVectorEnv("MultiarmedBanditEasy", 3, mode, episode_length=12)  # noqa: E731
    steps = 11 if mode == AutoresetMode.DISABLED else 30
    vector = make()
    first, second = run(vector, steps, seed=5), run(vector, steps)
    again, and_on = run(vector, steps, seed=5), run(vector, steps)
    keras.tree.map_structure(np.testing.assert_array_equal, (again, and_on), (first, second))
    keras.tree.map_structure(np.testing.assert_array_equal, run(make(), steps, seed=5), first)
    bandits = [rows[0][1]["bandits"] for rows in (first, second, run(vector, 1, seed=6))]
    assert len(np.unique(np.concatenate(bandits)[:, 0])) == 9
    # Pulls of the same arm are drawn anew at each step and for each environment.
    pulls = np.stack([row[0] for row in first[1:12]])
    assert (pulls != pulls[0]).any() and (pulls != pulls[:, :1]).any()
    assert vector.np_random_seed == 6


@pytest.mark.slow
def test_a_mask_restarts_its_environments_alone_and_a_seed_fixes_what_follows():
    vector = GymnasiumVectorEnv("MultiarmedBanditEasy", 4, "Disabled")
    mask = np.array([False, True, False, True])
    options = {"reset_mask": mask}
    arms = np.zeros(4, int)
    pulls, bandits = [], []
    for seed in (0, 1):
        vector.reset(seed=seed)
        before = [vector.step(arms) for _ in range(seed + 3)][-1]
        observations, infos = vector.reset(seed=2, options=options)
        assert options == {"reset_mask": mask}
        np.testing.assert_array_equal(observations, np.where(mask, 0, before[0]))
        np.testing.assert_array_equal(infos["_bandits"], mask)
        assert not infos["bandits"][~mask].any()
        steps = [vector.step(arms) for _ in range(8)]
        pulls.append(np.stack([step[0] for step in steps])[:, mask])
        bandits.append(steps[-1][4]["bandits"])
        np.testing.assert_array_equal(bandits[-1][mask], infos["bandits"][mask])
        np.testing.assert_array_equal(bandits[-1][~mask], before[4]["bandits"][~mask])
    np.testing.assert_array_equal(bandits[0][mask], bandits[1][mask])
    np.testing.assert_array_equal(pulls[0], pulls[1])
    assert (bandits[0][~mask] != bandits[1][~mask]).all()


def test_what_is_returned_belongs_to_the_caller():
    vector = GymnasiumVectorEnv(Sum(), 2, "SameStep")
    returned = [vector.reset(seed=0)]
    for _ in range(3):
        returned.append(vector.step(np.ones((2, 2), int)))
    kept = keras.tree.map_structure(np.copy, returned)
    arrays = [leaf for leaf in keras.tree.flatten(returned) if leaf.dtype != object]
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[index + 1 :])
    vector.step(np.ones((2, 2), int))
    keras.tree.map_structure(
        lambda a, b: assert_equal(a, b) if a.dtype == object else np.testing.assert_equal(a, b),
        returned,
        kept,
    )
    returned[-1][0][:] = -1.0  # may be overwritten
    assert (vector.step(np.ones((2, 2), int))[0] >= 0).all()


def test_stepping_without_an_episode_is_refused():
    vector = GymnasiumVectorEnv(Sum(), 2, AutoresetMode.DISABLED)
    ones = np.ones((2, 2), int)
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"Received: ended=\[0, 1\]"):
        vector.step(ones)
    with pytest.raises(gymnasium.error.ResetNeeded, match="all True in the first reset"):
        vector.reset(options={"reset_mask": np.array([True, False])})
    vector.reset()
    for _ in range(3):
        vector.step([[0, 0], [1, 1]])
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"Received: ended=\[1\]"):
        vector.step(ones)
    vector.reset(options={"reset_mask": np.array([False, True])})
    vector.step(ones)


@pytest.mark.parametrize(
    "mask", [[True, False], np.array([1, 0]), np.array([True]), np.zeros(2, bool), True]
)
def test_a_wrong_mask_is_refused(mask):
    vector = GymnasiumVectorEnv(Sum(), 2)
    with pytest.raises(ValueError, match=r"should be a bool array of shape \(2,\).* reset_mask="):
        vector.reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    "actions", [np.ones((3, 2), int), np.ones((2, 2)), [1, 1], np.full((2, 2), 2), None]
)
def test_wrong_actions_are_named_with_the_space(actions):
    vector = GymnasiumVectorEnv(Sum(), 2)
    vector.reset()
    with pytest.raises(ValueError, match=r"should be 2 actions, stacked, of .* Received: actions="):
        vector.step(actions)


def test_wrong_arguments_are_refused():
    make = gymnasium.make_vec
    with pytest.raises(ValueError, match="`num_envs` should be a positive integer"):
        make("keras_s5rl/RepeatFirstEasy-v0", num_envs=0)
    with pytest.raises(ValueError, match=r"`autoreset_mode` should be .* autoreset_mode='Never'"):
        make("keras_s5rl/RepeatFirstEasy-v0", autoreset_mode="Never")
    with pytest.raises(ValueError, match="`env_args` should fit RepeatFirstEasy"):
        make("keras_s5rl/RepeatFirstEasy-v0", lag=3)
    vector = make("keras_s5rl/RepeatFirstEasy-v0", num_envs=2)
    with pytest.raises(gymnasium.error.Error, match="Seed must be a python integer"):
        vector.reset(seed=[1, 2])


def test_every_environment_is_rendered():
    vector = GymnasiumVectorEnv(Sum(), 2, render_mode="ansi")
    with pytest.raises(gymnasium.error.ResetNeeded, match="Call `reset` first"):
        vector.render()
    vector.reset()
    vector.step(np.array([[1, 0], [2, 1]]))
    first, second = vector.render()
    assert "observation 1 1" in first and "observation 1 3" in second
    assert vector.metadata["render_modes"] == ["ansi", "rgb_array"]

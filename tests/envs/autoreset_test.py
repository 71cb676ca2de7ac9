"""`AutoReset` restarts finished environments, each from an episode of its own."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs import AgentView, AutoReset, Environment
from tests.envs.counting import Counting, broken
from tests.envs.numbered import Numbered
from tests.envs.rolls import as_numpy, compiled_roll, make_cond_eager, roll
from tests.support.differentiate import BACKEND


@pytest.fixture
def eager_cond(monkeypatch):
    """Branches as plain Python: what is not chosen is not run, so that runs can be counted."""
    make_cond_eager(monkeypatch)


def played(rows, env):
    """The episodes of one environment, as (number, length, total reward) each, unfinished last."""
    firsts = np.flatnonzero(rows["is_first"][:, env])
    pieces = np.split(np.arange(len(rows["is_first"])), firsts[1:])
    return [
        (
            int(rows["observation"][piece[0], env, 0]),
            len(piece),
            float(rows["reward"][piece, env].sum()),
        )
        for piece in pieces
    ]


LENGTHS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7]


def test_every_episode_is_started_once_in_the_order_of_drawing(eager_cond):
    env = Numbered(LENGTHS)
    autoreset = AutoReset(env)
    state = autoreset.initial(random.key(0), 4)
    state, rows = roll(autoreset, state, 120)
    started = []
    for time in range(120):
        started += rows["observation"][time, rows["is_first"][time], 0].astype(int).tolist()
    assert len(started) > 60
    assert len(set(started)) == len(started)
    assert started == sorted(started)
    # Only the last rows of a pool are ever thrown away.
    for pool in range(env.num_draws - 1):
        used = [number for number in started if number // 4 == pool]
        assert used == list(range(4 * pool, 4 * pool + len(used)))


def test_lengths_and_returns_are_right_when_environments_are_out_of_step(eager_cond):
    env = Numbered(LENGTHS)
    autoreset = AutoReset(env)
    _, rows = roll(autoreset, autoreset.initial(random.key(0), 5), 100)
    done = rows["terminated"] | rows["truncated"]
    assert len({tuple(column) for column in done.T}) == 5
    for column in range(5):
        episodes = played(rows, column)[:-1]
        ends = np.flatnonzero(done[:, column])[: len(episodes)]
        for (number, length, total), end in zip(episodes, ends, strict=True):
            assert length == LENGTHS[number % len(LENGTHS)]
            assert rows["episode_length"][end, column] == length
            assert rows["episode_return"][end, column] == total == length * (number + 0.5)
            assert rows["terminated"][end, column] == (number % 2 == 0 or number % 5 == 0)
            assert rows["truncated"][end, column] == (number % 2 == 1 or number % 5 == 0)
            assert rows["discount"][end, column] == 1 - rows["terminated"][end, column]
    both = rows["terminated"] & rows["truncated"]
    assert both.any()
    np.testing.assert_array_equal(rows["episode_ended"], done)
    np.testing.assert_array_equal(rows["is_first"][1:], done[:-1])
    np.testing.assert_array_equal(rows["discount"][~done], 1.0)


def test_the_final_observation_is_of_the_old_episode_and_the_next_one_of_the_new(eager_cond):
    autoreset = AutoReset(Numbered([2, 3]))
    _, rows = roll(autoreset, autoreset.initial(random.key(0), 2), 3)
    np.testing.assert_array_equal(rows["observation"][:, 0], [[0, 0], [0, 1], [2, 0]])
    np.testing.assert_array_equal(rows["final_observation"][:, 0], [[0, 1], [0, 2], [2, 1]])
    np.testing.assert_array_equal(rows["episode_length"][:, 0], [1, 2, 1])


def test_nothing_is_drawn_in_steps_in_which_no_episode_ends(eager_cond):
    env = Numbered([4, 6, 7, 20])
    autoreset = AutoReset(env)
    state = autoreset.initial(random.key(0), 4)
    counts, ends = [env.num_draws], []
    for _ in range(60):
        state, rows = roll(autoreset, state, 1)
        counts.append(env.num_draws)
        ends.append(int(rows["episode_ended"].sum()))
    drawn = np.diff(counts)
    assert counts[0] == 1
    assert not drawn[np.array(ends) == 0].any()
    # A pool serves four episodes, and at most three of its rows are thrown away.
    assert 0 < drawn.sum() <= sum(ends)
    assert (np.array(ends)[drawn > 0] > 0).all()
    assert drawn[np.flatnonzero(ends)].sum() < len(np.flatnonzero(ends))


class Coin(Environment):
    """Episodes of one to eight steps, each with a random word; every step draws a number."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 8

    def draw_initial(self, key, num_envs):
        return {"word": random.bits(key, (num_envs,))}

    def initial(self, draws):
        time = ops.zeros_like(draws["word"], dtype="int32")
        return {
            "word": draws["word"],
            "time": time,
            "drawn": ops.zeros_like(time, dtype="float32"),
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def draw_step(self, key, num_envs):
        return {"noise": random.uniform(key, (num_envs,))}

    def transition(self, state, action, draws):
        time = state["time"] + 1
        terminated = time > ops.cast(state["word"] % 8, "int32")
        state = {**state, "time": time, "drawn": draws["noise"], "terminated": terminated}
        return state, draws["noise"], terminated, ops.zeros_like(terminated)

    def observation(self, state):
        return ops.expand_dims(state["drawn"], 1)


COINS = AutoReset(Coin())


@pytest.mark.slow
def test_episodes_are_distinct_and_short_ones_are_not_favoured_in_compiled_code():
    _, rows = compiled_roll(COINS, 400)(COINS.initial(random.key(1), 256))
    words = rows["env"]["word"][rows["is_first"]]
    assert len(set(words.tolist())) == len(words)
    lengths = rows["episode_length"][rows["episode_ended"]]
    # Episodes that started well before the end of the record: each length equally often.
    started_early = words[: len(words) - 2000] % 8 + 1
    counts = np.bincount(started_early, minlength=9)[1:]
    expected = len(started_early) / 8
    assert len(started_early) > 15_000
    assert np.sum((counts - expected) ** 2 / expected) < 29.9  # 7 degrees of freedom, 1 in 10,000
    assert set(lengths) == set(range(1, 9))
    firsts = rows["is_first"].sum(axis=0)
    assert (rows["episode_ended"][:-1].sum(axis=0) == firsts - 1).all()


def test_noise_of_steps_is_drawn_anew_every_step_and_for_every_environment():
    _, rows = compiled_roll(COINS, 400)(COINS.initial(random.key(3), 256))
    noise = rows["reward"]
    # Of 24-bit draws a few are equal by chance.
    assert len(np.unique(noise)) > 0.99 * noise.size
    assert abs(noise.mean() - 0.5) < 0.005


def test_the_pool_changes_only_in_steps_in_which_an_episode_ends():
    _, rows = compiled_roll(COINS, 200)(COINS.initial(random.key(2), 2))
    changed = (rows["pool"]["word"][1:] != rows["pool"]["word"][:-1]).any(axis=1)
    ended = rows["episode_ended"][:-1].any(axis=1)
    assert changed.any() and (~ended).any() and (ended & ~changed).any()
    assert not (changed & ~ended).any()


def assert_equal(first, second):
    keras.tree.map_structure(np.testing.assert_array_equal, first, second)


def test_equal_keys_give_equal_bits_and_other_keys_others():
    program = compiled_roll(COINS, 200)
    first = program(COINS.initial(random.key(4), 2))
    assert_equal(program(COINS.initial(random.key(4), 2)), first)
    other = program(COINS.initial(random.key(5), 2))
    assert (other[1]["env"]["word"] != first[1]["env"]["word"]).all()
    assert (other[1]["reward"] != first[1]["reward"]).all()


def test_a_run_in_two_parts_equals_the_whole():
    start = COINS.initial(random.key(6), 2)
    whole_state, whole = compiled_roll(COINS, 200)(start)
    half = compiled_roll(COINS, 100)
    middle, first = half(start)
    end, second = half(keras.tree.map_structure(ops.convert_to_tensor, middle))
    joined = keras.tree.map_structure(lambda a, b: np.concatenate([a, b]), first, second)
    assert_equal(joined, whole)
    assert_equal(end, whole_state)


@pytest.mark.slow
def test_the_state_can_be_donated():
    autoreset = AutoReset(AgentView(envs.make("RepeatPreviousEasy")))
    step = backend.compile(autoreset.step, donate_argnums=(0,))
    state = autoreset.initial(random.key(11), 4)
    for _ in range(2):
        state, transition = step(state, ops.zeros((4,), dtype="int32"))
    np.testing.assert_array_equal(as_numpy(transition["episode_length"]), 2)


@pytest.mark.slow
def test_staggered_first_episodes_are_cut_off_uniformly_and_not_counted():
    autoreset = AutoReset(AgentView(envs.make("RepeatPreviousEasy")))
    num_envs, longest = 2550, 51
    state = autoreset.initial(random.key(8), num_envs, stagger_starts=True)
    step = backend.compile(autoreset.step)
    first_ends = np.zeros(num_envs, int)
    for time in range(1, longest + 1):
        state, row = step(state, ops.zeros((num_envs,), dtype="int32"))
        row = as_numpy(row)
        cut = row["truncated"]
        # The whole first episode ends by itself in its last step, cut off or not; others go on.
        np.testing.assert_array_equal(row["episode_ended"], row["terminated"])
        np.testing.assert_array_equal(row["discount"], 1.0 - row["terminated"])
        assert not (cut & (first_ends > 0)).any()
        np.testing.assert_array_equal(row["episode_length"][cut], time)
        first_ends[cut] = time
        np.testing.assert_array_equal(
            ops.convert_to_numpy(state["is_first"]), cut | row["terminated"]
        )
    assert first_ends.min() == 1
    counts = np.bincount(first_ends, minlength=longest + 1)[1:]
    assert counts.sum() == num_envs
    assert np.sum((counts - 50) ** 2 / 50) < 93.2  # 50 degrees of freedom, 1 in 5,000


@pytest.mark.slow
def test_without_stagger_nothing_is_cut_off():
    autoreset = AutoReset(envs.make("RepeatPreviousEasy"))
    _, rows = compiled_roll(autoreset, 102)(autoreset.initial(random.key(9), 3))
    assert not rows["truncated"].any()
    np.testing.assert_array_equal(np.flatnonzero(rows["terminated"].all(axis=1)), [50, 101])
    np.testing.assert_array_equal(rows["episode_ended"], rows["terminated"])


def test_the_agents_view_is_right_across_resets():
    autoreset = AutoReset(AgentView(Numbered([2, 3])))
    state = autoreset.initial(random.key(10), 2)
    step = backend.compile(autoreset.step)
    observations, finals = [as_numpy(autoreset.observation(state))], []
    for _ in range(3):
        state, row = step(state, ops.ones((2,), dtype="int32"))
        observations.append(as_numpy(autoreset.observation(state)))
        finals.append(as_numpy(row["final_observation"]))
    # Columns: number and time, previous action 0 or 1, later or first step.
    observations, finals = np.stack(observations)[:, 0], np.stack(finals)[:, 0]
    np.testing.assert_array_equal(observations[0, 1:], [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(observations[1, 1:], [1, 0, 1, 1, 0])
    np.testing.assert_array_equal(observations[2, 1:], [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(observations[3, 1:], [1, 0, 1, 1, 0])
    # The observation that ended the episode knows the last action and is no first step.
    np.testing.assert_array_equal(finals[1], [observations[0, 0], 2, 0, 1, 1, 0])
    assert observations[2, 0] != observations[0, 0]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX maps loops and branches over seeds.")
def test_seeds_side_by_side_equal_each_alone():
    autoreset = AutoReset(AgentView(envs.make("PositionOnlyCartPoleEasy")))
    starts = [autoreset.initial(random.key(seed), 4) for seed in (12, 13, 14)]

    def run(state):
        def body(state, _):
            return autoreset.step(state, ops.zeros_like(state["episode_length"]))

        return backend.scan(body, state, None, length=40)

    together = keras.tree.map_structure(lambda *parts: ops.stack(parts), *starts)
    together = as_numpy(backend.compile(lambda states: ops.vectorized_map(run, states))(together))
    alone = backend.compile(run)
    for seed, start in enumerate(starts):
        lone = as_numpy(alone(start))
        one = keras.tree.map_structure(lambda leaf, seed=seed: leaf[seed], together)
        keras.tree.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one, lone
        )
    assert together[1]["episode_ended"][:, :-1].any(axis=(1, 2)).all()


@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX maps loops and branches over seeds.")
def test_restarts_and_new_pools_stay_branches_when_seeds_are_mapped():
    import jax

    autoreset = AutoReset(AgentView(envs.make("RepeatPreviousEasy")))
    states = [autoreset.initial(random.key(seed), 4) for seed in (0, 1)]
    together = keras.tree.map_structure(lambda *parts: ops.stack(parts), *states)
    action = ops.zeros((4,), dtype="int32")
    program = str(jax.make_jaxpr(jax.vmap(lambda state: autoreset.step(state, action)))(together))
    assert program.count("cond[") == 2


def test_an_episode_that_does_not_end_is_truncated_at_its_time_limit():
    autoreset = AutoReset(AgentView(Counting()))
    _, rows = compiled_roll(autoreset, 30)(autoreset.initial(random.key(0), 3))
    ends = np.arange(30) % 7 == 6
    np.testing.assert_array_equal(rows["truncated"], np.repeat(ends[:, None], 3, 1))
    np.testing.assert_array_equal(rows["episode_ended"], rows["truncated"])
    assert not rows["terminated"].any()
    np.testing.assert_array_equal(rows["discount"], 1.0)  # it is bootstrapped
    np.testing.assert_array_equal(rows["episode_length"][:, 0], np.arange(30) % 7 + 1)
    np.testing.assert_array_equal(rows["episode_return"], rows["episode_length"])
    np.testing.assert_array_equal(rows["final_observation"][ends][:, :, 0], 7.0)
    np.testing.assert_array_equal(rows["is_first"][1:], rows["truncated"][:-1])


@pytest.mark.slow
def test_flags_of_an_environment_that_ends_by_itself_stay_as_they_are():
    # Numbered episodes of 4 steps, of a limit of 4: terminated, truncated and both.
    autoreset = AutoReset(Numbered([4]))
    _, rows = roll(autoreset, autoreset.initial(random.key(0), 30), 4)
    number = np.arange(30)
    np.testing.assert_array_equal(rows["terminated"][3], (number % 2 == 0) | (number % 5 == 0))
    np.testing.assert_array_equal(rows["truncated"][3], (number % 2 == 1) | (number % 5 == 0))


@pytest.mark.parametrize("limit", [None, 0, -1, 3.5, True, 2**31, "10"])
def test_a_limit_that_cannot_be_applied_is_refused(limit):
    with pytest.raises(ValueError, match="`max_episode_steps` should be"):
        AutoReset(broken(max_episode_steps=limit))

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym.mine_sweeper import MineSweeper
from tests.envs.popgym import chi_square
from tests.envs.popgym.one_episode import play_one
from tests.support.differentiate import compiled

needs_random_bits = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)


# . * .
# . . *     and 4 clear cells
BOARD = [1, 5]


@pytest.mark.slow
def test_clear_cells_are_worth_a_share_of_1_and_the_last_one_ends_the_episode():
    shots = [(0, 0), (0, 2), (1, 0), (1, 1)]
    observations, rewards, terminated, truncated = play_one(
        MineSweeper((2, 3), 2), {"mines_flat": BOARD}, shots
    )
    assert observations == [0, 1, 2, 1, 2]
    np.testing.assert_allclose(rewards, 0.25)
    assert terminated == [False, False, False, True]
    assert not any(truncated)


def test_a_mine_counts_itself_and_ends_the_episode_even_in_the_last_step():
    shots = [(0, 0), (1, 1), (1, 0), (0, 1)]
    observations, rewards, terminated, truncated = play_one(
        MineSweeper((2, 3), 2), {"mines_flat": BOARD}, shots
    )
    assert observations == [0, 1, 2, 1, 2]
    np.testing.assert_allclose(rewards, [0.25, 0.25, 0.25, -0.75])
    assert terminated == [False, False, False, True]
    assert not any(truncated)


def test_a_viewed_cell_costs_and_makes_the_episode_run_out_of_time():
    shots = [(1, 1), (1, 1), (1, 1), (0, 0)]
    observations, rewards, terminated, truncated = play_one(
        MineSweeper((2, 3), 2), {"mines_flat": BOARD}, shots
    )
    assert observations == [0, 2, 2, 2, 1]
    np.testing.assert_allclose(rewards, [0.25, -0.25, -0.25, 0.25])
    assert not any(terminated)
    assert truncated == [False, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize(("dims", "num_mines"), [((8, 8), 10), ((3, 7), 12)])
def test_numbers_are_the_mines_of_the_block_of_three_by_three(dims, num_mines):
    generator = np.random.default_rng(1)
    height, width = dims
    env = MineSweeper(dims, num_mines)
    for _ in range(3):
        mines_flat = generator.choice(height * width, num_mines, replace=False)
        mines = np.zeros(height * width, int)
        mines[mines_flat] = 1
        padded = np.pad(mines.reshape(dims), 1)
        numbers = [
            padded[y : y + 3, x : x + 3].sum() for y, x in itertools.product(*map(range, dims))
        ]
        # All cells at once, each in an environment of its own.
        rows = np.tile(mines_flat.astype("int32"), (height * width, 1))
        state = env.initial({"mines_flat": ops.convert_to_tensor(rows)})
        np.testing.assert_array_equal(ops.convert_to_numpy(env.observation(state)), 0)
        cells = np.array(list(itertools.product(*map(range, dims))), "int32")
        state, _, terminated, _ = env.transition(state, ops.convert_to_tensor(cells), {})
        np.testing.assert_array_equal(ops.convert_to_numpy(env.observation(state)), numbers)
        np.testing.assert_array_equal(ops.convert_to_numpy(terminated), mines == 1)
        # A clear cell is viewed now (2), a mine stays one (1).
        codes = ops.convert_to_numpy(state["board"])[range(len(cells)), range(len(cells))]
        np.testing.assert_array_equal(codes, np.where(mines, 1, 2))


def drawn(env, seed, num_envs):
    draw = compiled(lambda key: env.draw_initial(key, num_envs)["mines_flat"])
    return np.array(ops.convert_to_numpy(draw(random.key(seed))))


@needs_random_bits
def test_every_set_of_mines_is_equally_likely():
    mines = np.sort(drawn(MineSweeper((2, 4), 3), 1, 40_000), axis=1)
    subsets, counts = np.unique(mines, axis=0, return_counts=True)
    np.testing.assert_array_equal(subsets, list(itertools.combinations(range(8), 3)))
    limit = chi_square.limit(len(subsets) - 1)
    assert chi_square.statistic(counts, 40_000 / len(subsets)) < limit
    # The test sees a cell that is a mine too often, by 3 per cent.
    moved = (np.random.default_rng(0).random(40_000) < 0.03) & (mines[:, 0] > 0)
    mines[moved, 0] = 0
    _, counts = np.unique(mines, axis=0, return_counts=True)
    assert chi_square.statistic(counts, 40_000 / len(subsets)) > limit


@pytest.mark.slow
@needs_random_bits
@pytest.mark.parametrize(("dims", "num_mines"), [((4, 4), 2), ((8, 8), 10)])
def test_mines_are_as_likely_in_every_cell_and_pair_of_cells(dims, num_mines):
    mines = drawn(MineSweeper(dims, num_mines), 2, 30_000)
    assert mines.dtype == "int32" and mines.shape == (30_000, num_mines)
    num_cells = dims[0] * dims[1]
    held = np.zeros((30_000, num_cells))
    np.put_along_axis(held, mines, 1, axis=1)
    assert (held.sum(axis=1) == num_mines).all()
    share = num_mines / num_cells
    # Counts without replacement vary less than a multinomial's, by 1 - share, and sum up to a
    # constant.
    spread = (1 - share) * num_cells / (num_cells - 1)
    counts = held.sum(axis=0)
    statistic = chi_square.statistic(counts, 30_000 * share) / spread
    assert statistic < chi_square.limit(num_cells - 1)
    together = held.T @ held / 30_000
    expected = share * (num_mines - 1) / (num_cells - 1)
    error = np.sqrt(expected / 30_000)
    assert np.abs(together[~np.eye(num_cells, dtype=bool)] - expected).max() < 5 * error


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dims", {"dims": (0, 4)}),
        ("dims", {"dims": (4, 2.5)}),
        ("num_mines", {"num_mines": 0}),
    ],
)
def test_numbers_that_are_no_positive_integers_are_refused(name, arguments):
    with pytest.raises(ValueError, match=rf"`{name}` should be a positive integer\. Received"):
        MineSweeper(**arguments)


@pytest.mark.parametrize("num_mines", [14, 16, 40])
def test_fewer_than_3_clear_cells_are_refused(num_mines):
    message = f"`num_mines` should leave at least 3 clear cells.*Received: num_mines={num_mines}"
    with pytest.raises(ValueError, match=message):
        MineSweeper((4, 4), num_mines)

import collections

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym import battleship
from keras_s5rl.envs.popgym.battleship import Battleship
from tests.envs.popgym import chi_square
from tests.envs.popgym.one_episode import play_one
from tests.support.differentiate import compiled

needs_random_bits = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)


SHIP_IN_A_CORNER = [[0, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_a_cell_shot_at_again_is_a_miss_whatever_it_holds():
    env = Battleship(board_size=3, ship_sizes=[2])
    shots = [(1, 2), (1, 2), (0, 0), (0, 0), (2, 2)]
    observations, rewards, terminated, truncated = play_one(env, {"board": SHIP_IN_A_CORNER}, shots)
    assert observations == [0, 1, 0, 0, 0, 1]
    np.testing.assert_allclose(rewards, [1 / 2, -1 / 7, -1 / 7, -1 / 7, 1 / 2], rtol=1e-6)
    assert terminated == [False] * 4 + [True]
    assert not any(truncated)


def test_the_last_hit_in_the_last_step_sets_both_flags():
    env = Battleship(board_size=3, ship_sizes=[2])
    shots = [(1, 2)] * 8 + [(2, 2)]
    _, _, terminated, truncated = play_one(env, {"board": SHIP_IN_A_CORNER}, shots)
    assert terminated == truncated == [False] * 8 + [True]
    _, _, terminated, truncated = play_one(env, {"board": SHIP_IN_A_CORNER}, shots[1:] + [(0, 0)])
    assert terminated == [False] * 7 + [True] * 2 and truncated == [False] * 8 + [True]


def placements(board_size, ship_size):
    """Sets of cells, along rows first, in the order of their first cells."""
    starts = range(board_size - ship_size + 1)
    sides, along = range(board_size), range(ship_size)
    across = [frozenset((y, x + i) for i in along) for y in sides for x in starts]
    down = [frozenset((y + i, x) for i in along) for y in starts for x in sides]
    return across + down


@pytest.mark.slow
def test_a_word_chooses_among_the_placements_that_overlap_no_earlier_ship():
    board_size, ship_sizes = 12, (2, 3, 3, 4)
    words = np.random.default_rng(3).integers(0, 2**31 - 1, (40, len(ship_sizes)))
    words = words.astype("int32")
    placed = battleship.place_ships(ops.convert_to_tensor(words), board_size, ship_sizes)
    for row, board in zip(words, ops.convert_to_numpy(placed), strict=True):
        occupied = frozenset()
        for word, size in zip(row, ship_sizes, strict=True):
            free = [p for p in placements(board_size, size) if not p & occupied]
            occupied |= free[word % len(free)]
        assert {tuple(cell) for cell in np.argwhere(board)} == occupied
        assert board.dtype == "int8" and board.sum() == 12


def distribution(board_size, ship_sizes):
    """The probability of every board, by placing the ships in every way."""
    boards = {frozenset(): 1.0}
    for size in ship_sizes:
        following = collections.Counter()
        for occupied, probability in boards.items():
            free = [p for p in placements(board_size, size) if not p & occupied]
            for placement in free:
                following[occupied | placement] += probability / len(free)
        boards = following
    return boards


def drawn(env, seed, num_envs):
    draw = compiled(lambda key: env.draw_initial(key, num_envs)["board"])
    return np.array(ops.convert_to_numpy(draw(random.key(seed))))


def board_statistic(boards, probabilities):
    # Binary words of 16 cells name the boards.
    weights = 2 ** np.arange(16).reshape(4, 4)
    names = [sum(weights[cell] for cell in board) for board in probabilities]
    counts = np.bincount((boards * weights).sum(axis=(1, 2)), minlength=2**16)
    assert counts[names].sum() == len(boards)
    expected = len(boards) * np.array(list(probabilities.values()))
    return chi_square.statistic(counts[names], expected)


@pytest.mark.slow
@needs_random_bits
def test_every_board_is_as_likely_as_by_placing_one_ship_after_the_other():
    env = Battleship(board_size=4, ship_sizes=(3, 2))
    probabilities = distribution(4, (3, 2))
    boards = drawn(env, 1, 60_000)
    limit = chi_square.limit(len(probabilities) - 1)
    assert len(probabilities) > 200
    assert board_statistic(boards, probabilities) < limit
    # The test sees 3 per cent of boards with the ships against the upper edge more than there
    # should be, and ships placed in the other order.
    biased = boards.copy()
    extra = np.random.default_rng(0).random(len(boards)) < 0.03
    biased[extra] = [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert board_statistic(biased, probabilities) > limit
    in_other_order = drawn(Battleship(board_size=4, ship_sizes=(2, 3)), 1, 60_000)
    assert board_statistic(in_other_order, probabilities) > limit


# Measured on popgym 1.0.7 to 0.005: mean of the upper left quarter of 8 x 8 cells.
OCCUPANCY = [
    [0.094, 0.136, 0.170, 0.184],
    [0.134, 0.170, 0.197, 0.208],
    [0.172, 0.200, 0.225, 0.237],
    [0.182, 0.210, 0.239, 0.247],
]


@needs_random_bits
def test_cells_are_occupied_as_often_as_in_popgym():
    boards = drawn(Battleship(), 2, 20_000)
    assert (boards.sum(axis=(1, 2)) == 12).all()
    mean = boards.mean(axis=0)
    quarter = (mean + mean[::-1] + mean[:, ::-1] + mean[::-1, ::-1])[:4, :4] / 4
    np.testing.assert_allclose(quarter, OCCUPANCY, atol=0.007)
    np.testing.assert_allclose(mean, mean.T, atol=0.015)


@pytest.mark.parametrize("board_size", [0, 8.0, True])
def test_a_board_size_that_is_no_positive_integer_is_refused(board_size):
    with pytest.raises(ValueError, match=r"`board_size` should be a positive integer\. Received"):
        Battleship(board_size=board_size)


@pytest.mark.parametrize(
    ("board_size", "ship_sizes"),
    [(8, []), (3, [4]), (4, [2, 2, 4]), (2, [1, 1, 1, 1]), (1, [1])],
)
def test_ships_that_may_not_find_room_or_leave_no_water_are_refused(board_size, ship_sizes):
    with pytest.raises(ValueError, match=r"`ship_sizes` should hold .*Received: ship_sizes=\["):
        Battleship(board_size=board_size, ship_sizes=ship_sizes)

"""Mazes are distributed as popgym's generator makes them."""

import collections
import functools
import random as python_random

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym import mazes
from tests.envs.popgym import chi_square
from tests.support.differentiate import compiled

needs_random_bits = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
LEFT_RIGHT_UP_DOWN = ((0, -1), (0, 1), (-1, 0), (1, 0))


def to_words(generator, shape):
    return generator.integers(0, 2**31 - 1, shape).astype("int32")


def neighbours(cell, cells):
    """The neighbours of a cell that are among `cells`: left, right, up, down."""
    return [
        (cell[0] + y, cell[1] + x)
        for y, x in LEFT_RIGHT_UP_DOWN
        if (cell[0] + y, cell[1] + x) in cells
    ]


def carve(passages, rows, columns):
    """The grid of the passages, each a pair of neighbouring cells."""
    grid = np.ones((2 * rows + 1, 2 * columns + 1), "int8")
    grid[1::2, 1::2] = 0
    for (row, column), (other_row, other_column) in passages:
        grid[row + other_row + 1, column + other_column + 1] = 0
    return grid


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (3, 6)])
def test_words_choose_the_start_of_each_walk_and_each_step_of_it(rows, columns):
    words = to_words(np.random.default_rng(1), (rows * columns, 2, 30))
    grids = mazes.hunt_and_kill(ops.convert_to_tensor(words), rows, columns)
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    for i, grid in enumerate(ops.convert_to_numpy(grids)):
        cell = cells[words[0, 0, i] % len(cells)]
        unvisited, passages = set(cells) - {cell}, []
        for hunt, kill in words[1:, :, i]:
            if not neighbours(cell, unvisited):
                starts = [c for c in cells if c not in unvisited and neighbours(c, unvisited)]
                cell = starts[hunt % len(starts)]
            choices = neighbours(cell, unvisited)
            following = choices[kill % len(choices)]
            passages.append((cell, following))
            unvisited.remove(following)
            cell = following
        np.testing.assert_array_equal(grid, carve(passages, rows, columns))
        assert grid.dtype == "int8"


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (2, 4)])
def test_words_choose_the_side_and_the_places_of_the_entrances(rows, columns):
    words = to_words(np.random.default_rng(2), (3, 200))
    start, end = mazes.entrances(ops.convert_to_tensor(words), rows, columns)
    for i, (first, last) in enumerate(
        zip(ops.convert_to_numpy(start), ops.convert_to_numpy(end), strict=True)
    ):
        side, place, other_place = words[:, i]
        across = (0, 2 * (rows if side % 4 < 2 else columns))
        size = columns if side % 4 < 2 else rows
        expected = [
            (across[side % 2], 2 * (place % size) + 1),
            (across[1 - side % 2], 2 * (other_place % size) + 1),
        ]
        if side % 4 >= 2:
            expected = [position[::-1] for position in expected]
        assert [tuple(first), tuple(last)] == expected


def popgyms_maze(rng, rows, columns, biased):
    """popgym's generator in plain Python, on its grid, with every try that its hunt takes.

    `biased` is the share of steps that go left where they can.
    """
    height, width = 2 * rows + 1, 2 * columns + 1
    grid = [[1] * width for _ in range(height)]

    def random_cell():
        return 2 * rng.randrange(rows) + 1, 2 * rng.randrange(columns) + 1

    def closed_neighbours(y, x):
        near = [(y + 2 * dy, x + 2 * dx) for dy, dx in LEFT_RIGHT_UP_DOWN]
        return [(v, u) for v, u in near if 0 < v < height and 0 < u < width and grid[v][u]]

    y, x = random_cell()
    grid[y][x] = 0
    for _ in range(height * width + 1):
        while not grid[y][x] and closed_neighbours(y, x):
            choices = closed_neighbours(y, x)
            v, u = choices[0] if rng.random() < biased else rng.choice(choices)
            grid[v][u] = grid[(y + v) // 2][(x + u) // 2] = 0
            y, x = v, u
        y, x = random_cell()
    return grid


def open_around(grids):
    """How many of the four places around each cell are open, `(num_mazes, rows, columns)`."""
    is_open = grids == 0
    sides = (
        is_open[:, :-2, 1:-1],
        is_open[:, 2:, 1:-1],
        is_open[:, 1:-1, :-2],
        is_open[:, 1:-1, 2:],
    )
    return sum(side.astype(int) for side in sides)[:, ::2, ::2]


def distances(grids, start):
    """Steps from the start to every open place, -1 where there is no way."""
    is_open = (grids == 0).copy()
    reached = np.zeros(is_open.shape, bool)
    reached[np.arange(len(grids)), start[:, 0], start[:, 1]] = True
    is_open |= reached
    distance = np.where(reached, 0, -1)
    for step in range(1, is_open.size):
        padded = np.pad(reached, ((0, 0), (1, 1), (1, 1)))
        near = (
            padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1] | padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:]
        )
        new = near & is_open & ~reached
        if not new.any():
            return distance
        distance[new] = step
        reached |= new


def features(grids):
    """Whole numbers that describe each maze, by name."""
    ways = open_around(grids)
    rows, columns = ways.shape[1:]
    corner = np.tile([1, 1], (len(grids), 1))
    distance = distances(grids, corner)
    is_open = grids == 0
    dead_end = ways == 1
    return {
        "dead ends": dead_end.sum(axis=(1, 2)),
        "dead ends in corners": dead_end[:, :: rows - 1, :: columns - 1].sum(axis=(1, 2)),
        "crossings": (ways >= 3).sum(axis=(1, 2)),
        "corridors left and right": is_open[:, 1::2, 2:-1:2].sum(axis=(1, 2)),
        "openings in the left half": is_open[:, :, :columns].sum(axis=(1, 2)),
        "openings in the upper half": is_open[:, :rows].sum(axis=(1, 2)),
        "way from corner to corner": np.maximum(distance[:, -2, -2], 0) // 4,
        "longest way from a corner": distance.max(axis=(1, 2)) // 4,
    }


def rejected(grids, reference):
    """The features in which mazes differ from those of reference, by their mean or in all."""
    names = []
    for name, values in features(grids).items():
        other = reference[name]
        error = np.sqrt(values.var() / len(values) + other.var() / len(other))
        size = max(values.max(), other.max()) + 1
        counts = np.stack([np.bincount(values, minlength=size), np.bincount(other, minlength=size)])
        is_rare = counts.sum(axis=0) < 20  # these together
        pooled = np.column_stack([counts[:, ~is_rare], counts[:, is_rare].sum(axis=1)])
        statistic, limit = chi_square.two_samples(*pooled)
        if abs(values.mean() - other.mean()) > 3.9 * error or statistic > limit:
            names.append(name)
    return names


NUM_MAZES = 3000


@functools.cache
def drawn(seed, num_mazes, rows, columns):
    draw = compiled(lambda key: mazes.draw_mazes(key, num_mazes, rows, columns))
    return [ops.convert_to_numpy(value) for value in draw(random.key(seed))]


def popgyms_mazes(seed, biased=0.0):
    rng = python_random.Random(seed)
    return np.array([popgyms_maze(rng, 5, 5, biased) for _ in range(NUM_MAZES)], "int8")


@pytest.fixture(scope="module")
def reference():
    return features(popgyms_mazes(1))


@pytest.mark.reference
@needs_random_bits
def test_mazes_are_distributed_as_those_of_popgyms_generator(reference):
    grids, _, _ = drawn(1, NUM_MAZES, 5, 5)
    assert rejected(grids, reference) == []


@pytest.mark.reference
def test_the_comparison_sees_a_bias_of_5_per_cent(reference):
    assert "corridors left and right" in rejected(popgyms_mazes(2, biased=0.05), reference)


def distribution(rows, columns):
    """The probability of every maze, by carving in every way."""
    cells = frozenset((row, column) for row in range(rows) for column in range(columns))

    @functools.cache
    def following(cell, unvisited):
        """The probability of every set of the passages still to be opened."""
        if not unvisited:
            return {frozenset(): 1.0}
        starts = [cell]
        if not neighbours(cell, unvisited):
            starts = [c for c in cells - unvisited if neighbours(c, unvisited)]
        result = collections.Counter()
        for start in starts:
            choices = neighbours(start, unvisited)
            for choice in choices:
                passage = (min(start, choice), max(start, choice))
                for rest, probability in following(choice, unvisited - {choice}).items():
                    result[rest | {passage}] += probability / len(starts) / len(choices)
        return result

    result = collections.Counter()
    for cell in cells:
        for passages, probability in following(cell, cells - {cell}).items():
            result[passages] += probability / len(cells)
    return result


@pytest.mark.slow
@needs_random_bits
def test_every_small_maze_is_as_likely_as_it_should_be():
    probabilities = distribution(3, 3)
    assert len(probabilities) == 174  # of 192 spanning trees; the others no walk can make
    expected = 20_000 * np.array(list(probabilities.values()))
    grids, _, _ = drawn(4, 20_000, 3, 3)
    # Numbers of 49 bits name the mazes.
    bits = 2.0 ** np.arange(49)
    names = np.stack([carve(passages, 3, 3).ravel() for passages in probabilities]) @ bits
    distinct, repeats = np.unique(grids.reshape(20_000, 49) @ bits, return_counts=True)
    occurred = dict(zip(distinct, repeats, strict=True))
    assert set(occurred) <= set(names)
    counts = np.array([occurred.get(name, 0) for name in names])

    is_rare = expected < 20  # these together

    def statistic(counts, expected):
        counts = np.append(counts[~is_rare], counts[is_rare].sum())
        expected = np.append(expected[~is_rare], expected[is_rare].sum())
        return chi_square.statistic(counts, expected)

    limit = chi_square.limit((~is_rare).sum())
    assert statistic(counts, expected) < limit
    # The test sees 3 per cent too many of the likeliest maze.
    likeliest = np.eye(len(names))[expected.argmax()]
    assert statistic(0.97 * counts + 600 * likeliest, expected) > limit


@pytest.mark.slow
@needs_random_bits
def test_corridors_are_a_spanning_tree_and_lead_from_the_start_to_the_end():
    grids, start, end = drawn(1, NUM_MAZES, 5, 5)
    grids = grids.copy()
    assert (grids[:, [0, -1]] == 1).all() and (grids[:, :, [0, -1]] == 1).all()
    # As many openings as a tree has cells and edges, and all within reach.
    assert ((grids == 0).sum(axis=(1, 2)) == 2 * 5 * 5 - 1).all()
    for position in (start, end):
        grids[np.arange(NUM_MAZES), position[:, 0], position[:, 1]] = 0
    np.testing.assert_array_equal(distances(grids, start) >= 0, grids == 0)


@pytest.mark.slow
@needs_random_bits
def test_entrances_are_uniform_over_the_sides_and_along_them():
    _, start, end = drawn(4, 20_000, 3, 3)
    border = [(0, 1), (0, 3), (0, 5), (6, 1), (6, 3), (6, 5)]
    border += [position[::-1] for position in border]
    pairs = collections.Counter(
        (tuple(first), tuple(last))
        for first, last in zip(start.tolist(), end.tolist(), strict=True)
    )
    opposite = [
        (first, last)
        for first in border
        for last in border
        if abs(first[0] - last[0]) == 6 or abs(first[1] - last[1]) == 6
    ]
    assert set(pairs) == set(opposite) and len(opposite) == 36
    counts = np.array([pairs[pair] for pair in opposite])
    assert chi_square.statistic(counts, 20_000 / 36) < chi_square.limit(35)
    # The test sees 4 per cent of all that start in the upper side instead of where they should.
    counts = 0.96 * counts
    counts[:9] += 800 / 9
    assert chi_square.statistic(counts, 20_000 / 36) > chi_square.limit(35)

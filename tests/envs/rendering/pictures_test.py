"""Pictures: their size, and that they show what there is to see, no more and no less."""

import numpy as np
import pytest

from keras_s5rl import envs
from keras_s5rl.envs.rendering import render
from tests.envs.popgym.families import FAMILIES
from tests.envs.rendering.recorded import recorded_states

# family: pairs of a part of the state and of a place in it at step 3; first what is to be seen in a
# picture, then what is not. A part is changed to another possible value.
LABYRINTH = ([("board", 12), ("position", 1), ("previous_action", ())], [])
PHYSICS = [("physics", i) for i in range(2)]
CART_POLE = ([("physics", i) for i in range(4)], [])
CHANGES = {
    "Autoencode": ([("suits", 0), ("suits", 3)], [("suits", 4), ("suits", 51)]),
    "Battleship": ([("board", 0), ("board", 63), ("num_hits", ())], [("hit", ())]),
    "Concentration": ([("is_up", 20), ("shown", 0)], [("classes", 51)]),
    "CountRecall": (
        [("values", 3), ("queries", 3), ("counts", 0), ("counts", 1)],
        [("values", 2), ("values", 4), ("queries", 2), ("queries", 4)],
    ),
    "HigherLower": (
        [("ranks", 2), ("suits", 2), ("ranks", 3), ("suits", 3)],
        [("ranks", 1), ("ranks", 4), ("suits", 4)],
    ),
    "LabyrinthEscape": LABYRINTH,
    "LabyrinthExplore": (
        [*LABYRINTH[0], ("explored", 12), ("num_unexplored", ())],
        [("reward_of_new_cell", ())],
    ),
    "MineSweeper": ([("board", 0), ("board", 15), ("num_viewed", ())], [("shown", ())]),
    "MultiarmedBandit": ([("bandits", 0), ("bandits", 9), ("paid", ())], []),
    "NoisyPositionOnlyCartPole": ([*CART_POLE[0], ("noise", 0), ("noise", 1)], []),
    "NoisyPositionOnlyPendulum": ([*PHYSICS, ("noise", 0), ("noise", 1)], []),
    "PositionOnlyCartPole": CART_POLE,
    "PositionOnlyPendulum": (PHYSICS, []),
    "RepeatFirst": ([("suits", 0), ("suits", 3)], [("suits", 1), ("suits", 2), ("suits", 4)]),
    "RepeatPrevious": ([("suits", 0), ("suits", 2)], [("suits", 4), ("suits", 51)]),
    "VelocityOnlyCartpole": CART_POLE,
}
ENVIRONMENTS = [f"{family}Easy" for family in FAMILIES] + ["MemoryChain"]


def picture(env, state, *last_step):
    return render(env, state, "rgb_array", *last_step)


def changed(state, part, place):
    values = np.array(state[part])
    if values.dtype.kind == "f":
        values[place] = values[place] * 0.5 + 0.1
    elif values.dtype.kind == "b":
        values[place] = not values[place]
    else:
        values[place] += 1 if values[place] <= 0 else -1
    return {**state, part: values}


def states_of(name):
    if name != "MemoryChain":
        env, golden, episodes = recorded_states(name)
        return env, episodes[0], golden.actions[0]
    env = envs.make(name, memory_length=10, num_bits=4)
    context = np.array([0, 1, 1, 0], "int8")
    states = [
        {"context": context, "query": np.int32(1), "time": np.int32(time)} for time in range(12)
    ]
    return env, states, np.zeros(11, "int32")


def test_every_family_is_tried():
    assert set(CHANGES) == set(FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pictures_are_of_one_size_and_each_step_changes_them(name):
    env, states, actions = states_of(name)
    first = picture(env, states[0])
    assert first.dtype == "uint8" and first.ndim == 3 and first.shape[2] == 3
    assert 100 < first.shape[0] < 600 and 300 < first.shape[1] < 600
    before = first
    for time in (1, 2, 3, len(states) - 1):
        last_step = actions[time - 1], 0.5, 1.25
        shown = picture(env, states[time], *last_step)
        assert shown.shape == first.shape and not np.array_equal(shown, before)
        assert np.array_equal(picture(env, states[time], *last_step), shown)
        without = picture(env, states[time])
        assert not np.array_equal(without, shown)
        before = shown


@pytest.mark.parametrize("family", CHANGES)
def test_pictures_show_what_there_is_to_see_and_nothing_else(family):
    env, episode, _ = states_of(f"{family}Easy")
    state = episode[3] if len(episode) > 3 else episode[-1]
    before = picture(env, state)
    to_see, not_to_see = CHANGES[family]
    for part, place in to_see:
        after = picture(env, changed(state, part, place))
        assert not np.array_equal(after, before), (part, place)
    for part, place in [*not_to_see, ("terminated", ())]:
        after = picture(env, changed(state, part, place))
        assert np.array_equal(after, before), (part, place)


def test_reward_and_return_are_in_the_picture_and_the_text():
    env, states, _ = states_of("RepeatFirstEasy")
    shown = render(env, states[1], "ansi", 2, 0.25, -1.5).split("\n")[-1]
    assert shown == "action clubs  reward +0.2500  return -1.5000"
    pictures = [
        picture(env, states[1], 2, 0.25, -1.5),
        picture(env, states[1], 3, 0.25, -1.5),
        picture(env, states[1], 2, -0.25, -1.5),
        picture(env, states[1], 2, 0.25, 1.5),
    ]
    assert len({shown.tobytes() for shown in pictures}) == 4


def test_the_opened_mine_differs_from_the_others():
    env = envs.make("MineSweeperEasy")
    zeros = np.zeros(16, "int8")
    board = zeros.copy()
    board[[5, 9]] = 1
    state = {"board": board, "num_near": zeros, "num_viewed": np.int32(0), "time": np.int32(1)}
    shown = render(env, state, "ansi", np.array([1, 1])).split("\n")
    assert shown[2:6] == [". . . .", ". X . .", ". * . .", ". . . ."]
    shown, other = (picture(env, state, np.array([row, 1])) for row in (1, 2))
    assert not np.array_equal(shown, other)


def test_the_cards_of_the_last_step_are_marked_also_if_they_stay_up():
    env, states, _ = states_of("ConcentrationEasy")
    state = {**states[0], "is_up": np.arange(52) < 2}
    pair = {**state, "shown": np.array([0, 1], "int32")}
    assert render(env, pair, "ansi") == render(env, state, "ansi")
    assert not np.array_equal(picture(env, pair), picture(env, state))


@pytest.mark.slow
# Those whose pictures grow with the difficulty.
@pytest.mark.parametrize(
    "name",
    [
        *("AutoencodeHard", "BattleshipHard", "ConcentrationMedium", "CountRecallHard"),
        *("LabyrinthExploreHard", "MineSweeperMedium", "MultiarmedBanditHard"),
        "RepeatPreviousHard",
    ],
)
def test_the_margins_of_large_pictures_are_empty(name):
    env, _, episodes = recorded_states(name)
    shown = picture(env, episodes[0][-1])
    for edge in (shown[:3], shown[-3:], shown[:, :3], shown[:, -3:]):
        assert len(np.unique(edge.reshape(-1, 3), axis=0)) == 1


def test_the_mode_is_one_of_two():
    env, states, _ = states_of("MemoryChain")
    with pytest.raises(ValueError, match="`mode` should be .*Received: mode='human'"):
        render(env, states[0], "human")

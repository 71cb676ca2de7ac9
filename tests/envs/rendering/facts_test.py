"""The texts say what popgym recorded: observations, actions and hidden states, not our states."""

import re

import numpy as np
import pytest

from keras_s5rl import envs
from keras_s5rl.envs.rendering import render
from tests.envs.rendering.recorded import recorded_states

pytestmark = pytest.mark.slow

SUITS, RANKS = "♠♦♣♥", ["A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K"]
COLORS = ("black", "red")


def texts(name, num_episodes=3):
    """Yields the lines of every step of the first episodes: `golden, episode, time, lines`."""
    env, golden, episodes = recorded_states(name)
    for episode, states in enumerate(episodes[:num_episodes]):
        for time, state in enumerate(states):
            action = golden.actions[episode][time - 1] if time > 0 else None
            lines = render(env, state, "ansi", action).split("\n")
            assert lines[0].endswith(f"step {time} of {env.max_episode_steps}")
            yield golden, episode, time, lines


def test_repeat_first_shows_the_card_in_sight_and_the_first():
    for golden, episode, time, lines in texts("RepeatFirstEasy"):
        obs = golden.obs[episode]
        expected = f"in sight {SUITS[obs[time]]}  asked for {SUITS[obs[0]]}  {51 - time} cards"
        assert lines[1].startswith(expected)


def test_repeat_previous_shows_the_cards_to_keep_and_the_one_asked_for():
    for golden, episode, time, lines in texts("RepeatPreviousEasy"):
        obs = golden.obs[episode]
        asked = SUITS[obs[time - 3]] if time >= 3 else "-"
        assert lines[1].startswith(f"in sight {SUITS[obs[time]]}  asked for {asked}  ")
        kept = " ".join(SUITS[suit] for suit in obs[max(time - 3, 0) : time + 1])
        assert lines[2] == f"last 4 cards {kept}"


def test_the_card_asked_for_is_the_one_that_is_rewarded():
    for name in ("RepeatFirstEasy", "RepeatPreviousEasy", "AutoencodeEasy"):
        asked = None
        for golden, episode, time, lines in texts(name):
            if time > 0 and asked != "-":
                answer = SUITS[golden.actions[episode][time - 1]]
                assert (golden.rewards[episode][time - 1] > 0) == (answer == asked)
            asked = re.search("asked for (.)", lines[1])[1]


def test_autoencode_shows_phase_and_cards():
    for golden, episode, time, lines in texts("AutoencodeEasy"):
        suits = [SUITS[suit] for suit in golden.obs[episode][:52, 1]]
        phase, in_sight = ("watch", suits[time]) if time < 51 else ("play", "-")
        in_sight = suits[51] if time == 51 else in_sight
        assert lines[1].startswith(f"{phase}  in sight {in_sight}  ")
        assert lines[2] == "watched " + " ".join(suits[: time + 1])


def test_higher_lower_shows_the_last_two_cards():
    for golden, episode, time, lines in texts("HigherLowerEasy"):
        dealt = golden.data["deck_idx"][episode][::-1]
        names = [SUITS[card % 4] + RANKS[card // 4] for card in dealt]
        assert names[time][1:] == RANKS[golden.obs[episode][time]]
        before = names[time - 1] if time > 0 else "-"
        assert lines[1] == f"in sight {names[time]}  before {before}  {51 - time} cards to come"
        if time > 0:
            action = ("higher", "lower")[golden.actions[episode][time - 1]]
            assert lines[2] == f"action {action}"


@pytest.mark.parametrize("level", ["Easy", "Medium", "Hard"])
def test_count_recall_shows_cards_and_counts(level):
    names = {"Easy": COLORS, "Medium": SUITS, "Hard": RANKS}[level]
    for golden, episode, time, lines in texts(f"CountRecall{level}", num_episodes=1):
        values, queries = golden.obs[episode][: time + 1].T
        assert lines[1] == f"shown {names[values[-1]]}  asked for {names[queries[-1]]}"
        counts = [f"{name}: {np.sum(values == index)}" for index, name in enumerate(names)]
        assert lines[2] == "counts " + "  ".join(counts)


def test_concentration_shows_the_cards_that_the_agent_sees():
    for level, names in (("Easy", COLORS), ("Hard", RANKS)):
        for golden, episode, time, lines in texts(f"Concentration{level}", num_episodes=1):
            expected = [[*names, "?"][value] for value in golden.obs[episode][time]]
            assert " ".join(lines[2:6]).split() == expected
            num_pairs = np.sum(golden.rewards[episode][:time] > 0)
            waits = time > 0 and golden.rewards[episode][time - 1] == 0
            waits = ", one waits for its pair" if waits else ""
            assert lines[1] == f"{2 * num_pairs} of 52 cards up{waits}"


def test_battleship_shows_ships_and_shots():
    for golden, episode, time, lines in texts("BattleshipEasy"):
        hits = np.sum(golden.rewards[episode][:time] > 0)
        assert lines[1] == f"hit {hits} of 12 cells of ships"
        is_shot = np.zeros((8, 8), bool)
        is_shot[tuple(golden.actions[episode][:time].T)] = True
        letters = np.array([line.split() for line in lines[2:10]])
        assert np.array_equal(np.isin(letters, list("ox")), is_shot)
        assert np.sum(letters == "x") == hits
        assert np.array_equal((letters == "#")[~is_shot], golden.data["board"][episode][~is_shot])


def test_battleship_shows_hits_and_misses():
    env = envs.make("BattleshipEasy")
    board = np.zeros(64, "int8")
    board[[0, 9, 18]] = 1, 2, 3
    state = {"board": board, "num_hits": np.int32(1), "time": np.int32(2)}
    rows = render(env, state, "ansi").split("\n")[2:]
    assert rows[:3] == ["# . . . . . . .", ". o . . . . . .", ". . x . . . . ."]


def test_mine_sweeper_shows_the_numbers_seen_and_the_mines():
    for golden, episode, time, lines in texts("MineSweeperMedium", num_episodes=7):
        expected = np.full(36, ".", object)
        expected[golden.data["mines_flat"][episode]] = "*"
        num_viewed = 0
        for step in range(time):
            cell = golden.actions[episode][step] @ [6, 1]
            if expected[cell] == "*":
                expected[cell] = "X"
            elif expected[cell] == ".":
                expected[cell] = str(golden.obs[episode][step + 1])
                num_viewed += 1
        assert lines[1] == f"viewed {num_viewed} of 30 clear cells, 6 mines (*)"
        assert [letter for line in lines[2:8] for letter in line.split()] == expected.tolist()


@pytest.mark.parametrize("task", ["Escape", "Explore"])
def test_labyrinths_show_the_walk(task):
    moves = ((0, -1), (0, 1), (-1, 0), (1, 0))
    for golden, episode, time, lines in texts(f"Labyrinth{task}Easy"):
        grid = golden.data["grid"][episode]
        position = tuple(golden.data["start"][episode].tolist())
        visited = {position}
        for action in golden.actions[episode][:time]:
            row, column = np.clip(np.add(position, moves[action]), 0, 10).tolist()
            position = position if grid[row, column] == 1 else (row, column)
            visited.add(position)
        expected = np.array(list(" #SG"))[grid]
        if task == "Explore":
            explored = np.zeros(grid.shape, bool)
            explored[tuple(zip(*visited, strict=True))] = True
            expected = np.where(explored & (expected == " "), ".", expected)
            assert lines[1] == f"{np.sum((grid == 0) & ~explored)} cells to explore"
        expected[position] = "@"
        assert lines[2:13] == ["".join(row) for row in expected]


def numbers(line):
    return [float(number) for number in re.findall(r"[-+][\d.]+", line)]


@pytest.mark.parametrize(
    "name",
    ["PositionOnlyCartPoleEasy", "VelocityOnlyCartpoleEasy", "NoisyPositionOnlyCartPoleEasy"],
)
def test_cart_poles_show_positions_and_speeds(name):
    for golden, episode, time, lines in texts(name):
        x, x_speed, angle, angle_speed = golden.states[episode][time]
        expected = [x, np.degrees(angle), x_speed, np.degrees(angle_speed)]
        assert np.all(np.abs(np.subtract(numbers(lines[2]), expected)) <= (6e-3, 0.06, 6e-3, 0.6))
        place = re.search(r"[|/\\]", lines[1][1:-1]).start()
        assert abs(place - min(max((x + 2.4) * 10, 0), 48)) <= 0.51


@pytest.mark.parametrize("name", ["PositionOnlyPendulumEasy", "NoisyPositionOnlyPendulumEasy"])
def test_pendulums_show_angle_and_speed(name):
    for golden, episode, time, lines in texts(name):
        angle, speed = golden.states[episode][time]
        shown_angle, shown_speed = numbers(lines[1])
        assert abs(np.remainder(shown_angle - np.degrees(angle) + 180, 360) - 180) < 0.06
        assert abs(shown_speed - speed) < 6e-3 and -180 <= shown_angle <= 180
        if time > 0:
            torque = np.clip(golden.actions[episode][time - 1][0], -2, 2)
            assert abs(numbers(lines[2])[0] - torque) < 6e-3


def test_bandits_show_what_the_arms_pay_and_what_the_last_one_paid():
    for golden, episode, time, lines in texts("MultiarmedBanditEasy"):
        shown = [float(p) for p in re.findall(r": ([\d.]+)", lines[2])]
        np.testing.assert_allclose(shown, golden.data["bandits"][episode], rtol=0, atol=6e-3)
        paid = ("did not pay", "paid")[golden.obs[episode][time]]
        assert lines[1] == ("no arm pulled yet" if time == 0 else f"the last pull {paid}")


def test_memory_chains_show_context_and_phase():
    env = envs.make("MemoryChain", memory_length=4, num_bits=3)
    state = {"context": np.array([1, 0, 1], "int8"), "query": np.int32(2)}
    phases = [
        render(env, {**state, "time": np.int32(time)}, "ansi").split("\n")[1:] for time in range(6)
    ]
    assert phases == [
        ["context 1 0 1", phase]
        for phase in (
            *["the context is shown"] * 2,
            *["steps to the question: 2", "steps to the question: 1"],
            *["asked for bit 2", "the answer was given"],
        )
    ]

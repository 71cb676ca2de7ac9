"""Plays popgym itself, and records what was drawn, done and seen."""

import itertools
import warnings
from collections import deque

import gymnasium
import numpy as np

MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))  # of a labyrinth's actions, (row, column)
CLASSES = {2: lambda card: card % 2, 4: lambda card: card % 4, 13: lambda card: card % 52 // 4}


class RecordingGenerator:
    """A NumPy generator that keeps what it returns, by the name of the method."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)
        self.drawn = {}

    def __getattr__(self, name):
        method = getattr(self.generator, name)

        def draw(*args, **kwargs):
            result = method(*args, **kwargs)
            kept = args[0] if name == "shuffle" else result  # it shuffles in place
            self.drawn.setdefault(name, []).append(np.array(kept))
            return result

        return draw


def make(name):
    """The environment of popgym with the package's name for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # popgym on its own labyrinths
        return gymnasium.make(f"popgym:popgym-{name}-v0", disable_env_checker=True)


def record(env, name, seed, informed):
    """Plays one episode.

    Args:
        env: What `make` returned.
        name: String, its name.
        seed: Integer, for what popgym draws and for the actions.
        informed: Share of the actions that follow from what is hidden; the others are random.

    Returns:
        Dict of arrays: the draws under the names of the package, `observations` and, for physics,
        `states` with a row more than `actions`, `rewards`, `terminated` and `truncated`.
    """
    game, generator = env.unwrapped, RecordingGenerator(seed)
    if name.startswith("Labyrinth"):  # it draws from generators of the process
        observation, _ = env.reset(seed=seed)
    else:
        game._np_random = generator
        observation, _ = env.reset()
    draws = _initial_draws(name, game, generator.drawn)
    player, rng = _player(name, game, draws), np.random.default_rng([seed, 1])
    physics = "init_state" in draws
    rows = {key: [] for key in ("actions", "rewards", "terminated", "truncated")}
    rows |= {"observations": [observation]} | ({"states": [game.state]} if physics else {})
    over = False
    while not over:
        action = player(len(rows["actions"])) if rng.random() < informed else None
        action = _random_action(env.action_space, rng) if action is None else action
        observation, reward, terminated, truncated, _ = env.step(action)
        outcome = (action, reward, terminated, truncated, observation)
        for key, value in zip(rows, outcome, strict=False):
            rows[key].append(value)
        if physics:
            rows["states"].append(game.state)
        over = terminated or truncated
    if "normal" in generator.drawn:
        draws["noise"] = np.array(generator.drawn["normal"])
    if "bandits" in draws:
        draws["u"] = np.array(generator.drawn["random"][1:])
    return draws | {key: np.array(values) for key, values in rows.items()}


def _initial_draws(name, game, drawn):
    """What was drawn by a reset, except noise."""
    if name.startswith("CountRecall"):
        return dict(zip(("value_deck_idx", "query_deck_idx"), drawn["shuffle"], strict=True))
    if "shuffle" in drawn:
        return {"deck_idx": drawn["shuffle"][0]}
    if name.startswith("Battleship"):
        return {"board": game.board.copy()}
    if name.startswith("MineSweeper"):
        return {"mines_flat": drawn["choice"][0]}
    if name.startswith("MultiarmedBandit"):
        return {"bandits": drawn["random"][0]}
    if name.startswith("Labyrinth"):
        maze = game.maze
        return {field: np.array(getattr(maze, field)) for field in ("grid", "start", "end")}
    return {"init_state": np.array(drawn["uniform"][0])}


def _random_action(space, rng):
    if isinstance(space, gymnasium.spaces.Box):
        return rng.uniform(-4, 4, 1).astype("float32")  # out of range, too
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return rng.integers(space.nvec)
    return int(rng.integers(space.n))


def _player(name, game, draws):
    """Returns a function of the time that knows what is hidden; `None` where it has no plan."""
    if "Cart" in name:
        return lambda time: int(game.state @ [0.1, 0.3, 3.0, 1.0] > 0)
    if "Pendulum" in name:
        return lambda time: np.float32([4 * np.sign(game.state[1])])
    if "bandits" in draws:
        return lambda time: int(np.argmax(draws["bandits"]))
    if "deck_idx" in draws and not name.startswith("Concentration"):
        return _card_player(name, game, draws["deck_idx"][::-1])
    if "value_deck_idx" in draws:
        class_of = CLASSES[game.observation_space.nvec[0]]
        values, queries = (class_of(draws[f"{i}_deck_idx"][::-1]) for i in ("value", "query"))
        return lambda time: int(np.sum(values[: time + 1] == queries[time]))
    if name.startswith("Concentration"):
        class_of = CLASSES[game.observation_space.nvec[0] - 1]
        plan = np.argsort(class_of(draws["deck_idx"]), kind="stable").tolist()
    elif "board" in draws:
        plan = np.argwhere(draws["board"])
    elif "mines_flat" in draws:
        plan = np.argwhere(game.hidden_grid == 0)
    elif name.startswith("LabyrinthEscape"):
        ways = _ways_to(draws["grid"], tuple(draws["end"]))
        return lambda time: ways[tuple(game.position)]
    else:
        plan = _walk_through(draws["grid"], tuple(draws["start"]))
    plan = iter(plan)
    return lambda time: next(plan, None)


def _card_player(name, game, cards):
    suits, ranks, last = cards % 4, CLASSES[13](cards), len(cards) - 1
    if name.startswith("RepeatFirst"):
        return lambda time: int(suits[0])
    if name.startswith("RepeatPrevious"):
        return lambda time: int(suits[max(time - game.k + 1, 0)])
    if name.startswith("HigherLower"):
        return lambda time: int(ranks[time + 1] < ranks[time])
    return lambda time: int(suits[last - abs(time - last)])  # Autoencode


def _open_neighbours(grid, cell):
    for action, (down, right) in enumerate(MOVES):
        row, column = cell[0] + down, cell[1] + right
        inside = 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]
        if inside and grid[row, column] != 1:
            yield action, (row, column)


def _ways_to(grid, goal):
    """The action that leads from each cell towards the goal."""
    ways, queue = {goal: 0}, deque([goal])
    while queue:
        cell = queue.popleft()
        for action, neighbour in _open_neighbours(grid, cell):
            if neighbour not in ways:
                ways[neighbour] = action ^ 1  # back
                queue.append(neighbour)
    return ways


def _walk_through(grid, start):
    """Actions that lead through all cells, depth first."""
    seen = set()

    def walk(cell):
        seen.add(cell)
        for action, neighbour in _open_neighbours(grid, cell):
            if neighbour not in seen:
                yield from itertools.chain([action], walk(neighbour), [action ^ 1])

    return walk(start)

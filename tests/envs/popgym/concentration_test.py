import numpy as np
import pytest

from keras_s5rl.envs.popgym.concentration import Concentration
from tests.envs.play import play


class Table:
    """The rules as a person plays them: a set of cards that are up, and one in hand."""

    def __init__(self, classes, face_down):
        self.classes, self.face_down = classes, face_down
        self.up, self.first = set(), None
        self.penalty = -1 / (2 * len(classes))

    def look(self, also=()):
        seen = self.up | set(also)
        return [c if i in seen else self.face_down for i, c in enumerate(self.classes)]

    def turn(self, card):
        """Returns the reward and the observation."""
        first, self.first = self.first, None
        obs = self.look({card} if first is None else {first, card})
        if card in self.up:
            return self.penalty * (1 if first is None else 2), obs
        if first is None:
            self.first = card
            return 0.0, obs
        if first != card and self.classes[first] == self.classes[card]:
            self.up |= {first, card}
            return 2 / len(self.classes), obs
        return 2 * self.penalty, obs

    def choose(self, generator, skill):
        """Returns a card that helps at the rate `skill`, else any, the one in hand or one that is
        up."""
        down = [i for i in range(len(self.classes)) if i not in self.up]
        mates = [i for i in down if i != self.first and self.first is not None]
        mates = [i for i in mates if self.classes[i] == self.classes[self.first]] or down
        others = [*self.up, self.first if self.first is not None else 0, generator.choice(down)]
        return generator.choice(mates if generator.random() < skill else others)


@pytest.mark.parametrize(("num_decks", "deck_type"), [(1, "ranks"), (2, "suits")])
def test_every_kind_of_step_is_as_by_hand(num_decks, deck_type):
    """A skilful player clears the table, a clumsy one meets every penalty until the time is up."""
    env = Concentration(num_decks, deck_type)
    num_cards = 52 * num_decks
    face_down = int(env.observation_space.nvec[0]) - 1
    generator = np.random.default_rng(1)
    skills = [1.0, 0.95, 0.8, 0.5, 0.0]
    decks = generator.permuted(np.tile(np.arange(num_cards), (len(skills), 1)), axis=1)
    classes = decks % 4 if deck_type == "suits" else decks // 4
    actions = np.zeros((2 * num_cards, len(skills)), "int32")
    expected = []
    for player, skill in enumerate(skills):
        table = Table(classes[player].tolist(), face_down)
        rows = []
        while len(rows) < len(actions) and len(table.up) < num_cards:
            actions[len(rows), player] = table.choose(generator, skill)
            rows.append((*table.turn(int(actions[len(rows), player])), len(table.up) == num_cards))
        expected.append(rows)

    played = play(env, {"deck_idx": decks.astype("int32")}, actions)
    np.testing.assert_array_equal(played["obs"][0], face_down)
    for player, rows in enumerate(expected):
        rewards, obs, terminated = zip(*rows, strict=True)
        length = len(rows)
        np.testing.assert_array_equal(played["obs"][1 : length + 1, player], obs)
        np.testing.assert_allclose(played["rewards"][:length, player], rewards, rtol=1e-6)
        np.testing.assert_array_equal(played["terminated"][:length, player], terminated)
    lengths = [len(rows) for rows in expected]
    assert lengths[0] == num_cards and lengths[-1] == 2 * num_cards
    kinds = {round(reward * 2 * num_cards) for rows in expected for reward, *_ in rows}
    assert kinds == {-2, -1, 0, 4}


def test_the_last_pair_on_the_last_step_sets_both_flags():
    deck_idx = np.arange(52, dtype="int32")[None]
    in_order = (
        np.arange(52).reshape(13, 2, 2).transpose(0, 2, 1).reshape(-1)
    )  # 0 2 1 3, 4 6 5 7 ...
    waste = [0] * 52  # turned, and turned again: 26 failed pairs
    actions = np.array([*waste, *in_order], "int32")[:, None]
    played = play(Concentration(deck_type="colors"), {"deck_idx": deck_idx}, actions)
    np.testing.assert_array_equal(played["terminated"][:, 0], [False] * 103 + [True])
    np.testing.assert_array_equal(played["truncated"][:, 0], [False] * 103 + [True])
    assert np.sum(played["rewards"]) == pytest.approx(26 * (-2 / 104) + 1)

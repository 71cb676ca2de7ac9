import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym.count_recall import CountRecall
from tests.envs.play import play
from tests.envs.popgym import chi_square

CLASS_OF = {
    "colors": lambda card: card % 2,
    "suits": lambda card: card % 4,
    "ranks": lambda card: card % 52 // 4,
}


@pytest.mark.parametrize(("num_decks", "deck_type"), [(1, "ranks"), (2, "colors"), (3, "suits")])
def test_answers_and_counts_are_those_of_counting_the_cards_shown(num_decks, deck_type):
    num_cards, num_envs = 52 * num_decks, 6
    generator = np.random.default_rng(num_decks)
    decks = generator.permuted(np.tile(np.arange(num_cards), (2, num_envs, 1)), axis=2)
    values, queries = CLASS_OF[deck_type](decks[..., ::-1])
    num_classes = values.max() + 1
    counts = np.zeros((num_cards, num_envs, num_classes), int)
    answers = np.zeros((num_cards, num_envs), int)
    for env in range(num_envs):
        for time in range(num_cards):
            shown = values[env, : time + 1].tolist()
            counts[time, env] = [shown.count(kind) for kind in range(num_classes)]
            answers[time, env] = shown.count(queries[env, time])
    wrong = generator.random((num_cards - 1, num_envs)) < 0.3
    actions = np.where(wrong, (answers[:-1] + 1) % (num_cards // num_classes + 1), answers[:-1])

    env = CountRecall(num_decks, deck_type)
    draws = dict(zip(("value_deck_idx", "query_deck_idx"), decks.astype("int32"), strict=True))
    watch = {"obs": env.observation, "info": env.info}
    played = play(env, draws, actions.astype("int32"), watch=watch)
    np.testing.assert_array_equal(played["info"]["counts"], counts)
    np.testing.assert_array_equal(played["obs"], np.stack([values.T, queries.T], axis=2))
    expected = np.where(wrong, -1, 1) / (num_cards - 1)
    np.testing.assert_allclose(played["rewards"], expected, rtol=1e-6)


def joint(values, queries):
    """Of the suits of the first cards of the two piles."""
    counts = np.bincount(4 * values + queries, minlength=16)
    return chi_square.statistic(counts, [len(values) / 16] * 16)


def test_the_two_piles_are_independent():
    draws = CountRecall().draw_initial(random.key(3), 20_000)
    first = [
        ops.convert_to_numpy(draws[name])[:, -1] % 4
        for name in ("value_deck_idx", "query_deck_idx")
    ]
    assert joint(*first) < chi_square.limit(15)
    repeated = np.where(np.random.default_rng(0).random(20_000) < 0.04, *first)
    assert joint(first[0], repeated) > chi_square.limit(15)

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.popgym.multiarmed_bandit import MultiarmedBandit
from tests.envs.play import play
from tests.envs.popgym import chi_square


def test_an_arm_pays_where_u_lies_below_its_probability():
    env = MultiarmedBandit(num_bandits=3, episode_length=4)
    bandits = np.array([[0.2, 0.5, 0.9]], "float32")
    actions = np.array([[0], [1], [2], [1]], "int32")
    u = np.array([[0.3], [0.3], [0.3], [0.5]], "float32")
    watch = {"obs": env.observation, "info": env.info}
    played = play(env, {"bandits": bandits}, actions, {"u": u}, watch)
    np.testing.assert_array_equal(played["obs"][:, 0], [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(played["rewards"][:, 0], [-0.25, 0.25, 0.25, -0.25])
    np.testing.assert_array_equal(played["truncated"][:, 0], [False, False, False, True])
    assert not played["terminated"].any()
    np.testing.assert_array_equal(played["info"]["bandits"], np.broadcast_to(bandits, (5, 1, 3)))


def test_a_recorded_u_of_64_bits_is_rounded_to_32_before_it_is_compared():
    env = MultiarmedBandit(num_bandits=1)
    state = env.initial({"bandits": ops.convert_to_tensor(np.array([[0.5]], "float32"))})
    u = np.array([0.5 - 1e-10])  # below 0.5, but 0.5 in float32
    action = ops.convert_to_tensor(np.array([0], "int32"))
    state, *_ = env.transition(state, action, {"u": u})
    assert ops.convert_to_numpy(env.observation(state))[0] == 0


def tenths(values):
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    return chi_square.statistic(counts, [values.size / 10] * 10)


def test_probabilities_and_draws_are_uniform():
    env = envs.make("MultiarmedBanditEasy")
    bandits = ops.convert_to_numpy(env.draw_initial(random.key(1), 10_000)["bandits"])
    u = ops.convert_to_numpy(env.draw_step(random.key(2), 100_000)["u"])
    for values in (bandits, u):
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        assert values.min() >= 0 and values.max() < 1
        assert tenths(values) < chi_square.limit(9)
        # A density that rises from 0.95 at 0 to 1.05 at 1 is noticed.
        tilted = (np.sqrt(0.95**2 + 4 * 0.05 * values.astype("float64")) - 0.95) / (2 * 0.05)
        assert tenths(tilted) > chi_square.limit(9)


def test_the_arms_of_an_environment_are_independent():
    bandits = envs.make("MultiarmedBanditEasy").draw_initial(random.key(3), 10_000)["bandits"]
    first, second = (4 * ops.convert_to_numpy(bandits)[:, :2]).astype(int).T
    counts = np.bincount(4 * first + second, minlength=16)
    assert chi_square.statistic(counts, [10_000 / 16] * 16) < chi_square.limit(15)


@pytest.mark.parametrize("name", ["num_bandits", "episode_length"])
@pytest.mark.parametrize("value", [0, 2.5, True])
def test_a_size_that_is_no_positive_integer_is_refused(name, value):
    message = rf"`{name}` should be a positive integer\. Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        MultiarmedBandit(**{name: value})

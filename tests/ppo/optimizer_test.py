import keras
import numpy as np
import pytest

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.optimizer import make_optimizer
from tests.support.learners import make_learner


def test_annealed_learning_rate_is_half_in_the_middle_and_0_at_the_end():
    config = PPOConfig(num_envs=8, num_steps=24, learning_rate=1e-3)
    steps = config.gradient_steps(10_000)
    variables = [keras.Variable(np.zeros(1, "float32"))]
    optimizer, rates = make_optimizer(config, 10_000, variables), []
    for step in (0, steps // 2, steps):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [1e-3, 5e-4, 0], rtol=1e-2, atol=1e-9)
    constant = make_optimizer(PPOConfig(anneal_learning_rate=False), 10_000, variables)
    assert float(constant.learning_rate) == pytest.approx(2e-3)


@pytest.mark.slow_after(1)
@pytest.mark.not_on_tensorflow
@pytest.mark.parametrize(
    ("memory", "names"),
    [
        ("s5", {"lambda_re", "lambda_im", "B", "log_step"}),
        ("lru", {"nu_log", "theta_log", "gamma_log", "B"}),
    ],
)
def test_the_ssm_learning_rate_is_that_of_what_the_layers_declare_and_of_nothing_else(
    memory, names
):
    learner = make_learner(memory=memory, learning_rate=2e-3, ssm_learning_rate=5e-4)
    variables, optimizer = learner.policy.trainable_variables, learner.optimizer
    for variable, factor in zip(variables, optimizer.rate_factors, strict=True):
        assert factor == (0.25 if variable.name in names else 1.0), variable.path
    assert optimizer.rate_factors.count(0.25) == 2 * len(names)  # of two layers
    assert not optimizer.counts_skipped


@pytest.mark.not_on_tensorflow
def test_without_either_option_it_is_kerases_own_adam():
    variables = [keras.Variable(np.zeros(1, "float32"))]
    usual = type(keras.optimizers.Adam())
    assert type(make_optimizer(PPOConfig(), 1_000, variables)) is usual


@pytest.mark.not_on_tensorflow
def test_an_ssm_learning_rate_for_a_memory_without_such_weights_is_refused():
    config = PPOConfig(ssm_learning_rate=1e-4)
    with pytest.raises(ValueError, match="`ssm_learning_rate` should be None .*Received: ssm_le"):
        make_learner(memory="mlp", ssm_learning_rate=1e-4)
    with pytest.raises(ValueError, match="`ssm_learning_rate` should be None"):
        make_optimizer(config, 1_000, [keras.Variable(np.zeros(1, "float32"))])

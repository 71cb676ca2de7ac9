"""Second calls compile nothing: the programs that JAX compiles are counted."""

import keras
import numpy as np
import pytest
from gymnasium.spaces import Discrete

from keras_s5rl import PPO, Player, load_policy, random
from keras_s5rl.training import evaluate_gymnasium, evaluate_in_context
from keras_s5rl.training.recording import record_episodes
from tests.support.compilations import compilations
from tests.support.small_runs import STEPS, small_config

pytestmark = [
    pytest.mark.not_on_tensorflow,
    pytest.mark.skipif(keras.config.backend() != "jax", reason="Counts JAX's programs."),
]


@pytest.fixture(scope="module")
def agent():
    agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config(anneal_learning_rate=False))
    with compilations() as compiled:
        agent.fit(STEPS, verbose=False)
        agent.evaluate(8)
    assert len(compiled) >= 3  # the counter counts
    return agent


def go_on(agent, num_updates=1, **arguments):
    agent.fit(agent.env_steps + num_updates * STEPS, verbose=False, **arguments)


@pytest.mark.slow
def test_a_second_fit(agent):
    go_on(agent)
    with compilations() as compiled:
        go_on(agent, 2)
        go_on(agent, callbacks=[keras.callbacks.Callback()], log_every=3)
    assert compiled == []


@pytest.mark.slow
def test_evaluations_while_training(agent):
    """One program for all of them: that of other scores over as many episodes."""
    with compilations() as compiled:
        go_on(agent, 3, eval_every=1, eval_episodes=8)
        go_on(agent, 2, eval_every=2, eval_episodes=8)
    assert compiled == []
    with compilations() as compiled:
        go_on(agent, 1, eval_every=1, eval_episodes=3)
    first = len(compiled)
    with compilations() as compiled:
        go_on(agent, 3, eval_every=1, eval_episodes=3)
    assert first > 0 and compiled == []


@pytest.mark.slow
def test_evaluations_after_more_training_in_other_modes_and_of_other_seeds(agent):
    with compilations() as compiled:
        first = agent.evaluate(8)
        agent.evaluate(8, deterministic=False, seed=5)
        go_on(agent)
        weights = agent.policy.get_weights()
        agent.policy.set_weights([-weight for weight in weights])
        later = agent.evaluate(8)
        agent.policy.set_weights(weights)
        agent.evaluate(8, env="RepeatPreviousEasy", env_args={})
    assert compiled == []
    scores = [(score["returns"], score["other_mode"]["return_mean"]) for score in (first, later)]
    assert scores[0] != scores[1]  # it is the policy of now that plays


@pytest.mark.slow
def test_one_program_for_each_environment_and_number_of_episodes(agent):
    agent.evaluate(8, env_args={"num_decks": 2})
    agent.evaluate(5)
    with compilations() as compiled:
        agent.evaluate(8, env_args={"num_decks": 2})
        agent.evaluate(5)
        agent.evaluate(8)
    assert compiled == []


@pytest.mark.slow
def test_acting_in_a_loop_and_with_other_weights(agent, tmp_path):
    agent.policy.save(tmp_path / "policy.keras")
    generator = np.random.default_rng(0)
    for policy in (agent.policy, load_policy(tmp_path / "policy.keras")):

        def act(batch, policy=policy, **arguments):
            state = policy.get_initial_state(batch)
            for step in range(3):
                observation = generator.normal(size=(batch, 10)).astype("float32")
                _, state = policy.act(observation, np.full(batch, step == 0), state, **arguments)

        draws = {"deterministic": False, "key": random.key(0)}
        for batch in (1, 4):
            act(batch)
            act(batch, **draws)
        policy.set_weights([weight + 0.5 for weight in policy.get_weights()])
        with compilations() as compiled:
            for batch in (1, 4, 1):
                act(batch)
                act(batch, **draws)
        assert compiled == []


@pytest.mark.slow
def test_scores_inside_contexts():
    env_args = {"num_trials": 2, "trial_steps": 3}
    agent = PPO("projected_cartpole", env_args, memory="mlp", config=small_config())
    first = evaluate_in_context(agent, 3)
    evaluate_in_context(agent, 3, env_args={"trial_steps": 4})
    with compilations() as compiled:
        assert evaluate_in_context(agent, 3) == first
        evaluate_in_context(agent, 3, deterministic=False, env_args={"trial_steps": 4})
    assert compiled == []


@pytest.mark.slow
def test_scores_in_gymnasium():
    agent = PPO("PositionOnlyCartPoleEasy", memory="mlp", config=small_config())
    import gymnasium

    def make():
        return gymnasium.wrappers.TransformObservation(
            gymnasium.make("CartPole-v1", max_episode_steps=5),
            lambda state: state[[0, 2]],
            gymnasium.spaces.Box(-np.inf, np.inf, (2,)),
        )

    first = evaluate_gymnasium(agent.policy, make, 3)
    with compilations() as compiled:
        assert evaluate_gymnasium(agent.policy, make, 3) == first
        evaluate_gymnasium(agent.policy, make, 3, deterministic=False, seed=9)
    assert compiled == []


@pytest.mark.slow
def test_scores_in_our_own_ids(agent):
    first = evaluate_gymnasium(agent.policy, "keras_s5rl/RepeatPreviousEasy-v0", 3)
    with compilations() as compiled:
        assert evaluate_gymnasium(agent.policy, "keras_s5rl/RepeatPreviousEasy-v0", 3) == first
    assert compiled == []


@pytest.mark.slow
def test_players_of_other_modes_and_numbers_of_environments(agent):
    spaces = {"observation_space": Discrete(4), "action_space": Discrete(4)}

    def play(deterministic, num_envs):
        player = Player(agent.policy, None, deterministic, num_envs=num_envs, **spaces)
        for _ in range(3):
            player.act(np.zeros(num_envs, int) if num_envs else 0)
            player.reset()

    kinds = [(True, None), (False, None), (True, 5)]
    for kind in kinds:
        play(*kind)
    agent.policy.set_weights([weight + 0.5 for weight in agent.policy.get_weights()])
    with compilations() as compiled:
        for kind in kinds:
            play(*kind)
    assert compiled == []


@pytest.mark.slow
def test_recordings(agent, tmp_path):
    first = record_episodes(agent.policy, "RepeatPreviousEasy", tmp_path, 2)
    with compilations() as compiled:
        assert record_episodes(agent.policy, "RepeatPreviousEasy", tmp_path, 2) == first
        record_episodes(agent.policy, "RepeatPreviousEasy", tmp_path, 2, seed=3)
    assert compiled == []


@pytest.mark.slow
def test_programs_that_were_not_used_for_long_are_given_up():
    from keras_s5rl.backend.programs import Programs

    programs, made = Programs(), []

    def make(key):
        return programs.get(key, lambda: made.append(key) or key)

    for key in [*range(16), 0, 16, 0, 1]:
        assert make(key) == key
    assert made == [*range(16), 16, 1]

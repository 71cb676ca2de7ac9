"""sb3-contrib as it is measured. No number is judged here, only that each is there."""

import pytest

from benchmarks import peers, ppo_suite
from tests.support.small_runs import SIZES, STEPS

for module in peers.PEERS["sb3-contrib"].modules:
    pytest.importorskip(module, reason="An extra, `peers`, has it.")
pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("default"),  # its own
]


def test_training_reports_the_numbers_of_the_table(monkeypatch):
    config = {**ppo_suite.CASES["small"]["config"], **SIZES}
    monkeypatch.setitem(
        ppo_suite.CASES, "tiny", {"memory": "s5", "memory_args": {}, "config": config}
    )
    result = ppo_suite.measure_peer("sb3-contrib", "lstm", beside="tiny", repeats=2)
    of_products = {"gflop_per_s", "of_peak", "of_bfloat16_peak"}
    assert set(ppo_suite.COLUMNS) - of_products <= set(result)
    rates = [result[f"steps_per_s_{name}"] for name in ("min", "median", "max")]
    assert rates == sorted(rates) and rates[0] > 0
    lstm, heads = 4 * (16 * (10 + 16) + 2 * 16), 16 * 16 + 16
    assert result["parameters"] == 2 * lstm + 2 * heads + 17 * 4 + 17


def test_an_update_lasts_from_one_rollout_to_the_next(monkeypatch):
    from benchmarks import sb3_peer

    times = iter([0.0, 10.0, 15.0, 17.0, 18.0])  # the last one after training

    class Agent:
        def __init__(self, policy, env, n_steps, batch_size, n_epochs, **settings):
            assert (n_steps, batch_size, n_epochs) == (16, STEPS // 4, 4)
            self.policy = type("Policy", (), {"parameters": list})

        def learn(self, total_steps, callback):
            assert total_steps == 4 * STEPS
            for _ in range(4):
                callback._on_rollout_start()
            callback._on_training_end()

    monkeypatch.setattr(sb3_peer, "RecurrentPPO", Agent)
    monkeypatch.setattr(sb3_peer, "_make_env", lambda: None)
    monkeypatch.setattr(sb3_peer, "DummyVecEnv", lambda envs: None)
    monkeypatch.setattr(sb3_peer.time, "perf_counter", lambda: next(times))
    config = {**ppo_suite.CASES["small"]["config"], **SIZES}
    result = sb3_peer.measure_training("lstm", config, {}, repeats=2)
    assert [result[f"steps_per_s_{n}"] for n in ("min", "max")] == [STEPS / 2, STEPS / 1]
    assert result["compile_s"] == 10 - 1.5

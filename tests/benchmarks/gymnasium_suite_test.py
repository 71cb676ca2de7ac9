"""The benchmark of training on Gymnasium's environments. No number is judged here, only that each
is there."""

import pytest

from benchmarks import gymnasium_suite, peers
from keras_s5rl import PPO
from tests.support.small_runs import SIZES

CASE = gymnasium_suite.CASES["cart_pole"]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(gymnasium_suite, "_CONFIG", {**gymnasium_suite._CONFIG, **SIZES})
    monkeypatch.setattr(gymnasium_suite, "_UPDATES", 1)


def check(result, names):
    for name in names:
        rates = [result[f"{name}_steps_per_s_{kind}"] for kind in ("min", "median", "max")]
        assert rates == sorted(rates) and rates[0] > 0
        assert result[f"{name}_parameters"] > 0


@pytest.mark.slow
def test_without_the_peer_both_memories_are_measured(small, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda peer: False)
    updates, fit = [], PPO.fit

    def counted(agent, *arguments, **options):
        before = agent.update
        history = fit(agent, *arguments, **options)
        updates.append(agent.update - before)
        return history

    monkeypatch.setattr(PPO, "fit", counted)
    result = gymnasium_suite.measure(**CASE, repeats=2)
    check(result, ("s5", "lstm"))
    assert updates == [1] * 6  # each round trains
    assert not any("sb3" in name or "ratio" in name for name in result)
    assert result["settings"]["env"] == "gymnasium:CartPole-v1"


@pytest.mark.reference
@pytest.mark.filterwarnings("default")  # the peer's own
def test_beside_the_peer_ratios_are_those_of_the_medians(small):
    for module in peers.PEERS["sb3-contrib"].modules:
        pytest.importorskip(module, reason="An extra, `peers`, has it.")
    result = gymnasium_suite.measure(**CASE, repeats=3)
    check(result, ("s5", "lstm", "sb3"))
    assert set(gymnasium_suite.COLUMNS) <= set(result)
    ratio = result["lstm_steps_per_s_median"] / result["sb3_steps_per_s_median"]
    assert result["lstm_ratio"] == pytest.approx(ratio)

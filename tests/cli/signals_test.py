"""How the train command takes Ctrl-C and SIGTERM, without a training."""

import os
import signal

import pytest

from keras_s5rl.cli.stop_signals import StopSignals

pytestmark = pytest.mark.slow

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def test_a_second_signal_or_one_before_training_stops_at_once():
    class Policy:
        stop_training = False

    before = [signal.getsignal(number) for number in NUMBERS]
    with StopSignals() as signals:
        with pytest.raises(SystemExit) as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.value.code == 143
        signals.policy = Policy()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.policy.stop_training and signals.received == signal.SIGTERM
        with pytest.raises(SystemExit) as stopped:
            os.kill(os.getpid(), signal.SIGINT)
        assert stopped.value.code == 130
    assert [signal.getsignal(number) for number in NUMBERS] == before

"""The examples learn what they say, here on smaller data."""

import pytest

from examples import classify_sequences, forecast_irregular

pytestmark = pytest.mark.slow


def test_s5_keeps_a_flag_that_a_gru_forgets():
    accuracy = classify_sequences.main(length=512, num_sequences=512, epochs=3)
    assert accuracy["S5"] > 0.9
    assert accuracy["S5"] > accuracy["GRU"] + 0.3


def test_step_scale_lowers_the_error_on_irregular_series():
    errors = forecast_irregular.main(length=48, num_series=512, epochs=4, batch_size=16)
    assert errors["with intervals"] < 0.8 * errors["without"]

"""Operations beside the peaks of the machine."""

import keras
import pytest

from benchmarks import roofline


@pytest.mark.slow
def test_matrices_are_counted_and_vectors_and_biases_are_not():
    gru = keras.layers.GRU(5)  # its bias has two rows
    gru.build((None, None, 3))
    assert roofline.matrix_entries(gru.trainable_weights) == 3 * 15 + 5 * 15
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)  # its biases too
    attention.build((None, 7, 8), (None, 7, 8))
    assert roofline.matrix_entries(attention.trainable_weights) == 4 * 8 * 8
    assert roofline.matrix_entries(keras.layers.LayerNormalization().variables) == 0


@pytest.fixture
def peaks(monkeypatch):
    monkeypatch.setattr(roofline, "product_peak", {"float32": 1e11, "bfloat16": 4e11}.get)


def test_a_rate_stands_beside_the_peaks(peaks):
    assert roofline.product_numbers(1e10, seconds=0.2) == {
        "gflop_per_s": pytest.approx(50),
        "of_peak": pytest.approx(0.5),
        "of_bfloat16_peak": None,
        "peak_gflop_per_s": pytest.approx(100),
        "bfloat16_peak_gflop_per_s": pytest.approx(400),
    }


def test_in_bfloat16_both_shares_are_given(peaks):
    numbers = roofline.product_numbers(1e11, seconds=0.5, is_bfloat16=True)
    assert numbers["of_peak"] == pytest.approx(2.0)
    assert numbers["of_bfloat16_peak"] == pytest.approx(0.5)


def test_the_note_gives_the_median_of_each_peak_that_is_there():
    results = {
        name: {"peak_gflop_per_s": peak, "bfloat16_peak_gflop_per_s": 2 * peak}
        for name, peak in (("a", 90.0), ("b", 100.0), ("c", 300.0))
    }
    expected = "float32 product peak 100 GFLOP/s, bfloat16 product peak 200 GFLOP/s"
    assert roofline.peaks_note({**results, "of a peer": {}}) == expected
    assert roofline.peaks_note({"of a peer": {}}) == ""

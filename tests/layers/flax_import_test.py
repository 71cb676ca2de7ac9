"""The S5 authors' forward pass, written again in complex128 from the paper, against `from_flax`."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5

BATCH, TIME, FEATURES, STATES = 2, 9, 3, 4


def draw_parameters(rng, bidirectional=False):
    """Arrays as a checkpoint of the Flax module holds them; some eigenvalues are unstable."""
    directions = 2 if bidirectional else 1
    return {
        "Lambda_re": np.array([0.5, 0.0, -0.2, -1.0]),
        "Lambda_im": rng.normal(size=STATES) * 5,
        "B": rng.normal(size=(STATES, FEATURES, 2)),
        "C": rng.normal(size=(FEATURES, STATES * directions, 2)),
        "D": rng.normal(size=FEATURES),
        "log_step": rng.uniform(np.log(1e-2), np.log(1e-1), (STATES, 1)),
    }


def forward(
    params,
    inputs,
    discretization="zoh",
    conj_sym=True,
    clip_eigs=False,
    bidirectional=False,
    step_rescale=1.0,
):
    """Outputs `(time, H)` for one sequence `(time, H)`."""
    params = {name: np.asarray(value, "float64") for name, value in params.items()}
    eigenvalues = params["Lambda_re"] + 1j * params["Lambda_im"]
    if clip_eigs:
        eigenvalues = np.clip(eigenvalues.real, None, -1e-4) + 1j * eigenvalues.imag
    B = params["B"] @ [1, 1j]
    C = params["C"] @ [1, 1j]
    step = step_rescale * np.exp(params["log_step"][:, 0])
    if discretization == "zoh":
        decay = np.exp(eigenvalues * step)
        B = np.diag((decay - 1) / eigenvalues) @ B
    else:
        halved = 1 / (1 - eigenvalues * step / 2)
        decay = halved * (1 + eigenvalues * step / 2)
        B = np.diag(halved * step) @ B
    drive = [B @ u for u in inputs]

    def scan(drive):
        x, states = 0, []
        for element in drive:
            x = decay * x + element
            states.append(x)
        return np.array(states)

    states = scan(drive)
    if bidirectional:
        states = np.concatenate([states, scan(drive[::-1])[::-1]], axis=-1)
    read = (states @ C.T).real
    return (2 * read if conj_sym else read) + params["D"] * inputs


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "authors, ours",
    [
        ({}, {}),
        ({"discretization": "bilinear"}, {"discretization": "bilinear"}),
        ({"conj_sym": False}, {"conjugate_symmetry": False}),
        ({"clip_eigs": True}, {"clip_eigenvalues": True}),
        ({"bidirectional": True}, {"bidirectional": True}),
        ({"step_rescale": 2.5}, {"step_rescale": 2.5}),
        ({}, {"num_blocks": 2}),  # blocks shape the initial weights alone
        (
            {
                "discretization": "bilinear",
                "conj_sym": False,
                "clip_eigs": True,
                "bidirectional": True,
                "step_rescale": 0.5,
            },
            {
                "discretization": "bilinear",
                "conjugate_symmetry": False,
                "clip_eigenvalues": True,
                "bidirectional": True,
                "step_rescale": 0.5,
                "num_blocks": 4,
            },
        ),
    ],
    ids=str,
)
def test_from_flax_computes_what_the_authors_module_computes(authors, ours):
    rng = np.random.default_rng(1)
    params = draw_parameters(rng, authors.get("bidirectional", False))
    inputs = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    layer = S5.from_flax(params, **ours)
    assert layer.state_size == STATES * (2 if layer.conjugate_symmetry else 1)
    outputs = keras.ops.convert_to_numpy(layer(inputs))
    expected = np.stack([forward(params, row.astype("float64"), **authors) for row in inputs])
    assert relative_error(outputs, expected) < 1e-5


def test_both_spellings_of_a_bidirectional_c_are_taken():
    params = draw_parameters(np.random.default_rng(2), bidirectional=True)
    layer = S5.from_flax(params, bidirectional=True)
    C = params.pop("C")
    halves = {"C1": C[:, :STATES], "C2": C[:, STATES:]}
    other = S5.from_flax({**params, **halves}, bidirectional=True)
    for weight, again in zip(layer.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)


def test_a_missing_array_is_named():
    params = draw_parameters(np.random.default_rng(3))
    del params["D"]
    with pytest.raises(ValueError, match="`params` should hold.*'D'.*Received"):
        S5.from_flax(params)

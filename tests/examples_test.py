"""The examples learn what they say, here on smaller data; the notebook runs from top to bottom."""

import json
import re
from pathlib import Path

import pytest

from examples import classify_sequences, forecast_irregular

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "quickstart.ipynb"

pytestmark = pytest.mark.slow


def test_s5_keeps_a_flag_that_a_gru_forgets():
    accuracy = classify_sequences.main(length=512, num_sequences=512, epochs=3)
    assert accuracy["S5"] > 0.9
    assert accuracy["S5"] > accuracy["GRU"] + 0.3


def test_step_scale_lowers_the_error_on_irregular_series():
    errors = forecast_irregular.main(length=48, num_series=512, epochs=4, batch_size=16)
    assert errors["with intervals"] < 0.8 * errors["without"]


def test_the_cells_of_the_notebook_run_one_after_the_other(capsys, tmp_path, monkeypatch):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    for cell in cells:
        links = re.findall(r"\]\(([^)]+)\)", "".join(cell["source"]))
        assert all((NOTEBOOK.parent / link).exists() for link in links)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
    out, progress = capsys.readouterr()
    difference = float(out.split()[-1])
    assert difference < 1e-5
    assert "steps" in progress  # in a notebook, which is no terminal, a line for each update

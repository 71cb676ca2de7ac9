"""MuJoCo is an extra: without it the tests of this folder are skipped."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
INSTALLED = all(importlib.util.find_spec(name) for name in ("mujoco", "dm_control"))


def pytest_collection_modifyitems(items):
    if not INSTALLED:
        skip = pytest.mark.skip(reason="MuJoCo and dm_control (extra `mujoco`) are not installed.")
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(skip)

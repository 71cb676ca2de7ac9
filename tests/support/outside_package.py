"""The package tests/data/outside_package, installed or not, for the tests."""

import os
import shutil
import tomllib
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "data" / "outside_package"


def install(folder, name="my-lab", entry_points=None, with_modules=True):
    """Makes a folder look as pip leaves one: modules, and what it keeps of pyproject.toml.

    Args:
        folder: Path, made if it is not there.
        name: String, the name of the package.
        entry_points: Dict of groups, each a dict; or `None` for those of pyproject.toml.
        with_modules: Whether the package's modules are there.

    Returns:
        Dict of variables with which a process finds the folder.
    """
    if with_modules:
        shutil.copytree(SOURCE / "my_lab", folder / "my_lab", dirs_exist_ok=True)
    if entry_points is None:
        project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
        entry_points = project["entry-points"]
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}

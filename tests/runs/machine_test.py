import importlib.metadata
import json
import subprocess
import sys

from keras_s5rl.runs import machine_block, write_json_atomically


def test_the_block_is_plain_json_and_describes_this_python(tmp_path):
    block = machine_block()
    write_json_atomically(tmp_path / "machine.json", block)
    assert json.loads((tmp_path / "machine.json").read_text()) == block
    assert block["python"] == ".".join(map(str, sys.version_info[:3]))
    assert block["cpu"] and block["cpu_cores"] >= 1
    assert block["memory_gib"] is None or block["memory_gib"] > 0.1
    assert block["date"].endswith("+00:00")


def test_the_versions_are_those_installed_and_nothing_is_imported_to_find_them():
    code = (
        "import json, sys; from keras_s5rl.runs import machine_block; "
        "versions = machine_block()['versions']; "
        "heavy = {'keras', 'jax', 'tensorflow', 'torch'} & set(sys.modules); "
        "print(json.dumps([versions, sorted(heavy)]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    versions, heavy = json.loads(result.stdout)
    assert heavy == []
    for package in ("keras", "jax", "numpy"):
        assert versions[package] == importlib.metadata.version(package)


def test_versions_of_other_packages_are_listed_where_they_are_asked_for():
    versions = machine_block(("pytest", "no such package"))["versions"]
    assert versions["pytest"] == importlib.metadata.version("pytest")
    assert "no such package" not in versions and "pytest" not in machine_block()["versions"]

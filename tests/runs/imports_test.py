"""What a run says of the modules that it needs."""

import pytest

from keras_s5rl.runs import RunError, check_imports, recorded_imports


def test_a_run_without_imports_needs_none():
    assert recorded_imports({}) == [] and recorded_imports({"imports": []}) == []
    check_imports({}, ())


def test_every_module_that_was_not_imported_is_named():
    config = {"imports": ["lab.envs", "other", "third"]}
    check_imports(config, ["third", "other", "lab.envs", "more"])
    message = r"this run needs --import=lab.envs --import=third \(in Python: import lab.envs, third"
    with pytest.raises(RunError, match=message):
        check_imports(config, ["lab", "other"])


@pytest.mark.parametrize(
    "imports", ["module", [3], [""], ["a b"], ["a; b"], ["a/b.py"], [".a"], None, {}]
)
def test_what_is_no_list_of_modules_is_refused(imports):
    with pytest.raises(RunError, match="`imports` should be a list of .*Received: imports="):
        recorded_imports({"imports": imports})

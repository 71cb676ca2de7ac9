"""What the site takes from the sources: a line `{{ name argument }}` of a page is replaced by the
result of the function `name` here. MkDocs calls `on_page_markdown`."""

import ast
import re
from pathlib import Path
from typing import Any

from absl.flags import FlagValues

from benchmarks import benchmark, reproduce
from keras_s5rl.cli import compare, evaluate, export_policy, plot, probe, report, sweep, train
from keras_s5rl.cli.setting_flags import define_setting_flag
from keras_s5rl.models.memories import memory_settings, registered_memories

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "plot": plot,
    "compare": compare,
    "probe": probe,
    "report": report,
    "sweep": sweep,
    "export_policy": export_policy,
    "benchmark": benchmark,
    "reproduce": reproduce,
}

_MARKER = re.compile(r"^\{\{ (\w+) ([\w.]+) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Returns the text of a page with its markers replaced."""
    return _MARKER.sub(lambda found: _TABLES[found[1]](found[2]), markdown)


def public_names(module: str) -> list[str]:
    """Returns the public names of a module in its order, read from the source: `__all__` without
    submodules, which it imports from itself, or else its classes and functions."""
    path = ROOT / module.replace(".", "/")
    tree = ast.parse(
        (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    )
    listed = [node for node in tree.body if ast.unparse(node).startswith("__all__ = ")]
    if listed:
        names = ast.literal_eval(ast.unparse(listed[0]).removeprefix("__all__ = "))
    else:
        kinds = ast.ClassDef | ast.FunctionDef
        names = [node.name for node in tree.body if isinstance(node, kinds)]
    own = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == module]
    submodules = {alias.name for node in own for alias in node.names}
    return [name for name in names if not (name.startswith("_") or name in submodules)]


def api(module: str) -> str:
    """The documentation of every public name of a module."""
    return "\n\n".join(f"::: {module}.{name}" for name in public_names(module))


def flags(command: str) -> str:
    """The flags of a command, with defaults and meanings."""
    values = FlagValues()
    COMMANDS[command].define_flags(values)
    return _flag_table(values)


def memories(_: str) -> str:
    """The flags of each memory, which are its `memory_args`."""
    return "\n\n".join(f"#### {name}\n\n{_flags_of(name)}" for name in registered_memories())


def _flags_of(memory: str) -> str:
    values = FlagValues()
    for name, setting in memory_settings(memory).items():
        define_setting_flag(name, setting, values)
    return _flag_table(values) if len(list(values)) else "No flags of its own."


def _flag_table(values: FlagValues) -> str:
    rows = ["| flag | default | meaning |", "| --- | --- | --- |"]
    for of_module in values.flags_by_module_dict().values():
        for flag in of_module:
            default = flag.default
            if isinstance(default, list | tuple):
                default = ",".join(map(str, default))
            shown = f"`{default}`" if default not in (None, "") else ""
            meaning = flag.help.partition("\n")[0].rstrip(";")
            rows.append(f"| `--{flag.name}` | {shown} | {meaning} |")
    return "\n".join(rows)


_TABLES = {"api": api, "flags": flags, "memories": memories}

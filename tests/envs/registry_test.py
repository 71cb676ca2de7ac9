import importlib
import re
from pathlib import Path

import pytest

import keras_s5rl
from keras_s5rl import envs
from keras_s5rl.envs import registry
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.memory_chain import MemoryChain
from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious
from keras_s5rl.envs.tables import read_tables
from tests.envs.popgym.families import FAMILIES


def test_every_family_is_there_in_three_difficulties():
    names = {family + level for family in FAMILIES for level in ("Easy", "Medium", "Hard")}
    assert len(names) == 48
    assert names | {"MemoryChain"} <= set(envs.registered_envs())
    assert envs.registered_envs() == sorted(envs.registered_envs())


@pytest.mark.parametrize(
    ("name", "num_decks", "k"),
    [("RepeatPreviousEasy", 1, 4), ("RepeatPreviousMedium", 2, 32), ("RepeatPreviousHard", 3, 64)],
)
def test_a_name_stands_for_the_arguments_of_its_difficulty(name, num_decks, k):
    env = envs.make(name)
    assert isinstance(env, RepeatPrevious)
    assert (env.num_decks, env.k) == (num_decks, k)


def test_keyword_arguments_replace_those_of_the_name():
    env = envs.make("RepeatPreviousHard", k=8)
    assert (env.num_decks, env.k) == (3, 8)
    assert envs.make("RepeatPreviousHard").k == 64


@pytest.mark.parametrize("difficulty", ["Easy", "Medium", "Hard"])
@pytest.mark.parametrize(
    "alias",
    ["NoisyStatelessCartPole", "NoisyStatelessPendulum", "StatelessCartPole", "StatelessPendulum"],
)
def test_the_names_of_the_paper_are_aliases(alias, difficulty):
    name = alias + difficulty
    env, original = envs.make(name), envs.make(name.replace("Stateless", "PositionOnly"))
    assert type(env) is type(original)
    assert type(env).__name__ == alias.replace("Stateless", "PositionOnly")
    assert env.max_episode_steps == original.max_episode_steps
    assert name not in envs.registered_envs()


def test_memory_chain_has_one_name_and_takes_its_length_as_an_argument():
    env = envs.make("MemoryChain", memory_length=9, num_bits=2)
    assert isinstance(env, MemoryChain)
    assert (env.memory_length, env.num_bits) == (9, 2)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RepeatPreviusEasy", "RepeatPreviousEasy"),
        ("repeatpreviouseasy", "RepeatPreviousEasy"),
        ("popgym-RepeatFirstHard-v0", "RepeatFirstHard"),
        ("StatelessCartPole", "StatelessCartPoleEasy"),
    ],
)
def test_an_unknown_name_lists_the_nearest_known_ones(name, nearest):
    with pytest.raises(ValueError, match=f"nearest known names are .*{nearest}.*env='{name}'"):
        envs.make(name)


@pytest.mark.parametrize("name", ["xyz", "", None, 3])
def test_a_name_like_no_other_says_where_the_names_are(name):
    with pytest.raises(ValueError, match=r"none is similar. `registered_envs\(\)` lists all"):
        envs.make(name)


def test_an_argument_that_the_environment_does_not_take_is_named_with_those_it_takes():
    message = re.escape("`env_args` should fit RepeatPreviousEasy(num_decks=1, k=4)")
    with pytest.raises(ValueError, match=message + r".*'lag'.*Received: env_args=\{'lag': 3\}"):
        envs.make("RepeatPreviousEasy", lag=3)


def test_an_own_environment_can_be_made():
    envs.register_env("Own", lambda size=1: ("first", size))
    assert envs.make("Own", size=5) == ("first", 5)
    assert "Own" in envs.registered_envs()


def test_a_name_of_ones_own_is_not_taken_twice():
    first = type("First", (), {})
    envs.register_env("Once", first)
    envs.register_env("Once", first)  # a module that is imported twice
    for other in (type("Second", (), {}), lambda: None, "some.module:First"):
        with pytest.raises(ValueError, match=r"`name` .* registered, as .*First.*name='Once'"):
            envs.register_env("Once", other)
    assert type(envs.make("Once")) is first


def test_a_lambda_is_the_same_factory_only_as_itself():
    factory = lambda: 1  # noqa: E731
    envs.register_env("ByLambda", factory)
    envs.register_env("ByLambda", factory)
    with pytest.raises(ValueError, match=r"already registered, as <function .*<lambda>"):
        envs.register_env("ByLambda", lambda: 2)
    assert envs.make("ByLambda") == 1


def test_a_class_that_is_defined_anew_takes_the_place_of_the_old_one():
    old, new = type("Redefined", (), {}), type("Redefined", (), {})
    envs.register_env("Redefined", old)
    envs.register_env("Redefined", new)
    assert type(envs.make("Redefined")) is new
    envs.register_env("Redefined", f"{__name__}:Redefined")  # the same by its path


def test_a_factory_given_as_a_path_is_imported_when_it_is_needed():
    envs.register_env("Missing", "no_such_module:Env")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        envs.make("Missing")
    envs.register_env("ByPath", "keras_s5rl.envs.popgym.repeat_previous:RepeatPrevious")
    assert envs.make("ByPath", k=7).k == 7


def test_tables_are_read_as_an_import_has_them():
    tables = list(read_tables("envs", "ENVIRONMENTS", "ALIASES"))
    assert len(tables) > 20
    for module, name, table in tables:
        assert getattr(importlib.import_module(module), name) == table, module


def test_no_table_is_missed_and_no_name_is_declared_twice():
    folder = Path(keras_s5rl.__file__).parent / "envs"
    declaring = {
        path for path in folder.rglob("*.py") if "\nENVIRONMENTS" in path.read_text("utf-8")
    }
    tables = list(read_tables("envs", "ENVIRONMENTS"))
    assert len(tables) == len(declaring)
    names = [name for *_, table in tables for names in table.values() for name in names]
    assert sorted(names) == sorted(registry._BUILT_IN)
    assert not set(names) & set(registry._ALIASES)
    assert set(registry._ALIASES.values()) <= set(names)


def test_every_control_task_is_an_environment():
    assert {name: {"task": name} for name in TASKS}.items() <= {
        name: arguments for name, (_, arguments) in registry._BUILT_IN.items()
    }.items()


@pytest.mark.parametrize(
    ("source", "tables"),
    [
        ("ENVIRONMENTS = {}\n", [{}]),
        ('A = 1\nENVIRONMENTS: dict[str, int] = {"B": {"b": {}}}\nC = {}\n', [{"B": {"b": {}}}]),
        ('ENVIRONMENTS = {\n    "B": {  # why\n        "b": {"n": (1,)},\n    }\n}\nC = {}', None),
        ("_ENVIRONMENTS = {}\nENVIRONMENTS_OF_MINE = {}\n    ENVIRONMENTS = {}\n", []),
    ],
)
def test_the_reader_of_tables_takes_statements_in_the_format_of_ruff(
    tmp_path, monkeypatch, source, tables
):
    monkeypatch.setattr("keras_s5rl.envs.tables._PACKAGE", str(tmp_path / "package"))
    folder = tmp_path / "package" / "games" / "cards"
    folder.mkdir(parents=True)
    (folder / "whist.py").write_text(source)
    expected = [{"B": {"b": {"n": (1,)}}}] if tables is None else tables
    read = [("package.games.cards.whist", "ENVIRONMENTS", table) for table in expected]
    assert list(read_tables("games", "ENVIRONMENTS")) == read


def test_a_table_that_is_not_of_literals_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_s5rl.envs.tables._PACKAGE", str(tmp_path))
    (tmp_path / "whist.py").write_text("ENVIRONMENTS = {n: {} for n in names}\n")
    with pytest.raises(ValueError, match=r"`ENVIRONMENTS` in .*whist should be .*Received: "):
        list(read_tables("", "ENVIRONMENTS"))


@pytest.mark.parametrize("name", ["RepeatFirstEasy", "StatelessPendulumHard"])
def test_an_environment_of_the_package_cannot_be_replaced(name):
    with pytest.raises(ValueError, match=f"Choose another name. Received: name='{name}'"):
        envs.register_env(name, RepeatPrevious)


def test_a_wrong_registration_is_refused():
    with pytest.raises(ValueError, match="`name` should be a string of .* Received: name=3"):
        envs.register_env(3, RepeatPrevious)
    with pytest.raises(ValueError, match="`factory` should be .* Received: factory='module'"):
        envs.register_env("Own", "module")

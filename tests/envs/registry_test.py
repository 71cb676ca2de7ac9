import re

import pytest

from keras_s5rl import envs
from keras_s5rl.envs.memory_chain import MemoryChain
from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious

FAMILIES = (
    *("Autoencode", "Battleship", "Concentration", "CountRecall", "HigherLower"),
    *("LabyrinthEscape", "LabyrinthExplore", "MineSweeper", "MultiarmedBandit"),
    *("NoisyPositionOnlyCartPole", "NoisyPositionOnlyPendulum", "PositionOnlyCartPole"),
    *("PositionOnlyPendulum", "RepeatFirst", "RepeatPrevious", "VelocityOnlyCartpole"),
)


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


def test_an_own_environment_can_be_made_and_registered_again():
    envs.register_env("Own", lambda size=1: ("first", size))
    assert envs.make("Own", size=5) == ("first", 5)
    assert "Own" in envs.registered_envs()
    envs.register_env("Own", lambda size=1: ("second", size))
    assert envs.make("Own") == ("second", 1)


def test_a_factory_given_as_a_path_is_imported_when_it_is_needed():
    envs.register_env("Missing", "no_such_module:Env")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        envs.make("Missing")
    envs.register_env("ByPath", "keras_s5rl.envs.popgym.repeat_previous:RepeatPrevious")
    assert envs.make("ByPath", k=7).k == 7


@pytest.mark.parametrize("name", ["RepeatFirstEasy", "StatelessPendulumHard"])
def test_an_environment_of_the_package_cannot_be_replaced(name):
    with pytest.raises(ValueError, match=f"Choose another name. Received: name='{name}'"):
        envs.register_env(name, RepeatPrevious)


def test_a_wrong_registration_is_refused():
    with pytest.raises(ValueError, match="`name` should be a non-empty string. Received: name=3"):
        envs.register_env(3, RepeatPrevious)
    with pytest.raises(ValueError, match="`factory` should be .* Received: factory='module'"):
        envs.register_env("Own", "module")

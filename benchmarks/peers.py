"""Other libraries that do the same job, measured beside the package with `--peers`.

A suite lists their cases as `PEER_CASES`: name to the keyword arguments of its `measure_peer`,
among them `peer`, a name of `PEERS`, and `beside`, the package's own case to which it is compared.
"""

import dataclasses
import importlib
import importlib.util
import os


@dataclasses.dataclass(frozen=True)
class _Peer:
    adapter: str  # module that runs it
    modules: tuple[str, ...]  # what has to be installed
    about: str  # what a reader of its training's numbers should know
    environment: tuple[tuple[str, str], ...] = ()  # variables of its process, where not set


PEERS = {
    "memorax": _Peer(
        "benchmarks.memorax_peer",
        ("memorax",),
        "memorax plays this package's RepeatPreviousEasy, behind gymnax's interface; it trains an "
        "actor and a critic with a memory each, and its S5 has half as many complex states as "
        "state_size says, as here",
    ),
    "sb3-contrib": _Peer(
        "benchmarks.sb3_peer",
        ("sb3_contrib", "popgym"),
        "sb3-contrib trains an LSTM each for actor and critic on popgym's RepeatPreviousEasy, in a "
        "DummyVecEnv, on one thread (OMP_NUM_THREADS), for its operations are too small for more",
        (("OMP_NUM_THREADS", "1"),),
    ),
}
PACKAGES = ("flax", "gymnax", "memorax", "popgym", "sb3-contrib", "stable-baselines3")


def is_installed(peer):
    return all(importlib.util.find_spec(module) is not None for module in PEERS[peer].modules)


def load(peer):
    """Imports what runs a peer; to be called before anything else imports its libraries."""
    for name, value in PEERS[peer].environment:
        os.environ.setdefault(name, value)
    return importlib.import_module(PEERS[peer].adapter)


def ratio_lines(results, peer_cases, key, smaller_is_faster=False):
    """Compares the package's results with those of peers.

    Args:
        results: Dict of results by case, of the package's and of peers' cases.
        peer_cases: Dict, `PEER_CASES` of a suite.
        key: String, the number of a result that is compared.
        smaller_is_faster: Boolean, whether it is a time. Defaults to `False`: it is a rate.

    Returns:
        List of strings, a line for each case with a peer beside it.
    """
    ratios = {}
    for name, case in peer_cases.items():
        if name in results and case["beside"] in results:
            ratio = results[case["beside"]][key] / results[name][key]
            ratio = 1 / ratio if smaller_is_faster else ratio
            ratios.setdefault(case["beside"], []).append(f"{ratio:.2f} times as fast as {name}")
    return [f"{beside}: {', '.join(parts)}" for beside, parts in ratios.items()]


def about_lines(results, peer_cases):
    """Returns what a reader should know of the peers that have results."""
    measured = dict.fromkeys(case["peer"] for name, case in peer_cases.items() if name in results)
    return [PEERS[peer].about for peer in measured]

"""`TASKS`: the contact-free tasks of the DeepMind Control Suite as plain numbers."""

import dataclasses
import math
from typing import Any

_UPRIGHT = 0.0
_HANGING = math.pi
_GRAVITY = 9.81  # m/s^2
_NO_LIMIT = math.inf
# DMC's margin of 0: the reward's bell is 1 within its bounds and 0 beyond them.
_NO_MARGIN = 1e-12


@dataclasses.dataclass(frozen=True)
class Link:
    """A rigid body on a hinge, in SI units.

    Args:
        mass: Its mass (kg).
        center: Distance from the hinge to the centre of mass (m).
        length: Distance from the hinge to the next one, or to the tip (m).
        inertia: Moment of inertia about the centre of mass (kg m^2).
    """

    mass: float
    center: float
    length: float
    inertia: float


@dataclasses.dataclass(frozen=True)
class ControlTask:
    """A chain of links, on a slider or not, with what is observed and rewarded of it.

    In tuples by slot, slot 0 is the slider and slots `1 .. len(links)` are the hinges; a chain
    without a slider has zeros in slot 0. What a reward does not ask for is left at its default; see
    `ControlEngine.reward` for the factors that it is made of.

    Args:
        time_step: Seconds of a control step, one step of the integrator.
        integrator: String, `"euler"` (MuJoCo's, implicit in the damping) or `"rk4"`.
        slider_mass: Mass of what slides (kg), 0 without a slider.
        links: Tuple of `Link`, from the ground or the slider outwards.
        gravity: Its acceleration (m/s^2), 0 in a horizontal plane.
        damping: Tuple by slot (N s/m, N m s).
        gear: Tuple by slot of pairs: force (N, N m) of each of two controls at 1.
        observation: Tuple of names: `q1` and `v1` are position and speed of slot 1, `cos1` and
            `sin1` of the angle between link 1 and the upright direction, `goal0` and `goal1` the
            vector from the tip to the goal.
        limits: Tuple by slot, the largest absolute position (m, rad).
        start_center, start_half_width, start_deviation: Tuples by slot. A joint starts at `center +
            half_width * u + deviation * n`, `u` uniform on `[-1, 1)`, `n` standard normal.
        limit_time_constant: Seconds, the first number of MuJoCo's `solreflimit`.
        start_speed_deviation: Standard deviation of the speeds at the start (m/s, rad/s).
        target_radius: Pair, between which the target's distance from the origin is uniform (m).
        mixes_controls: Boolean. If True, each control acts in a random direction.
        resizes: Boolean. If False, the task has no lengths that could be scaled.
        aims_tip: Boolean. If True, the tip of the chain is to be brought to the goal.
        aims_slots: Pair of factors: 1 if the position of slots 0, 1 is to be brought to zero.
        aims_upright: Boolean. If True, the goal is where the tip of the upright chain is.
        goal_radius: Distance to the goal that is near enough (m).
        goal_margin: Distance beyond it at which the factor has fallen to a tenth (m).
        goal_minimum: The least that the factor falls to.
        least_cosine: Cosine that every link's angle must reach.
        raises_links: Boolean. If True, the mean height of the links counts.
        speed_margin: Speed of a hinge at which the bell of its factor is a tenth (rad/s).
        control_weights: Pair, weights of the squared controls in the factor of the effort.
        falls: Boolean. If True, leaving the upright direction is a fall (`has_fallen`).
    """

    time_step: float
    integrator: str
    slider_mass: float
    links: tuple[Link, ...]
    gravity: float
    damping: tuple[float, ...]
    gear: tuple[tuple[float, ...], ...]
    observation: tuple[str, ...]
    limits: tuple[float, ...]
    start_center: tuple[float, ...]
    start_half_width: tuple[float, ...]
    start_deviation: tuple[float, ...]
    limit_time_constant: float = 0.02
    start_speed_deviation: float = 0.0
    target_radius: tuple[float, ...] = (0.0, 0.0)
    mixes_controls: bool = False
    resizes: bool = True
    aims_tip: bool = False
    aims_slots: tuple[float, ...] = (0.0, 0.0)
    aims_upright: bool = False
    goal_radius: float = 0.0
    goal_margin: float = _NO_MARGIN
    goal_minimum: float = 0.0
    least_cosine: float = -2.0
    raises_links: bool = False
    speed_margin: float = math.inf
    control_weights: tuple[float, ...] = (0.0, 0.0)
    falls: bool = False

    @property
    def num_controls(self) -> int:
        """The number of controls that move a joint, 1 or 2."""
        return sum(any(column) for column in zip(*self.gear, strict=True))


def _pendulum() -> ControlTask:
    return ControlTask(
        time_step=0.02,
        integrator="euler",
        slider_mass=0.0,
        links=(Link(mass=1.0, center=0.5, length=0.5, inertia=0.001),),
        gravity=_GRAVITY,
        damping=(0.0, 0.1),
        gear=((0.0, 0.0), (1.0, 0.0)),
        observation=("cos1", "sin1", "v1"),
        limits=(_NO_LIMIT, _NO_LIMIT),
        start_center=(0.0, 0.0),
        start_half_width=(0.0, math.pi),
        start_deviation=(0.0, 0.0),
        least_cosine=math.cos(math.radians(8.0)),
    )


def _acrobot(sparse: bool) -> ControlTask:
    return ControlTask(
        time_step=0.01,
        integrator="rk4",
        slider_mass=0.0,
        links=(
            Link(mass=1.0, center=0.5, length=1.0, inertia=0.0955703125),
            Link(mass=1.0, center=0.5, length=1.0, inertia=0.09530365719649561),
        ),
        gravity=_GRAVITY,
        damping=(0.0, 0.05, 0.05),
        gear=((0.0, 0.0), (0.0, 0.0), (2.0, 0.0)),
        observation=("sin1", "sin2", "cos1", "cos2", "v1", "v2"),
        limits=(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT),
        start_center=(0.0, 0.0, 0.0),
        start_half_width=(0.0, math.pi, math.pi),
        start_deviation=(0.0, 0.0, 0.0),
        aims_tip=True,
        aims_upright=True,
        goal_radius=0.2,
        goal_margin=_NO_MARGIN if sparse else 1.0,
    )


def _cart_pole(num_poles: int = 1, balance: bool = False, sparse: bool = False) -> ControlTask:
    pole = Link(mass=0.1, center=0.5, length=1.0, inertia=0.009424592767295598)
    hinges = range(1, num_poles + 1)
    if balance:
        start: dict[str, Any] = {
            "start_center": (0.0,) + (_UPRIGHT,) * num_poles,
            "start_half_width": (0.1,) + (0.034,) * num_poles,
            "start_deviation": (0.0,) * (1 + num_poles),
        }
    else:
        start = {
            "start_center": (0.0, _HANGING) + (0.0,) * (num_poles - 1),
            "start_half_width": (0.0,) * (1 + num_poles),
            "start_deviation": (0.01, 0.01) + (0.1,) * (num_poles - 1),
        }
    if sparse:
        reward: dict[str, Any] = {"goal_radius": 0.25, "least_cosine": 0.995}
    else:
        reward = {
            "goal_margin": 2.0,
            "goal_minimum": 0.5,
            "raises_links": True,
            "speed_margin": 5.0,
            "control_weights": (1.0, 0.0),
        }
    return ControlTask(
        time_step=0.01,
        integrator="rk4",
        slider_mass=1.0,
        links=(pole,) * num_poles,
        gravity=_GRAVITY,
        damping=(5e-4,) + (2e-6,) * num_poles,
        gear=((10.0, 0.0),) + ((0.0, 0.0),) * num_poles,
        observation=(
            "q0",
            *(f"{function}{i}" for i in hinges for function in ("cos", "sin")),
            "v0",
            *(f"v{i}" for i in hinges),
        ),
        limits=(1.8,) + (_NO_LIMIT,) * num_poles,
        limit_time_constant=0.08,
        start_speed_deviation=0.01,
        aims_slots=(1.0, 0.0),
        falls=balance,
        **start,
        **reward,
    )


def _reacher(target_size: float) -> ControlTask:
    # The hand and the sphere at its tip are one body.
    hand, sphere = 0.03560471674068432, 0.004188790204786391
    center = (hand * 0.05 + sphere * 0.12) / (hand + sphere)
    inertia = 3.9175660390264734e-05 + hand * (0.05 - center) ** 2
    inertia += 1.6755160819145565e-07 + sphere * (0.12 - center) ** 2
    wrist_limit = math.radians(160.0)
    return ControlTask(
        time_step=0.02,
        integrator="euler",
        slider_mass=0.0,
        links=(
            Link(mass=0.04188790204786391, center=0.06, length=0.12, inertia=6.33135639453463e-05),
            Link(mass=hand + sphere, center=center, length=0.12, inertia=inertia),
        ),
        gravity=0.0,
        damping=(0.0, 0.01, 0.01),
        gear=((0.0, 0.0), (0.05, 0.0), (0.0, 0.05)),
        observation=("q1", "q2", "goal0", "goal1", "v1", "v2"),
        limits=(_NO_LIMIT, _NO_LIMIT, wrist_limit),
        start_center=(0.0, 0.0, 0.0),
        start_half_width=(0.0, math.pi, wrist_limit),
        start_deviation=(0.0, 0.0, 0.0),
        target_radius=(0.05, 0.20),
        aims_tip=True,
        goal_radius=target_size + 0.01,
    )


def _point_mass(mixes_controls: bool) -> ControlTask:
    mass, limit = 0.3, 0.29
    return ControlTask(
        time_step=0.02,
        integrator="euler",
        slider_mass=mass,
        # The second slider: a link that turns about its own centre moves apart from the first, and
        # its inertia takes the place of a mass.
        links=(Link(mass=0.0, center=0.0, length=0.0, inertia=mass),),
        gravity=0.0,
        damping=(1.0, 1.0),
        gear=((0.1, 0.0), (0.0, 0.1)),
        observation=("q0", "q1", "v0", "v1"),
        limits=(limit, limit),
        start_center=(0.0, 0.0),
        start_half_width=(limit, limit),
        start_deviation=(0.0, 0.0),
        mixes_controls=mixes_controls,
        resizes=False,
        aims_slots=(1.0, 1.0),
        goal_radius=0.015,
        goal_margin=0.015,
        control_weights=(0.5, 0.5),
    )


TASKS = {
    "pendulum_swingup": _pendulum(),
    "cartpole_balance": _cart_pole(balance=True),
    "cartpole_balance_sparse": _cart_pole(balance=True, sparse=True),
    "cartpole_swingup": _cart_pole(),
    "cartpole_swingup_sparse": _cart_pole(sparse=True),
    "cartpole_two_poles": _cart_pole(num_poles=2),
    "cartpole_three_poles": _cart_pole(num_poles=3),
    "acrobot_swingup": _acrobot(sparse=False),
    "acrobot_swingup_sparse": _acrobot(sparse=True),
    "reacher_easy": _reacher(target_size=0.05),
    "reacher_hard": _reacher(target_size=0.015),
    "point_mass_easy": _point_mass(mixes_controls=False),
    "point_mass_hard": _point_mass(mixes_controls=True),
}

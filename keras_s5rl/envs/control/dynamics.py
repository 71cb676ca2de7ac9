"""The equations of motion of a chain of links on a slider, integrated as MuJoCo does.

Joint coordinates are lists with one tensor `(num_envs,)` a slot: slot 0 is the slider, slots 1, 2,
... are the hinges, each relative to the link before. All sums over slots are unrolled, so that a
compiler sees plain arithmetic on vectors.

The chain is a dict of constants: `inertia[i][j]` (`A`, for `j <= i`), `coupling[i]` (`b`, 0 without
a slider), `weight[i]` (`g b`), `slider_mass`, `damping[slot]`, `is_present[slot]`, `time_step`,
`is_rk4` and those of the limits, each `(num_envs,)`; `euler_limits` and `rk4_limits` are the slots
that have a limit in some task of that integrator. `tables.physics_tables` lists what they hold.
"""

from typing import Any

from keras import ops

from keras_s5rl.envs.control.limits import limit_force
from keras_s5rl.typing import Tensor


def euler_step(
    chain: dict[str, Any], q: list[Tensor], v: list[Tensor], force: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Takes a step of MuJoCo's Euler method: implicit in the damping, then in the speeds.

    Args:
        chain: Dict of the chain's constants.
        q: List, positions of the joints (m, rad).
        v: List, speeds of the joints (m/s, rad/s).
        force: List, forces of the controls on the joints (N, N m).

    Returns:
        `q, v` a `time_step` later.
    """
    _, matrix, push = _evaluate(chain, q, v, force, chain["euler_limits"])
    return _euler(chain, q, v, matrix, push)


def rk4_step(
    chain: dict[str, Any], q: list[Tensor], v: list[Tensor], force: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Takes a step of the classic Runge-Kutta method, as `euler_step`.

    Damping and limits are evaluated anew in every stage, the force of the controls is not.
    """
    acceleration, _, _ = _evaluate(chain, q, v, force, chain["rk4_limits"])
    return _rk4(chain, q, v, force, acceleration)


def mixed_step(
    chain: dict[str, Any], q: list[Tensor], v: list[Tensor], force: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Takes `rk4_step` where `is_rk4`, else `euler_step`; both share the first evaluation."""
    limits = sorted({*chain["euler_limits"], *chain["rk4_limits"]})
    acceleration, matrix, push = _evaluate(chain, q, v, force, limits)
    rk4 = _rk4(chain, q, v, force, acceleration)
    euler = _euler(chain, q, v, matrix, push)
    q, v = (
        [ops.where(chain["is_rk4"], *values) for values in zip(*slots, strict=True)]
        for slots in zip(rk4, euler, strict=True)
    )
    return q, v


def link_angles(q: list[Tensor]) -> list[Tensor]:
    """Returns the links' angles to the upright direction: sums of the hinges' angles."""
    angles = [q[1]]
    for angle in q[2:]:
        angles.append(angles[-1] + angle)
    return angles


def _euler(
    chain: dict[str, Any],
    q: list[Tensor],
    v: list[Tensor],
    matrix: list[list[Tensor]],
    push: list[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Solves `(M + h D) v' = push`, where D holds the joints' damping, and steps with `v'`."""
    step = chain["time_step"]
    matrix = [list(row) for row in matrix]
    for slot, damping in enumerate(chain["damping"]):
        matrix[slot][slot] = matrix[slot][slot] + step * damping
        if slot >= 2:
            # A hinge brakes its link against the one before.
            matrix[slot][slot - 1] = matrix[slot][slot - 1] - step * damping
            matrix[slot - 1][slot - 1] = matrix[slot - 1][slot - 1] + step * damping
    v = _advance(v, step, _of_joints(chain, _solve(_factor(matrix), push)))
    return _advance(q, step, v), v


def _rk4(
    chain: dict[str, Any],
    q: list[Tensor],
    v: list[Tensor],
    force: list[Tensor],
    acceleration: list[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Takes the Runge-Kutta step whose first stage gave `acceleration`."""
    step = chain["time_step"]
    speeds, accelerations = [v], [acceleration]
    for fraction in (0.5, 0.5, 1.0):
        stage_q = _advance(q, fraction * step, speeds[-1])
        stage_v = _advance(v, fraction * step, accelerations[-1])
        acceleration, _, _ = _evaluate(chain, stage_q, stage_v, force, chain["rk4_limits"])
        speeds.append(stage_v)
        accelerations.append(acceleration)
    return _weighted_step(q, step, speeds), _weighted_step(v, step, accelerations)


def _weighted_step(start: list[Tensor], step: Tensor, slopes: Any) -> list[Tensor]:
    return [
        x + step / 6.0 * (first + 2.0 * (second + third) + fourth)
        for x, first, second, third, fourth in zip(start, *slopes, strict=True)
    ]


def _evaluate(
    chain: dict[str, Any], q: list[Tensor], v: list[Tensor], force: list[Tensor], limits: Any
) -> tuple[list[Tensor], list[list[Tensor]], list[Tensor]]:
    """Returns the joints' accelerations, the mass matrix and the forces, limits included.

    Matrix and forces are those of the slider and the links' angles.
    """
    matrix, push = _equations(chain, q, v, force)
    factor = _factor(matrix)
    free = acceleration = _of_joints(chain, _solve(factor, push))
    for slot in limits:
        # Two limits of one task are never on joints that move each other (`limit_force`).
        unit = _on_links([float(i == slot) for i in range(len(q))])
        response = _of_joints(chain, _solve(factor, unit))
        pull = limit_force(chain, slot, q[slot], v[slot], free[slot], response[slot])
        acceleration = _advance(acceleration, pull, response)
        push = _advance(push, pull, unit)
    return acceleration, matrix, push


def _equations(
    chain: dict[str, Any], q: list[Tensor], v: list[Tensor], force: list[Tensor]
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Returns the lower triangle of M and the right-hand side of the equations of motion.

    For the slider's position `x` and the links' angles `h`, with forces `f` of the joints on them:

        M_00 x'' + sum_i b_i cos(h_i) h_i'' = f_0 + sum_i b_i sin(h_i) h_i'^2
        b_i cos(h_i) x'' + sum_j A_ij cos(h_i - h_j) h_j''
            = f_i + g b_i sin h_i - sum_j A_ij sin(h_i - h_j) h_j'^2
    """
    inertia, coupling, weight = chain["inertia"], chain["coupling"], chain["weight"]
    num_links = len(inertia)
    angles = ops.stack(link_angles(q))
    sin, cos = ops.unstack(ops.sin(angles), num_links), ops.unstack(ops.cos(angles), num_links)
    squared_rates = [ops.square(rate) for rate in link_angles(v)]

    push = _on_links(
        [
            motor - damping * speed
            for motor, damping, speed in zip(force, chain["damping"], v, strict=True)
        ]
    )
    matrix = [[chain["slider_mass"]]]
    for i in range(num_links):
        push[0] = push[0] + coupling[i] * sin[i] * squared_rates[i]
        push[i + 1] = push[i + 1] + weight[i] * sin[i]
        row = [coupling[i] * cos[i]]
        for j in range(i):
            row.append(inertia[i][j] * (cos[i] * cos[j] + sin[i] * sin[j]))
            swing = inertia[i][j] * (sin[i] * cos[j] - cos[i] * sin[j])
            push[i + 1] = push[i + 1] - swing * squared_rates[j]
            push[j + 1] = push[j + 1] + swing * squared_rates[i]
        matrix.append([*row, inertia[i][i]])
    return matrix, push


def _on_links(force: list[Tensor]) -> list[Tensor]:
    """Takes forces of the joints to forces on the slider and on the links' angles."""
    slider, *hinges = force
    # A hinge turns its link and pushes back on the one before.
    return [
        slider,
        *(hinge - after for hinge, after in zip(hinges, [*hinges[1:], 0.0], strict=True)),
    ]


def _of_joints(chain: dict[str, Any], acceleration: list[Tensor]) -> list[Tensor]:
    """Takes accelerations of the slider and the links' angles to those of the joints."""
    slider, *links = acceleration
    hinges = [
        # A link that is not there stands still. Its hinge must not turn back for it.
        is_present * (link - before)
        for is_present, link, before in zip(
            chain["is_present"][2:], links[1:], links[:-1], strict=True
        )
    ]
    return [slider, links[0], *hinges]


def _factor(matrix: list[list[Tensor]]) -> list[list[Tensor]]:
    """Returns the Cholesky factor of the lower triangle `matrix`.

    That each entry, here and in `_solve`, comes from a quotient or a root is what makes it fast:
    XLA computes cheap products anew wherever they are used, which in a chain of eliminations grows
    exponentially, but such expensive operations only once.
    """
    factor: list[list[Tensor]] = []
    for i, row in enumerate(matrix):
        entries: list[Tensor] = []
        for j in range(i):
            rest = row[j]
            for k in range(j):
                rest = rest - entries[k] * factor[j][k]
            entries.append(rest / factor[j][j])
        pivot = row[i]
        for entry in entries:
            pivot = pivot - ops.square(entry)
        factor.append([*entries, ops.sqrt(pivot)])
    return factor


def _solve(factor: list[list[Tensor]], right: list[Tensor]) -> list[Tensor]:
    """Returns x of L L^T x = `right`."""
    x = list(right)
    for i in range(len(x)):
        for j in range(i):
            x[i] = x[i] - factor[i][j] * x[j]
        x[i] = x[i] / factor[i][i]
    for i in reversed(range(len(x))):
        for j in range(i + 1, len(x)):
            x[i] = x[i] - factor[j][i] * x[j]
        x[i] = x[i] / factor[i][i]
    return x


def _advance(start: list[Tensor], step: Tensor, slope: list[Tensor]) -> list[Tensor]:
    return [x + step * change for x, change in zip(start, slope, strict=True)]

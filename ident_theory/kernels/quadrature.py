"""Numerical integration over one latent: adaptive Gauss-Legendre panels with analytic error bounds.

Everything happens in the standardised latent t = (z - mu) / tau and in whitened residuals r_i(t) = R_i - B_i t,
so a *root* (one mixture component on one affine piece) is an interval of t with numbers B_i and C_i, R_i being
the whitened observation minus C_i. Positions and levels are kept as unevaluated sums of two floats ("pairs");
inside a panel only offsets y from its centre occur, so no large numbers cancel.

A panel carries a rigorous bound of its mass and the panel with the largest bound is treated first. The error of
Gauss-Legendre with m points for a function bounded by M on the Bernstein ellipse of parameter rho is at most
4 (1 + 1 / (4 m^2 - 1)) M rho^(-2m) / (1 - rho^-2): its Chebyshev coefficients are at most 2 M rho^-k, the rule is
exact below degree 2m, and a Chebyshev polynomial of even degree k has error at most 2 + 2 / (k^2 - 1). M comes from
the formulas of the densities at complex arguments, see `ellipse_bound`.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import LOWEST
from ident_theory.kernels.pairs import pair_add, pair_div, pair_mul
from ident_theory.kernels.panel_cuts import choose_cut, divide
from ident_theory.kernels.panels import (
    CURVE,
    EPS,
    GAUSSIAN,
    HALF,
    LEVEL,
    LOGISTIC,
    PAIR_EPS,
    REFERENCE,
    SIZE_MAX,
    SLOPE,
    STUDENT,
    T_MAX,
    UNSURE,
    describe,
    describe_centre,
    ellipse_bound,
    has_kink,
    log_noise,
    mass_bound,
    score,
    truncation_bound,
)

_REBASE = 300.0  # levels this far from the reference start the point again with a better reference
_REBASE_TRIES = 6
# Entries of the accumulator, all but the first in units of exp(SCALE).
_SCALE, _SUM, _TRUNCATION, _ROUNDING = range(4)


@nb.njit(cache=True, nogil=True)
def _integrate(family: int, nu: float, info: np.ndarray, r0: np.ndarray, slopes: np.ndarray, nodes: np.ndarray,
               weights: np.ndarray, work: np.ndarray) -> float:
    """Log of the Gauss-Legendre sum over the panel."""
    h, q = info[HALF], info[CURVE]
    top = -math.inf
    for p in range(len(nodes)):
        y = h * nodes[p]
        g = info[LEVEL] + y * (info[SLOPE] - 0.5 * q * y)
        if family == LOGISTIC:
            for i in range(len(r0)):
                # -|r| is -s r plus a smooth rest, s the sign at the centre, wherever r itself is.
                r = math.copysign(1.0, r0[i]) * (r0[i] - slopes[i, 0] * y)
                g -= 2.0 * (max(-r, 0.0) + math.log1p(math.exp(-abs(r))))
        elif family == STUDENT:
            for i in range(len(r0)):
                g += log_noise(family, nu, r0[i] - slopes[i, 0] * y)
        work[p] = g
        top = max(top, g)
    total = 0.0
    for p in range(len(nodes)):
        total += weights[p] * math.exp(work[p] - top)
    return top + math.log(total * h)


@nb.njit(cache=True, nogil=True)
def _rounding(family: int, nu: float, info: np.ndarray, r0: np.ndarray, slopes: np.ndarray) -> float:
    """Relative rounding error of `_integrate`: arithmetic in offsets, and in pairs at the centre."""
    h = info[HALF]
    size = 24.0 + abs(info[LEVEL]) + 2.0 * abs(info[SLOPE]) * h + 2.0 * info[CURVE] * h * h
    if family >= LOGISTIC:
        for i in range(len(r0)):
            reach = abs(slopes[i, 0]) * h
            least, most = max(0.0, abs(r0[i]) - reach), abs(r0[i]) + reach
            if family == LOGISTIC:
                size += 6.0 + 4.0 * most / (1.0 + math.exp(min(least, 50.0)))
            else:
                size += 4.0 * abs(log_noise(family, nu, most))
                size += 4.0 * (nu + 1.0) * most * min(0.5 / math.sqrt(nu), most / nu, 1.0 / max(least, 1e-300))
    return EPS * size + info[UNSURE]


@nb.njit(cache=True, nogil=True)
def _accumulate(total: np.ndarray, value: float, truncation: float, rounding: float) -> None:
    """Add exp(value) and its errors to the running sums."""
    if value > total[_SCALE]:
        factor = math.exp(total[_SCALE] - value)
        total[_SUM] *= factor
        total[_TRUNCATION] *= factor
        total[_ROUNDING] *= factor
        total[_SCALE] = value
    part = math.exp(value - total[_SCALE])
    total[_SUM] += part
    total[_ROUNDING] += part * rounding
    total[_TRUNCATION] += math.exp(min(truncation - total[_SCALE], 700.0))


@nb.njit(cache=True, nogil=True)
def _sift_up(keys: np.ndarray, slots: np.ndarray, at: int) -> None:
    while at > 0:
        parent = (at - 1) // 2
        if keys[parent] >= keys[at]:
            return
        keys[parent], keys[at] = keys[at], keys[parent]
        slots[parent], slots[at] = slots[at], slots[parent]
        at = parent


@nb.njit(cache=True, nogil=True)
def _sift_down(keys: np.ndarray, slots: np.ndarray, size: int) -> None:
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and keys[child + 1] > keys[child]:
            child += 1
        if keys[at] >= keys[child]:
            return
        keys[child], keys[at] = keys[at], keys[child]
        slots[child], slots[at] = slots[at], slots[child]
        at = child


@nb.njit(cache=True, nogil=True)
def _shifts(x: np.ndarray, whiten: np.ndarray, centres: np.ndarray, out: np.ndarray) -> bool:
    """Whitened observation minus every root's constant: pair and magnitude; False when out of range."""
    n = len(x)
    fine = True
    for i in range(n):
        th, tl, size = 0.0, 0.0, 0.0
        for j in range(i, i + 1) if whiten.shape[1] != n else range(i + 1):
            column = 0 if whiten.shape[1] != n else j
            ph, pl = pair_mul(whiten[i, column, 0], whiten[i, column, 1], x[j], 0.0)
            th, tl = pair_add(th, tl, ph, pl)
            size += abs(ph)
        for q in range(len(centres)):
            out[q, i, 0], out[q, i, 1] = pair_add(th, tl, -centres[q, i, 0], -centres[q, i, 1])
            out[q, i, 2] = size + abs(centres[q, i, 0])
            fine = fine and out[q, i, 2] < SIZE_MAX
    return fine


@nb.njit(cache=True, nogil=True)
def _atom_level(shift: np.ndarray, log_weight: float, family: int, nu: float) -> tuple[float, float, float]:
    """Log density of one point-mass component as a pair, with its error."""
    hi, lo, unsure = log_weight, 0.0, 0.0
    for i in range(len(shift)):
        rh, rl = shift[i, 0], shift[i, 1]
        if family == GAUSSIAN:
            sh, sl = pair_mul(rh, rl, rh, rl)
            hi, lo = pair_add(hi, lo, -0.5 * sh, -0.5 * sl)
        elif family == STUDENT:
            g = log_noise(family, nu, rh)
            hi, lo = pair_add(hi, lo, g, 0.0)
            unsure += EPS * (4.0 * abs(g) + 4.0 * (nu + 1.0) * min(1.0, rh * rh / nu))
        else:
            sign = math.copysign(1.0, rh)
            hi, lo = pair_add(hi, lo, -sign * rh, -sign * rl)
            if family == LOGISTIC:
                hi, lo = pair_add(hi, lo, -2.0 * math.log1p(math.exp(-abs(rh))), 0.0)
                unsure += 8.0 * EPS
        unsure += PAIR_EPS * abs(score(family, nu, rh)) * shift[i, 2]
    return hi, lo, unsure + 4.0 * EPS + PAIR_EPS * abs(hi)


@nb.njit(cache=True, nogil=True)
def _level_at(at_hi: float, at_lo: float, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
              ref_lo: float, r0: np.ndarray, info: np.ndarray) -> float:
    """Log integrand at a point, relative to the reference."""
    describe(at_hi, at_lo, 0.0, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
    level = info[LEVEL]
    for i in range(len(r0)):
        if family == STUDENT:
            level += log_noise(family, nu, r0[i])
        elif family == LOGISTIC:
            level -= 2.0 * math.log1p(math.exp(-abs(r0[i])))
    return level


@nb.njit(cache=True, nogil=True)
def _clip_to(edges: np.ndarray, at: np.ndarray) -> bool:
    """Move a point into an interval; True when it had been outside."""
    for side in (0, 2):
        beyond = pair_add(at[0], at[1], -edges[side], -edges[side + 1])[0] * (1 - side)
        if not beyond >= 0.0:
            at[0], at[1] = edges[side], edges[side + 1]
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _raise_reference(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, family: int, nu: float,
                     reference: np.ndarray, known: bool) -> None:
    """Raise the reference to the highest level met at the prior mean and at the centres of the noise factors.

    A reference that is not yet `known` is zero and is replaced by the first level met.
    With Gaussian noise the maximum itself is found: the slope is linear, so two Newton steps suffice.
    """
    n = shifts.shape[1]
    r0, info, at = np.empty(n), np.empty(7), np.empty(2)
    for q in range(len(edges)):
        for i in range(-1, 0 if family == GAUSSIAN else n):
            at[0], at[1] = 0.0, 0.0
            if i >= 0:
                if slopes[q, i, 0] == 0.0:
                    continue
                at[0], at[1] = pair_div(shifts[q, i, 0], shifts[q, i, 1], slopes[q, i, 0], slopes[q, i, 1])
            _clip_to(edges[q], at)
            for _ in range(2 if family == GAUSSIAN else 0):
                describe(at[0], at[1], 0.0, shifts[q], slopes[q], family, nu, 0.0, 0.0, r0, info)
                at[0], at[1] = pair_add(at[0], at[1], info[SLOPE] / info[CURVE], 0.0)
                if _clip_to(edges[q], at):
                    break
            for _ in range(2):  # the second time with the rounding of the first
                level = _level_at(at[0], at[1], shifts[q], slopes[q], family, nu, reference[0], reference[1], r0, info)
                if level > 0.0 or not known:
                    reference[0], reference[1] = pair_add(reference[0], reference[1], level, 0.0)
            known = True


@nb.njit(cache=True, nogil=True)
def _log_sum(keys: np.ndarray, size: int) -> float:
    if size == 0:
        return -math.inf
    top = keys[0]
    total = 0.0
    for i in range(size):
        total += math.exp(keys[i] - top)
    return top + math.log(total)


@nb.njit(cache=True, nogil=True)
def _search(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, log_roots: np.ndarray, family: int, nu: float,
            nodes: np.ndarray, weights: np.ndarray, rtol: float, ref_hi: float, ref_lo: float, may_rebase: bool,
            panels: np.ndarray, owner: np.ndarray, keys: np.ndarray, slots: np.ndarray, total: np.ndarray,
            rebased: np.ndarray) -> float:
    """Treat panels, largest bound first, until what is left is negligible; returns the log of what is left.

    When the first panel to be integrated lies far from the reference level, `rebased` receives a better one.
    """
    n = shifts.shape[1]
    r0, info, mid = np.empty(n), np.empty(7), np.empty(2)
    work = np.empty(len(nodes))
    roots = len(log_roots)
    accept, drop = math.log(rtol / 200.0), math.log(rtol / 100.0)
    stuck = -math.inf
    for q in range(roots):
        panels[q] = edges[q]
        owner[q] = q
        slots[q] = q
        keys[q] = mass_bound(panels[q], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info) + log_roots[q]
        _sift_up(keys, slots, q)
    size, used = roots, roots
    while size > 0:
        done = total[_SCALE] + math.log(total[_SUM]) if total[_SUM] > 0.0 else -math.inf
        key, slot = keys[0], slots[0]
        if key + math.log(size) < done + drop or used >= len(keys):
            break
        q = owner[slot]
        describe_centre(panels[slot], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info)
        # Bounds and value are formed relative to the panel's own level, so a poor reference does not blur them.
        level = info[LEVEL]
        info[LEVEL], info[REFERENCE] = 0.0, ref_hi + level
        base = level + log_roots[q]
        own = ellipse_bound(1.0, 0.0, family, nu, info, r0, slopes[q]) + math.log(panels[slot, 4])
        target = max(done, own + base) + accept
        error = math.inf
        if not has_kink(panels[slot], family, shifts[q], slopes[q]):
            error = truncation_bound(len(nodes), max(done - base, own) + accept, family, nu, info, r0, slopes[q]) + base
        accepted = False
        if error <= target:
            value = _integrate(family, nu, info, r0, slopes[q], nodes, weights, work) + base
            if error <= max(done, value) + accept:
                if may_rebase and abs(value) > _REBASE and (done == -math.inf or value > done):
                    rebased[0] = 1.0
                    rebased[1], rebased[2] = pair_add(ref_hi, ref_lo, value, 0.0)
                    return 0.0
                rounding = _rounding(family, nu, info, r0, slopes[q]) + EPS * (abs(level) + abs(log_roots[q]))
                _accumulate(total, value, error, rounding)
                accepted = True
        if not accepted and not choose_cut(panels[slot], family, nu, info, r0, shifts[q], slopes[q], mid):
            stuck = max(stuck, key) + math.log1p(math.exp(-abs(stuck - key))) if stuck > -math.inf else key
            accepted = True
        if accepted:
            size -= 1
            keys[0], slots[0] = keys[size], slots[size]
            _sift_down(keys, slots, size)
            continue
        divide(panels, owner, slot, used, mid)
        keys[0] = mass_bound(panels[slot], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info) + log_roots[q]
        _sift_down(keys, slots, size)
        keys[size] = (mass_bound(panels[used], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info)
                      + log_roots[q])
        slots[size] = used
        _sift_up(keys, slots, size)
        size += 1
        used += 1
    rest = _log_sum(keys, size)
    if stuck > rest:
        return stuck + math.log1p(math.exp(rest - stuck))
    return rest + math.log1p(math.exp(stuck - rest)) if stuck > -math.inf else rest


@nb.njit(cache=True, nogil=True)
def _finish(total: np.ndarray, rest: float, ref_hi: float, ref_lo: float,
            log_constant: float) -> tuple[float, float]:
    """Log density and its error from the accumulated sums and the mass that was left out."""
    if total[_SUM] <= 0.0:
        value = ref_hi + (min(rest, 0.0) if rest > -math.inf else 0.0) + log_constant
        return max(value, LOWEST), math.inf
    level = total[_SCALE] + math.log(total[_SUM])
    relative = total[_TRUNCATION] / total[_SUM]
    missing = rest - level
    upper = math.log1p(relative + math.exp(missing)) if missing < 700.0 else missing + 1.0
    lower = -math.log1p(-relative) if relative < 1.0 else math.inf
    value = ref_hi + (level + (ref_lo + log_constant))
    if not value > LOWEST:
        return LOWEST, math.inf
    error = max(upper, lower) + total[_ROUNDING] / total[_SUM]
    return value, error + 2.0 * EPS * (abs(value) + abs(level) + 2.0 * abs(log_constant) + 2.0 * abs(ref_lo))


@nb.njit(cache=True, nogil=True)
def _crude(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, log_roots: np.ndarray, atom_shifts: np.ndarray,
           atom_logs: np.ndarray, family: int, nu: float, log_constant: float) -> float:
    """A finite stand-in where numbers leave the range: the largest integrand seen at a few points."""
    best = LOWEST
    n = shifts.shape[1]
    for q in range(len(log_roots)):
        for k in range(-1, n):
            t = 0.0 if k < 0 or slopes[q, k, 0] == 0.0 else shifts[q, k, 0] / slopes[q, k, 0]
            t = min(max(t, edges[q, 0]), edges[q, 2])
            g = log_roots[q] - 0.5 * t * t
            for i in range(n):
                g += log_noise(family, nu, shifts[q, i, 0] - slopes[q, i, 0] * t)
            if g > best:
                best = g
    for q in range(len(atom_logs)):
        g = atom_logs[q]
        for i in range(n):
            g += log_noise(family, nu, atom_shifts[q, i, 0])
        if g > best:
            best = g
    return max(best + log_constant, LOWEST)


@nb.njit(cache=True, nogil=True)
def quadrature_line(x: np.ndarray, whiten: np.ndarray, centres: np.ndarray, slopes: np.ndarray, edges: np.ndarray,
                    log_roots: np.ndarray, atom_centres: np.ndarray, atom_logs: np.ndarray, family: int, nu: float,
                    log_constant: float, nodes: np.ndarray, weights: np.ndarray, rtol: float, max_panels: int,
                    value: np.ndarray, error: np.ndarray) -> None:
    r"""Log density of x = f(z) + eps for one latent, by adaptive quadrature with error bounds.

    .. math::

        \log p(x) = c + \log\Big[\sum_q e^{\ell_q} \int_{s_q}^{e_q} e^{-t^2/2} \prod_i g(r_{qi}(t))\, dt
        + \sum_a e^{\ell_a} \prod_i g(r_{ai})\Big], \quad r_q(t) = W x - C_q - B_q t

    with g the noise density divided by its constant. Roots q are pairs of mixture component and affine piece.

    Parameters
    ----------
    x : (N, n)
        Observations, finite.
    whiten : (n, n, 2) or (n, 1, 2)
        Lower triangular W, or its diagonal, as pairs of floats (last axis: high and low part).
    centres, slopes : (Q, n, 2)
        C and B as pairs.
    edges : (Q, 5)
        Ends of the t-interval as pairs, then its width; \|t\| <= `T_MAX`.
    log_roots : (Q,)
        Log of weight and prior constant.
    atom_centres, atom_logs : (A, n, 2), (A,)
        Point-mass components: C and log weight.
    family : int
        `GAUSSIAN`, `LAPLACE`, `LOGISTIC` or `STUDENT`; `nu` is the degrees of freedom of the last.
    log_constant : float
        Sum of the logs of the noise constants.
    nodes, weights : (m,)
        Gauss-Legendre rule on [-1, 1].
    rtol : float
        Aim for the relative truncation error of the density.
    max_panels : int
        Panels kept at most for one observation; at least Q + 2.
    value, error : (N,)
        Results. `value` is finite; `error` bounds the truncation error and estimates rounding.

    Notes
    -----
    **Accuracy.** `error` is near ``1e-12 + 1e-15 * abs(value)`` unless the panels run out (then it covers the mass
    not resolved), or whitened numbers exceed `SIZE_MAX` (then it is inf). Time grows with the roots that matter
    at x, memory with Q n + `max_panels` only.
    """
    n = x.shape[1]
    count, atoms = len(log_roots), len(atom_logs)
    shifts, atom_shifts = np.empty((count, n, 3)), np.empty((atoms, n, 3))
    panels, owner = np.empty((max_panels, 5)), np.empty(max_panels, np.int64)
    keys, slots = np.empty(max_panels), np.empty(max_panels, np.int64)
    total, rebased, levels = np.empty(4), np.zeros(3), np.empty((atoms, 3))
    reference = np.empty(2)
    slopes_fit = True
    for q in range(count):
        for i in range(n):
            slopes_fit = slopes_fit and abs(slopes[q, i, 0]) < SIZE_MAX
    for row in range(len(x)):
        fine = _shifts(x[row], whiten, centres, shifts)
        fine = _shifts(x[row], whiten, atom_centres, atom_shifts) and fine
        if not (fine and slopes_fit):
            value[row] = _crude(shifts, slopes, edges, log_roots, atom_shifts, atom_logs, family, nu, log_constant)
            error[row] = math.inf
            continue
        reference[:] = 0.0
        for a in range(atoms):
            levels[a] = _atom_level(atom_shifts[a], atom_logs[a], family, nu)
            if a == 0 or levels[a, 0] > reference[0]:
                reference[:] = levels[a, :2]
        _raise_reference(shifts, slopes, edges, family, nu, reference, atoms > 0)
        ref_hi, ref_lo = reference[0], reference[1]
        rest = -math.inf
        for attempt in range(_REBASE_TRIES):
            total[:] = 0.0
            total[_SCALE] = -math.inf
            for a in range(atoms):
                level = (levels[a, 0] - ref_hi) + (levels[a, 1] - ref_lo)
                _accumulate(total, level, -math.inf, levels[a, 2] + EPS * (24.0 + abs(level)))
            rebased[0] = 0.0
            rest = _search(shifts, slopes, edges, log_roots, family, nu, nodes, weights, rtol, ref_hi, ref_lo,
                           attempt + 1 < _REBASE_TRIES, panels, owner, keys, slots, total, rebased)
            if rebased[0] == 0.0:
                break
            ref_hi, ref_lo = rebased[1], rebased[2]
        outside = 2.0 - 0.5 * T_MAX * T_MAX - ref_hi
        if outside > rest:
            rest = outside + math.log1p(math.exp(rest - outside))
        value[row], error[row] = _finish(total, rest, ref_hi, ref_lo, log_constant)

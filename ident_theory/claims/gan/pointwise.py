"""Facts about one state with masses a (data) and b (generated), from which those about laws follow by summing."""

from __future__ import annotations

from functools import cache

import sympy as sp

A, B, T, Y = sp.symbols("a b t y", positive=True)


def value_term(y: sp.Expr) -> sp.Expr:
    """One state's share of V for the discriminator value y."""
    return A * sp.log(y) + B * sp.log(1 - y)


def vanishes(expression: sp.Expr) -> bool:
    """Whether an expression in positive symbols is identically zero."""
    return bool(sp.simplify(sp.expand_log(sp.expand_log(sp.together(expression), force=True), force=True)) == 0)


@cache
def optimal_discriminator() -> bool:
    """a log y + b log(1 - y) has one stationary point, a/(a+b), and is strictly concave there and everywhere."""
    slope = sp.diff(value_term(Y), Y)
    points = sp.solve(sp.numer(sp.together(slope)), Y)
    curvature = sp.diff(slope, Y)
    # Both terms of the second derivative, -a/y^2 and -b/(1-y)^2, are negative on (0, 1).
    other = sp.simplify(curvature + A / Y**2 + B / (1 - Y) ** 2)
    return bool(len(points) == 1 and sp.simplify(points[0] - A / (A + B)) == 0 and other == 0)


@cache
def js_term_identity() -> bool:
    """V's share at the optimal discriminator = share of 2 JSD - (a+b) log 2."""
    share = A * sp.log(2 * A / (A + B)) + B * sp.log(2 * B / (A + B))
    at_optimum = A * sp.log(A / (A + B)) + B * sp.log(B / (A + B))
    direct = value_term(A / (A + B))
    return vanishes(at_optimum - direct) and vanishes(at_optimum - share + (A + B) * sp.log(2))


@cache
def js_is_a_divergence() -> bool:
    """The share of 2 JSD is a phi(b/a) with phi convex, phi(1) = phi'(1) = 0: non-negative, zero only for a = b."""
    share = A * sp.log(2 * A / (A + B)) + B * sp.log(2 * B / (A + B))
    phi = sp.log(2 / (1 + T)) + T * sp.log(2 * T / (1 + T))
    scaled = vanishes(share.subs(B, A * T) - A * phi)
    curvature = sp.simplify(sp.diff(phi, T, 2))
    return bool(scaled and phi.subs(T, 1) == 0 and sp.simplify(sp.diff(phi, T).subs(T, 1)) == 0
                and curvature.is_positive)


@cache
def logarithm_below_tangent() -> bool:
    """h(t) = t - 1 - log t is convex with h(1) = h'(1) = 0, so that log t <= t - 1."""
    h = T - 1 - sp.log(T)
    return bool(h.subs(T, 1) == 0 and sp.diff(h, T).subs(T, 1) == 0 and sp.diff(h, T, 2).is_positive)


@cache
def evidence_gap_is_a_divergence() -> bool:
    """log p(x|u) - E_q log p(x|z) + KL(q, p(z|u)) is KL(q, p(z|x,u)): two states, generic tables."""
    q, prior, like = (sp.symbols(f"{name}0:2", positive=True) for name in ("q", "p", "l"))
    evidence = sum(p * v for p, v in zip(prior, like, strict=True))
    left = sp.log(evidence) * sum(q) - sum(w * sp.log(v) for w, v in zip(q, like, strict=True))
    right = -sum(w * sp.log(w / p) for w, p in zip(q, prior, strict=True))
    posterior = [p * v / evidence for p, v in zip(prior, like, strict=True)]
    gap = sum(w * sp.log(w / p) for w, p in zip(q, posterior, strict=True))
    return bool(sp.simplify(sp.expand_log(left - right - gap, force=True)) == 0)

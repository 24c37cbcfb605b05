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
    """The share of 2 JSD is a phi(b/a) with phi convex, phi(1) = phi'(1) = 0: non-negative, zero only for a = b.

    A state that one law misses contributes the other's mass times log 2.
    """
    share = A * sp.log(2 * A / (A + B)) + B * sp.log(2 * B / (A + B))
    phi = sp.log(2 / (1 + T)) + T * sp.log(2 * T / (1 + T))
    scaled = vanishes(share.subs(B, A * T) - A * phi)
    curvature = sp.simplify(sp.diff(phi, T, 2))
    ends = [sp.limit(share, symbol, 0, "+") - other * sp.log(2) for symbol, other in ((A, B), (B, A))]
    vanishing = all(sp.simplify(end) == 0 for end in ends)
    return bool(scaled and vanishing and phi.subs(T, 1) == 0 and sp.simplify(sp.diff(phi, T).subs(T, 1)) == 0
                and curvature.is_positive)


@cache
def logarithm_below_tangent() -> bool:
    """h(t) = t - 1 - log t is convex with h(1) = h'(1) = 0, so that log t <= t - 1."""
    h = T - 1 - sp.log(T)
    return bool(h.subs(T, 1) == 0 and sp.diff(h, T).subs(T, 1) == 0 and sp.diff(h, T, 2).is_positive)


@cache
def value_is_negative() -> bool:
    """One state's share of V is negative for every discriminator value y = t/(1+t) in (0, 1)."""
    logs = sp.log(1 + 1 / T), sp.log(1 + T)
    share = value_term(T / (1 + T)) + A * logs[0] + B * logs[1]
    return vanishes(share) and all(bool(entry.is_positive) for entry in logs)


@cache
def evidence_gap_is_a_divergence() -> bool:
    """log p(x|u) - E_q log p(x|z) + KL(q, p(z|u)) is KL(q, p(z|x,u)), which is not negative.

    Both sides are sums over z of q(z) times a term; the terms agree for every z, and the posterior sums to 1.
    """
    q, prior, like, evidence = sp.symbols("q p l e", positive=True)
    posterior = prior * like / evidence
    left = q * sp.log(evidence) - q * sp.log(like) + q * sp.log(q / prior)
    return vanishes(left - q * sp.log(q / posterior)) and logarithm_below_tangent()

#!/usr/bin/env python3
"""Fits every constant of the kernels and writes ../src/coefficients.rs. Needs mpmath, numpy.

Polynomials are near-minimax (Chebyshev interpolation at 50 digits, rounded to doubles); the error in each comment is that
of the rounded coefficients evaluated exactly. The rational seed is fitted by reweighted least squares."""
import numpy as np
from mpmath import mp, mpf, atanh, sqrt, exp, erfc, log, log1p, pi, chebyfit, polyval, nstr, npdf, ncdf, findroot, fac2

mp.dps = 50
NEAR = mpf("6.05")      # the box ends at 6 standard deviations
LOW = mpf("-0.26")      # z - t is lowest at the money with s = 0.5
out = []


def mills(z):
    if z > 80:
        return sum((-1) ** k * (fac2(2 * k - 1) if k else 1) / z ** (2 * k) for k in range(14)) / z
    return sqrt(pi / 2) * exp(z * z / 2) * erfc(z / sqrt(mpf(2)))


def gap(z):             # 1 - z M(z)
    if z > 80:
        return sum((-1) ** (k + 1) * fac2(2 * k - 1) / z ** (2 * k) for k in range(1, 14))
    return 1 - z * mills(z)


def emit(name, coefficients, note):
    body = "".join(f"    {float(c)!r},\n" for c in coefficients)
    out.append(f"/// {note}\npub(crate) const {name}: [f64; {len(coefficients)}] = [\n{body}];\n")
    print(name, note, flush=True)


def polynomial(name, f, low, high, count, note, absolute=False):
    """count coefficients, lowest first."""
    c = list(reversed(chebyfit(f, [low, high], count)))
    rounded = [mpf(float(v)) for v in reversed(c)]
    points = [low + (high - low) * mpf(i) / 500 for i in range(501)]
    error = max(abs(polyval(rounded, x) - f(x)) / (1 if absolute else abs(f(x))) for x in points)
    emit(name, c, f"{note}; {'absolute' if absolute else 'relative'} error {nstr(error, 2)}")


def taylor(f, coefficients):
    """f, but by its series where the closed form cancels."""
    return lambda x: f(x) if abs(x) > mpf(10) ** -9 else sum(c * x ** i for i, c in enumerate(coefficients))


polynomial("ATANH", taylor(lambda y: (atanh(sqrt(y)) / sqrt(y) - 1 - y / 3) / y ** 2, [mpf(1) / (2 * k + 5) for k in range(6)]), mpf(0), mpf("0.0435"), 7,
           "atanh(q) = q + q^3/3 + q^5 (c0 + c1 y + ...), y = q^2 <= 0.0435")
binomial = lambda power: [(-1) ** (k + 1) * mp.binomial(power, k + 1) for k in range(8)]
half = mpf(1) / 2
polynomial("ROOT", taylor(lambda y: (sqrt(1 - y) - 1) / y, binomial(half)), mpf(0), mpf("0.0435"), 7,
           "sqrt(1-y) = 1 + y (c0 + c1 y + ...), y <= 0.0435")
polynomial("INVERSE_ROOT", taylor(lambda y: (1 / sqrt(1 - y) - 1) / y, binomial(-half)), mpf(0), mpf("0.0435"), 8,
           "1/sqrt(1-y) = 1 + y (c0 + c1 y + ...), y <= 0.0435")
half_ln2 = log(mpf(2)) / 2 * mpf("1.0001")
inverse_factorial = [1 / mp.factorial(k) for k in range(12)]
polynomial("EXP", taylor(lambda r: (exp(r) - 1 - r) / r ** 2, inverse_factorial[2:8]), -half_ln2, half_ln2, 10,
           "exp(r) = 1 + r + r^2 (c0 + c1 r + ...), |r| <= ln(2)/2")
polynomial("EXP_CUBIC", taylor(lambda r: (exp(r) - 1 - r - r * r / 2) / r ** 3, inverse_factorial[3:9]), -half_ln2, half_ln2, 11,
           "exp(r) = 1 + r + r^2/2 + r^3 (c0 + c1 r + ...), |r| <= ln(2)/2")
tiny = mpf(10) ** -25
small = mpf("0.004")
polynomial("LN_1P", taylor(lambda y: (log1p(y) / y - 1) / y, [mpf(-1) ** (k + 1) / (k + 2) for k in range(6)]), -small, small, 4,
           "ln(1+e) = e (1 + e (c0 + c1 e + ...)), |e| <= 0.004")
root2 = sqrt(mpf(2))
polynomial("LN_ROUGH", lambda y: log1p(y) / y if abs(y) > tiny else 1 - y / 2, 1 / root2 - 1, root2 - 1, 6,
           "ln(1+y)/y for y in [sqrt(1/2)-1, sqrt(2)-1], for the seed only")
c = mpf(5)
at = lambda p: c * (1 + p) / (1 - p)                # p = (z-5)/(z+5)
p_of = lambda z: (z - c) / (z + c)
polynomial("GAP", lambda p: gap(at(p)), mpf(-1), p_of(NEAR), 18, "1 - z M(z) in p = (z-5)/(z+5), 0 <= z <= 6.05", absolute=True)
polynomial("MILLS", lambda p: mills(at(p)) * 2 * c / (1 - p), p_of(LOW), p_of(NEAR), 18,
           "(z+5) M(z) in p = (z-5)/(z+5), -0.26 <= z <= 6.05")
wide = lambda u: (5 * u + 3) / (1 - u)              # u = (z-3)/(z+5) takes [-1, inf) to [-1, 1)
end = 1 - mpf(10) ** -9
polynomial("MILLS_WIDE", lambda u: mills(wide(u)) * (wide(u) + 5) if u < end else mpf(1), mpf(-1), mpf(1), 28,
           "(z+5) M(z) in u = (z-3)/(z+5), z >= -1")
polynomial("MILLS_ROUGH", lambda u: mills(wide(u)) * (wide(u) + 5) if u < end else mpf(1), mpf(-1), mpf(1), 12, "the same, rougher")
polynomial("GAP_WIDE", lambda u: gap(wide(u)) * (wide(u) + 5) ** 2 if u < end else mpf(1), mpf("-0.6"), mpf(1), 28,
           "(z+5)^2 (1 - z M(z)) in u = (z-3)/(z+5), z >= 0")

# --- seed: L = ln(1+k), k = a / (sqrt(2 pi) b), z = L P(L)/Q(L) inverts the Bachelier formula b = s (phi(z) - z N(-z))
mp.dps = 30
zs = np.concatenate([np.geomspace(1e-5, .1, 80), np.linspace(.1, 6.05, 700)])
bachelier = lambda z: npdf(z) * (1 / z - mills(z))
L = np.array([float(log(1 + 1 / (sqrt(2 * pi) * bachelier(mpf(z))))) for z in zs])


def rational(x, r, m, n, rounds=400):
    scale = x.max()
    A, B = np.vander(x / scale, m + 1, increasing=True), np.vander(x / scale, n + 1, increasing=True)[:, 1:]
    den, weight, best = np.ones(len(x)), np.ones(len(x)), (9, None)
    for i in range(rounds):
        W = np.sqrt(weight) / (np.abs(r) * den)
        co, *_ = np.linalg.lstsq(np.hstack([A * W[:, None], -(r * W)[:, None] * B]), r * W, rcond=None)
        num, d = A @ co[: m + 1], 1 + B @ co[m + 1:]
        e = np.abs(num / d / r - 1)
        if d.min() > 0 and num.min() > 0 and e.max() < best[0]:
            best = (e.max(), co.copy())
        den = np.abs(d)
        if i > 8:
            weight = weight * (e / e.max() + 1e-3)
            weight /= weight.max()
    e, co = best
    return e, [co[i] / scale ** i for i in range(m + 1)], [1.0] + [co[m + 1 + i] / scale ** (i + 1) for i in range(n)]


e, P, Q = rational(L, zs / L, 4, 5)
emit("SEED_P", P, f"z = L P(L)/Q(L) of the Bachelier formula up to z = 6.05; relative error {e:.1e}")
emit("SEED_Q", Q, "denominator of the same")
# Black correction s = sN (1 + sN^2 (c1 + c2 sN^2)); c1 is exact, c2 is read off the true inverse at s = 0.45
c1 = np.array([float((1 - mpf(z) ** 2 * gap(mpf(z))) / 24) for z in zs])
black = lambda a, s: exp(-a / 2) * ncdf(-a / s + s / 2) - exp(a / 2) * ncdf(-a / s - s / 2)
normal = lambda a, s: s * npdf(a / s) - a * ncdf(-a / s)
knots, c2 = np.concatenate([[1e-4, .05, .1], np.linspace(.2, 6.05, 43)]), []
for z in knots:
    s = mpf("0.45")
    a = mpf(z) * s
    target = log(black(a, s))
    sn = findroot(lambda v: log(normal(a, v)) - target, s * (1 - s * s / 24))
    zn = a / sn
    c2.append(float((s / sn - 1 - (1 - zn ** 2 * gap(zn)) / 24 * sn ** 2) / sn ** 4))
c2 = np.interp(zs, knots, c2)
Qv = np.polyval(Q[::-1], L)


def numerator(values, degree):
    V, weight, best = np.vander(L / L.max(), degree + 1, increasing=True) / Qv[:, None], np.ones(len(L)), (9, None)
    for i in range(80):
        co, *_ = np.linalg.lstsq(V * np.sqrt(weight)[:, None], values * np.sqrt(weight), rcond=None)
        e = np.abs(V @ co - values)
        if e.max() < best[0]:
            best = (e.max(), co.copy())
        if i > 3:
            weight = weight * (e / e.max() + 1e-3)
            weight /= weight.max()
    return [best[1][i] / L.max() ** i for i in range(degree + 1)], best[0]


o1, e1 = numerator(c1, 3)
o2, e2 = numerator(c2, 2)
emit("SEED_C1", o1, f"c1(L) Q(L) of the Black correction; absolute error {e1:.1e}")
emit("SEED_C2", o2, f"c2(L) Q(L) of the Black correction; absolute error {e2:.1e}")
# --- the same beyond: z^2 by L, down to the last subnormal price
far = np.geomspace(5.95, 39.5, 400)
L_far = np.array([float(log(mpf(z)) + mpf(z) ** 2 / 2 - log(gap(mpf(z)))) for z in far])
e, P, Q = rational(L_far, far ** 2, 3, 2)
emit("FAR_P", P, f"z^2 = P(L)/Q(L) of the Bachelier formula from z = 5.95 to 39.5; relative error {e:.1e}")
emit("FAR_Q", Q, "denominator of the same")
out.append(f"/// Largest L of the seed.\npub(crate) const SEED_MAX: f64 = {float(L.max()):.6f};\n")
header = "//! Polynomials and rationals of the kernels. Written by `coefficients/fit.py`.\n\n"
open("../src/coefficients.rs", "w").write(header + "\n".join(out))

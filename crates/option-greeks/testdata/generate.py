#!/usr/bin/env python3
"""Writes options.csv: a small set of options with 60-digit prices, Greeks and implied volatilities. Needs mpmath."""
import random
from mpmath import mp, mpf, exp, log, sqrt, erfc, pi, findroot, nstr

mp.dps = 60
random.seed(76)
ROOT2 = sqrt(mpf(2))
cdf = lambda z: erfc(-z / ROOT2) / 2
pdf = lambda z: exp(-z * z / 2) / sqrt(2 * pi)


def greeks(model, flag, u, K, T, r, q, sigma):
    u, K, T, r, q, v = map(mpf, (u, K, T, r, q, sigma))
    th = 1 if flag == "c" else -1
    y = r if model == "black76" else q          # Black-76 is Black-Scholes-Merton with the yield equal to the rate
    du, dk = exp(-y * T), exp(-r * T)
    s = v * sqrt(T)
    d1 = (log(u / K) + (r - y) * T) / s + s / 2
    d2 = d1 - s
    price = th * (u * du * cdf(th * d1) - K * dk * cdf(th * d2))
    delta = th * du * cdf(th * d1)
    gamma = du * pdf(d1) / (u * s)
    vega = u * du * pdf(d1) * sqrt(T)
    decay = u * du * pdf(d1) * v / (2 * sqrt(T))
    theta = -decay + th * (y * u * du * cdf(th * d1) - r * K * dk * cdf(th * d2))
    rho = -T * price if model == "black76" else th * T * K * dk * cdf(th * d2)
    vanna = -du * pdf(d1) * d2 / v
    volga = vega * d1 * d2 / v
    charm = y * delta - du * pdf(d1) * ((r - y) / s - d2 / (2 * T))
    speed = -gamma / u * (1 + d1 / s)
    return price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed


def row(model, flag, u, K, T, r, q, sigma, tick=None):
    out = greeks(model, flag, u, K, T, r, q, sigma)
    price_in = float(out[0]) if tick is None else max(round(float(out[0]) / tick), 1) * tick
    head = [model, flag] + [repr(float(v)) for v in (u, K, T, r, q, sigma)]
    forward = [nstr(v, 32) for v in out]
    y = r if model == "black76" else q
    du, dk = exp(-mpf(y) * mpf(T)), exp(-mpf(r) * mpf(T))
    th = 1 if flag == "c" else -1
    parity = th * (mpf(u) * du - mpf(K) * dk)
    low, high = max(parity, mpf(0)), mpf(u) * du if th > 0 else mpf(K) * dk
    p = mpf(price_in)
    margin = min(abs(p - low) if low > 0 else mpf("inf"), abs(high - p)) / (mpf(2) ** -52 * max(high, low, mpf(u) * du))
    if not low < p < high:
        return head + ["ok"] + forward + [repr(price_in), "below_intrinsic" if p < low else "above_maximum", nstr(min(margin, mpf(10) ** 9), 6), "", "", ""]
    left, right = mpf(sigma) / 100, mpf(sigma) * 100
    for _ in range(180):        # the price rises with volatility, so bisection cannot miss
        iv = (left + right) / 2
        left, right = (left, iv) if greeks(model, flag, u, K, T, r, q, iv)[0] > p else (iv, right)
    g = greeks(model, flag, u, K, T, r, q, iv)
    assert abs(g[0] / p - 1) < mpf(10) ** -40, (head, nstr(g[0] / p - 1, 5))
    vega = iv * g[3]
    return head + ["ok"] + forward + [repr(price_in), "ok", nstr(min(margin, mpf(10) ** 9), 6), nstr(iv, 32), nstr(p / vega, 6), nstr(abs(u * g[1]) / vega, 6)]


rows = []
for n in range(44):     # index options, some a few minutes from expiry, some rounded to the tick
    u = round(random.uniform(15000, 60000), 2)
    T = int(random.choice([5, 60, 400, 1440 * 3, 1440 * 30, 525600])) / 525600
    sigma = round(random.uniform(0.06, 0.7), 4)
    z = random.uniform(-3, 3)
    K = round(u * float(exp(z * sigma * T ** 0.5)) / 50) * 50.0
    model, q = ("black76", 0.0) if n % 3 else ("bsm", random.choice([0.0, 0.013]))
    rows.append(row(model, random.choice("cp"), u, K, T, random.choice([0.0, 0.065, 0.1]), q, sigma, 0.05 if n % 4 == 3 else None))
for flag in "cp":       # corners of the domain
    for u, K, T, sigma in ((100.0, 100.0, 1e-6, 1e-4), (100.0, 100.0, 1.0, 9.0), (1.0, 1e6, 1.0, 3.0), (1e6, 1.0, 1.0, 3.0),
                           (100.0, 130.0, 0.01, 0.08), (100.0, 160.0, 0.25, 0.9), (1000.0, 1000.0000000001, 0.1, 0.2), (5.0, 50.0, 4.0, 2.5)):
        rows.append(row("black76", flag, u, K, T, 0.02, 0.0, sigma))
columns = "model,flag,u,K,T,r,q,sigma,fwd_class,price,delta,gamma,vega,theta,rho,vanna,volga,charm,speed,price_in,iv_class,margin,iv,cond_price,cond_fwd"
with open("options.csv", "w") as out:
    out.write(columns + "\n")
    for r in rows:
        out.write(",".join(r) + "\n")

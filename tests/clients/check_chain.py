"""Reads a live option chain from Redis as the documentation says and holds it against the simulator's truth.

    python3 check_chain.py redis://127.0.0.1:6379 127.0.0.1:8765 NIFTY

Exit code 0 when put-call parity and the smile of what was read agree with what the prices were made from, 1 with
the disagreements printed otherwise.
"""

import json
import math
import sys
import time
import urllib.request

import redis

SECONDS = 6.0
# Quotes are rounded to 0.05 and have a spread; a published value also trails the truth by up to a second.
FORWARD_BPS = 3.0
PRICE_SLACK = 0.10

problems = []


def check(condition, text):
    if not condition:
        problems.append(text)
        print("MISMATCH", text)


def truth(address, underlying):
    with urllib.request.urlopen(f"http://{address}/sim/truth?underlying={underlying}", timeout=5) as answer:
        body = json.load(answer)
    body = body.get("data", body)
    return {expiry["date"]: expiry for expiry in body["expiries"]}


def read_chain(url, underlying):
    """The newest tick of every option of `underlying`, and how many batches were lost on the way."""
    pubsub = redis.Redis.from_url(url).pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(f"kg:v1:tick:*:{underlying}:options")
    newest, last_seq, lost, end = {}, {}, 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        message = pubsub.get_message(timeout=0.5)
        if message is None:
            continue
        batch = json.loads(message["data"])
        check(batch["v"] == 1 and batch["sim"] is True, f"head of the batch: {batch['v']}, {batch['sim']}")
        stream = message["channel"], batch["source"]
        lost += batch["seq"] - last_seq.get(stream, batch["seq"] - 1) - 1
        last_seq[stream] = batch["seq"]
        for tick in batch["ticks"]:
            newest[tick["instrument_token"]] = tick
    return newest, lost


def mid(tick):
    bid, ask = tick["depth"]["buy"][0], tick["depth"]["sell"][0]
    if bid["quantity"] == 0 or ask["quantity"] == 0:
        return None
    return (bid["price"] + ask["price"]) / 2, (ask["price"] - bid["price"]) / 2


def compare(newest, expected):
    rows, compared = {}, 0
    for tick in newest.values():
        rows.setdefault((tick["expiry"], tick["strike"]), {})[tick["option_type"]] = tick
    for (expiry, strike), row in sorted(rows.items()):
        strikes = {level["strike"]: level for level in expected[expiry]["strikes"]}
        where = f"{expiry} {strike}"
        for side, tick in row.items():
            greeks = tick.get("greeks")
            if greeks is None:
                check(isinstance(tick.get("greeks_reason"), str), f"{where}{side}: no greeks and no reason")
                continue
            forward = expected[expiry]["forward"]
            off = abs(greeks["forward"] / forward - 1) * 1e4
            check(off < FORWARD_BPS, f"{where}{side}: forward {greeks['forward']} is {off:.1f} bps from {forward}")
            check(greeks["forward_source"] == "parity", f"{where}{side}: forward from {greeks['forward_source']}")
            # An error in the price of half a spread moves the volatility by that much over vega.
            quote = mid(tick)
            if quote and greeks["vega"] > 0.5 and greeks["quality"] == "good":
                allowed = 0.01 * (quote[1] + PRICE_SLACK + forward * FORWARD_BPS * 1e-4) / greeks["vega"]
                true_iv = strikes[strike]["iv"]
                check(abs(greeks["iv"] - true_iv) <= allowed, f"{where}{side}: iv {greeks['iv']:.4f}, true {true_iv:.4f}, allowed {allowed:.4f}")
                compared += 1
        if {"CE", "PE"} <= row.keys() and all(row[side].get("greeks") for side in row):
            call, put = mid(row["CE"]), mid(row["PE"])
            if call and put:
                greeks = row["CE"]["greeks"]
                discounted = (greeks["forward"] - strike) * math.exp(-greeks["rate"] * greeks["t_years"])
                gap = abs(call[0] - put[0] - discounted)
                allowed = call[1] + put[1] + PRICE_SLACK + greeks["forward"] * FORWARD_BPS * 1e-4
                check(gap <= allowed, f"{where}: put-call parity off by {gap:.2f}, allowed {allowed:.2f}")
            delta = row["CE"]["greeks"]["delta"] - row["PE"]["greeks"]["delta"]
            # The two sides are published up to a quarter of a second apart, so their forwards differ a little.
            check(0.9 < delta < 1.01, f"{where}: call delta minus put delta is {delta}")
    return len(rows), compared


def main():
    url, simulator, underlying = sys.argv[1:4]
    newest, lost = read_chain(url, underlying)
    rows, compared = compare(newest, truth(simulator, underlying))
    check(rows >= 40, f"only {rows} strikes were read")
    check(compared >= 40, f"only {compared} volatilities could be compared")
    check(lost == 0, f"{lost} batches were lost")
    print(f"{len(newest)} options on {rows} strikes, {compared} volatilities compared, {len(problems)} mismatches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

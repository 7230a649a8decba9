"""Drives kite-sim with the unmodified official Python client and compares every value received with what was sent.

    pip install kiteconnect
    kite-sim --sent-history 400 --listen 127.0.0.1:8765
    python3 python_client.py 127.0.0.1:8765 simkey simsecret

Exit code 0 when everything agrees, 1 with the first disagreements printed otherwise.
"""

import argparse
import datetime
import hashlib
import json
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from kiteconnect import KiteConnect, KiteTicker
from kiteconnect.exceptions import TokenException

problems = []


def check(condition, text):
    if not condition:
        problems.append(text)
        print("MISMATCH", text, flush=True)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def request_token(address, api_key):
    """Presses the button of the login page and reads the token from the redirect."""
    opener = urllib.request.build_opener(NoRedirect)
    body = urllib.parse.urlencode({"api_key": api_key}).encode()
    try:
        opener.open(f"http://{address}/connect/login", data=body, timeout=5)
    except urllib.error.HTTPError as redirect:
        location = urllib.parse.urlparse(redirect.headers["Location"])
        query = urllib.parse.parse_qs(location.query)
        check(query["status"] == ["success"], f"login redirect says {query}")
        return query["request_token"][0]
    raise SystemExit("the login page did not redirect")


def quote_budget():
    """Quotes are one a second for everybody who uses the key, whoever ran before us included."""
    time.sleep(1.1)


def log_in(address, api_key, api_secret):
    kite = KiteConnect(api_key=api_key, root=f"http://{address}")
    token = request_token(address, api_key)
    try:
        kite.generate_session(token, api_secret="not the secret")
        check(False, "a wrong checksum was accepted")
    except TokenException as error:
        check(str(error) == "Invalid `checksum`.", f"wrong checksum: {error}")
    token = request_token(address, api_key)
    session = kite.generate_session(token, api_secret=api_secret)
    check(isinstance(session["login_time"], datetime.datetime), "login_time was not parsed")
    kite.set_access_token(session["access_token"])
    check(kite.profile()["user_id"] == session["user_id"], "profile of somebody else")
    check("equity" in kite.margins(), "margins without equity")
    try:
        kite.generate_session(token, api_secret=api_secret)
        check(False, "a request token worked twice")
    except TokenException as error:
        check(str(error) == "Token is invalid or has expired.", f"second use: {error}")
    # The failed call changed nothing about the session.
    return kite, session["access_token"]


def choose(kite):
    """Index, shares, futures and options near the money, one third of them per mode."""
    rows = kite.instruments()
    check(len(rows) > 1000, f"only {len(rows)} instruments")
    by_symbol = {(row["exchange"], row["tradingsymbol"]): row for row in rows}
    for exchange, symbol, token in [
        ("NSE", "NIFTY 50", 256265),
        ("NSE", "NIFTY BANK", 260105),
        ("BSE", "SENSEX", 265),
        ("NSE", "INFY", 408065),
    ]:
        row = by_symbol.get((exchange, symbol))
        check(row is not None and row["instrument_token"] == token, f"{exchange}:{symbol} is {row}")
    check(len({row["instrument_token"] for row in rows}) == len(rows), "tokens are not unique")
    nfo = kite.instruments("NFO")
    check(nfo == [row for row in rows if row["exchange"] == "NFO"], "NFO dump differs from the whole dump")
    quote_budget()
    spot = kite.ltp("NSE:NIFTY 50")["NSE:NIFTY 50"]["last_price"]
    options = [row for row in nfo if row["name"] == "NIFTY" and row["instrument_type"] in ("CE", "PE")]
    nearest = min(row["expiry"] for row in options)
    options = [row for row in options if row["expiry"] == nearest]
    options.sort(key=lambda row: abs(row["strike"] - spot))
    others = [row for row in rows if row["segment"] in ("INDICES", "NFO-FUT", "BFO-FUT", "NSE")]
    tokens = [row["instrument_token"] for row in others + options[:60]]
    return {mode: tokens[at::3] for at, mode in enumerate((KiteTicker.MODE_LTP, KiteTicker.MODE_QUOTE, KiteTicker.MODE_FULL))}


def collect(address, api_key, access_token, wanted, seconds):
    """Every tick received in `seconds`, per token, in order."""
    received = {}
    texts = []
    failures = []
    connected = threading.Event()
    ticker = KiteTicker(api_key, access_token, root=f"ws://{address}", reconnect=False)

    def on_connect(ws, _response):
        for mode, tokens in wanted.items():
            ws.subscribe(tokens)
            ws.set_mode(mode, tokens)
        connected.set()

    def on_ticks(_ws, ticks):
        for tick in ticks:
            received.setdefault(tick["instrument_token"], []).append(tick)

    ticker.on_connect = on_connect
    ticker.on_ticks = on_ticks
    ticker.on_error = lambda _ws, code, reason: failures.append((code, reason))
    ticker.on_message = lambda _ws, payload, binary: None if binary else texts.append(json.loads(payload))
    ticker.connect(threaded=True)
    check(connected.wait(10), "no connection")
    time.sleep(seconds)
    ticker.close()
    kinds = [text["type"] for text in texts]
    check(kinds[:2] == ["instruments_meta", "app_code"], f"greeting frames: {kinds}")
    check(not failures, f"ticker errors: {failures}")
    return received


def unix(stamp):
    return int(stamp.timestamp()) if isinstance(stamp, datetime.datetime) else stamp


def same(tick, packet):
    if tick["mode"] != packet["mode"]:
        return False
    for field, value in packet.items():
        if field in ("sent_at", "mode"):
            continue
        got = tick.get(field)
        if field in ("exchange_timestamp", "last_trade_time"):
            got = unix(got)
        if got != value:
            return False
    return True


def compare(address, received, wanted):
    modes = {token: mode for mode, tokens in wanted.items() for token in tokens}
    ticks = 0
    for token, mode in modes.items():
        got = received.get(token, [])
        check(len(got) >= 3, f"{token} in {mode}: only {len(got)} ticks")
        check(any(tick["mode"] == mode for tick in got), f"{token} never came in {mode}")
        url = f"http://{address}/sim/sent?token={token}"
        packets = iter(json.load(urllib.request.urlopen(url, timeout=5))["packets"])
        for tick in got:
            # Sent packets are a superset in the same order; the first match must come before the next one.
            found = any(same(tick, packet) for packet in packets)
            check(found, f"{token}: received but never sent in this order: {tick}")
            ticks += 1
            if not found:
                break
    unasked = set(received) - set(modes)
    check(not unasked, f"ticks of tokens nobody asked for: {sorted(unasked)[:5]}")
    return ticks


def market_data(kite):
    quote_budget()
    keys = ["NSE:INFY", "NSE:NIFTY 50", "NSE:M&M", "NSE:NOSUCH"]
    quotes = kite.quote(keys)
    check(set(quotes) == set(keys[:3]), f"quote keys {sorted(quotes)}")
    check(len(quotes["NSE:INFY"]["depth"]["buy"]) == 5, "quote without five levels")
    check("depth" not in quotes["NSE:NIFTY 50"], "an index with depth")
    quote_budget()
    check(set(kite.ohlc("NSE:INFY")["NSE:INFY"]["ohlc"]) == {"open", "high", "low", "close"}, "ohlc fields")
    now = datetime.datetime.now()
    candles = kite.historical_data(256265, now - datetime.timedelta(days=3), now, "15minute")
    check(candles and all(row["low"] <= row["open"] <= row["high"] for row in candles), "bad candles")
    check(all(row["date"].utcoffset() == datetime.timedelta(hours=5.5) for row in candles), "candles not in India")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("address", help="host:port of kite-sim, started with --sent-history")
    arguments.add_argument("api_key")
    arguments.add_argument("api_secret")
    arguments.add_argument("--seconds", type=float, default=6.0, help="how long to collect ticks")
    options = arguments.parse_args()

    kite, access_token = log_in(options.address, options.api_key, options.api_secret)
    wanted = choose(kite)
    received = collect(options.address, options.api_key, access_token, wanted, options.seconds)
    ticks = compare(options.address, received, wanted)
    market_data(kite)
    kite.invalidate_access_token(access_token)
    try:
        kite.profile()
        check(False, "the token survived its logout")
    except TokenException as error:
        check(str(error) == "Incorrect `api_key` or `access_token`.", f"after logout: {error}")
    tokens = sum(map(len, wanted.values()))
    print(f"{tokens} tokens in three modes, {ticks} ticks compared, {len(problems)} mismatches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes the fuzz seeds from crates/kite-wire/testdata; run it after changing that folder."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "crates/kite-wire/testdata"
SEEDS = ROOT / "fuzz/seeds"

COMMANDS = [
    '{"a":"subscribe","v":[408065,738561]}',
    '{"a":"unsubscribe","v":[408065]}',
    '{"a":"mode","v":["full",[408065,738561]]}',
    '{"a":"mode","v":["ltp",[738561]]}',
    '{ "v" : [ "quote" , [ 1 , "2" , -3 , 4.5 ] ] , "a" : "mode" , "x" : null }',
    '{"a":"mode","v":["fast",[1]]}',
    '{"a":"ping","v":[]}',
]

OHLC = {"open": 1569.15, "high": 1575, "low": 1561.05, "close": 1567.8}
LEVELS = [{"price": 1573.4, "quantity": 5, "orders": 1}] + [{"price": 0, "quantity": 0, "orders": 0}] * 4
INDEX = {"instrument_token": 256265, "timestamp": "2025-11-20 09:35:00", "last_price": 26052.4, "net_change": -0.05, "ohlc": OHLC}
SHARE = INDEX | {
    "instrument_token": 408065, "last_trade_time": None, "last_quantity": 5, "buy_quantity": 0, "sell_quantity": 5191,
    "volume": 7360198, "average_price": 1412.47, "oi": 0, "oi_day_high": 0, "oi_day_low": 0,
    "lower_circuit_limit": 1250.7, "upper_circuit_limit": 1528.6, "depth": {"buy": LEVELS, "sell": LEVELS},
}
USER = {
    "user_id": "ZZ0001", "user_type": "individual", "email": "", "user_name": "A B", "user_shortname": "A", "broker": "ZERODHA",
    "exchanges": ["NSE", "NFO"], "products": ["CNC"], "order_types": ["LIMIT"], "avatar_url": None, "meta": {"demat_consent": "physical"},
}
SESSION = USER | {
    "api_key": "k", "access_token": "t", "public_token": "p", "enctoken": "e", "refresh_token": "", "silo": "",
    "login_time": "2025-11-20 08:31:02",
}
# A flag (1: spot model, 2: forward and smile too), then underlying, yield, rate, years, and a strike and a quote per option.
CHAINS = {
    "week_of_a_forward": (2, 24512.35, 0.0, 0.065, 0.019, [23000, 1530.2, 24000, 61.4, 24500, 190.5, 25000, 520.0, 26000, 4.2]),
    "month_of_a_spot": (3, 24500.0, 0.013, 0.065, 0.082, [23500, 1190.0, 24500, 402.5, 24600, 380.1, 25500, 71.0]),
    "volatilities": (0, 100.0, 0.0, 0.05, 0.5, [80, 0.2, 100, 0.25, 120, 0.0, 1000, 3.0]),
    "bounds": (0, 100.0, 0.0, 0.05, 0.5, [90, 10.0, 90, 0.0, 100, 100.0, 100, -1.0, 100, float("nan")]),
    "strike_beyond_doubles": (1, 82.06, -0.0022, -0.046, 24.5, [100, 1.0, 7.4e307, 0.05, 7.4e307, 0.05]),
}
BODIES = {
    "quote": {"NSE:INFY": SHARE, "NSE:NIFTY 50": INDEX},
    "candles": {"candles": [["2025-11-20T09:15:00+0530", 1704.5, 1705, 1699.25, 1702.8, 2499, 13667775]]},
    "profile": USER,
    "session": SESSION,
    "logout": True,
}


def seed(target, name, content):
    folder = SEEDS / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


for path in sorted((DATA / "frames").glob("*.hex")):
    digits = "".join(line.split("#")[0] for line in path.read_text().splitlines())
    seed("decode_frame", path.stem, bytes.fromhex(digits))
for at, line in enumerate((DATA / "text/frames.jsonl").read_text().splitlines()):
    seed("text_message", f"{at:02}", line.encode())
for at, line in enumerate(COMMANDS):
    seed("ticker_request", f"{at:02}", line.encode())
for path in sorted((DATA / "instruments").glob("*.csv")):
    seed("instruments", path.name, path.read_bytes())
for name, data in BODIES.items():
    body = {"status": "success", "data": data}
    seed("rest_body", name, json.dumps(body, separators=(",", ":")).encode())
for path in sorted((DATA / "rest").glob("*.json")):
    body = json.loads(path.read_text())
    seed("rest_body", path.stem, json.dumps(body, separators=(",", ":")).encode())
for name, (flags, *shared, options) in CHAINS.items():
    seed("chain", name, struct.pack(f"<B{len(shared) + len(options)}d", flags, *shared, *options))
error = {"status": "error", "message": "m", "data": {"hints": ["switch_to_amo"]}, "error_type": "InputException"}
seed("rest_body", "error", json.dumps(error, separators=(",", ":")).encode())

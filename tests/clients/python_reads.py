"""Calls the whole read API of kite-sim with the unmodified official Python client.

    pip install kiteconnect
    kite-sim --listen 127.0.0.1:8765 --order-addresses
    python3 python_reads.py 127.0.0.1:8765 simkey simtoken

Exit code 0 when every call answers what the client can use, 1 with what did not otherwise.
"""

import datetime
import sys
import time

from kiteconnect import KiteConnect
from kiteconnect.exceptions import GeneralException, PermissionException

problems = []
calls = 0


def check(condition, text):
    global calls
    calls += 1
    if not condition:
        problems.append(text)
        print("MISMATCH", text, flush=True)


def main():
    address, api_key, access_token = sys.argv[1:4]
    kite = KiteConnect(api_key=api_key, access_token=access_token, root=f"http://{address}")

    check(kite.profile()["user_id"] == "SIM001", "profile")
    check(set(kite.margins()) == {"equity", "commodity"}, "margins")
    check(kite.margins("equity")["enabled"] is True, "margins of a segment")
    check(kite.orders() == [] and kite.trades() == [], "empty books")
    for call in (kite.order_history, kite.order_trades):
        try:
            call("1914227164488687616")
            check(False, "an order that nobody placed has a history")
        except GeneralException as error:
            check(str(error) == "Couldn't find that `order_id`.", f"unknown order: {error}")
    holdings = kite.holdings()
    check({row["tradingsymbol"] for row in holdings} == {"INFY", "SBIN", "RELIANCE"}, "holdings")
    check(kite.get_auction_instruments() == [], "auctions")
    positions = kite.positions()
    check(positions["net"] and positions["day"], "positions")
    time.sleep(1.1)
    check({row["type"] for row in kite.get_gtts()} == {"single", "two-leg"}, "gtts")
    check(kite.get_gtt(100001)["condition"]["tradingsymbol"] == "INFY", "one gtt")
    orders = kite.mf_orders()
    check(isinstance(orders[0]["order_timestamp"], datetime.datetime), "time of a fund order")
    check(kite.mf_orders(orders[0]["order_id"])["status"] == "COMPLETE", "one fund order")
    sips = kite.mf_sips()
    check(kite.mf_sips(sips[0]["sip_id"])["frequency"] == "weekly", "one sip")
    check(len(kite.mf_holdings()) == 3, "fund holdings")
    funds = kite.mf_instruments()
    check(len(funds) == 3 and funds[0]["purchase_allowed"] is True, "fund instruments")
    time.sleep(1.1)
    instruments = kite.instruments()
    check(len(instruments) > 1000, "instruments")
    check({row["exchange"] for row in kite.instruments("NFO")} == {"NFO"}, "instruments of an exchange")
    leg = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular", "product": "CNC",
        "order_type": "LIMIT", "quantity": 2, "price": 1500,
    }
    check(kite.order_margins([leg])[0]["total"] == 3000, "order margins")
    check("total" in kite.basket_order_margins([leg], mode="compact")["final"], "basket margins")
    note = kite.get_virtual_contract_note([{**leg, "order_id": "1", "average_price": 1500}])
    check(note[0]["charges"]["total"] > 0, "contract note")
    check(set(kite.trigger_range("BUY", "NSE:INFY")) == {"NSE:INFY"}, "trigger range")
    check(set(kite.ltp("NSE:INFY", "NSE:NIFTY 50")) == {"NSE:INFY", "NSE:NIFTY 50"}, "ltp")
    time.sleep(1.1)
    check(len(kite.quote("NSE:INFY")["NSE:INFY"]["depth"]["sell"]) == 5, "quote")
    time.sleep(1.1)
    check("ohlc" in kite.ohlc("NSE:INFY")["NSE:INFY"], "ohlc")
    now = datetime.datetime.now()
    candles = kite.historical_data(408065, now - datetime.timedelta(days=5), now, "day", oi=True)
    check(candles and "oi" in candles[0], "candles")
    try:
        kite.place_order("regular", "NSE", "INFY", "BUY", 1, "CNC", "LIMIT", price=1500)
        check(False, "an order from an address that is not registered")
    except PermissionException as error:
        check(str(error).startswith("No IPs configured"), f"address: {error}")
    print(f"{calls} checks of the read API, {len(problems)} mismatches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

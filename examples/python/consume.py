"""Prints live ticks with Greeks: pip install redis; python consume.py [redis://host:port]"""
import json, sys, redis

pubsub = redis.Redis.from_url((sys.argv + ["redis://127.0.0.1:6379"])[1]).pubsub(ignore_subscribe_messages=True)
pubsub.psubscribe("kg:v1:tick:*")
last = {}
for message in pubsub.listen():
    batch = json.loads(message["data"])
    stream = message["channel"], batch["source"]
    missed = batch["tick_total"] - batch["tick_count"] - last.get(stream, batch["tick_total"] - batch["tick_count"])
    if missed:
        print("missed", missed, "ticks of", stream)
    last[stream] = batch["tick_total"]
    for tick in batch["ticks"]:
        greeks = tick.get("greeks") or {}
        print(tick["tradingsymbol"], tick["last_price"], greeks.get("iv"), greeks.get("delta"), tick.get("greeks_reason"))

"""Prints live ticks with Greeks: pip install redis; python consume.py [redis://host:port]"""
import json, sys, redis

pubsub = redis.Redis.from_url((sys.argv + ["redis://127.0.0.1:6379"])[1]).pubsub(ignore_subscribe_messages=True)
pubsub.psubscribe("kg:v1:tick:*")
last = {}
for message in pubsub.listen():
    batch = json.loads(message["data"])
    stream = message["channel"], batch["source"]
    if last.get(stream, batch["seq"]) + 1 < batch["seq"]:
        print("lost", batch["seq"] - last[stream] - 1, "batches of", stream)
    last[stream] = batch["seq"]
    for tick in batch["ticks"]:
        greeks = tick.get("greeks") or {}
        print(tick["tradingsymbol"], tick["last_price"], greeks.get("iv"), greeks.get("delta"), tick.get("greeks_reason"))

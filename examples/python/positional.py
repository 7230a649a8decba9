"""Prints live ticks sent by position (REDIS_PAYLOAD=msgpack_positional): pip install redis msgpack; python positional.py"""
import sys, msgpack, redis

rupees = lambda price: price / 100 if isinstance(price, int) else price    # whole paise, or rupees where finer
pubsub = redis.Redis.from_url((sys.argv + ["redis://127.0.0.1:6379"])[1]).pubsub(ignore_subscribe_messages=True)
pubsub.psubscribe("kg:v1:tick:*")
for message in pubsub.listen():
    version, topic, source, seq, tick_count, tick_total, ts_publish, sim, ticks = msgpack.unpackb(message["data"])[:9]
    if version != 1:
        raise SystemExit(f"version {version} of messages by position is not known to this program")
    for tick in ticks:
        symbol, last_price, greeks = tick[1], rupees(tick[9]), tick[23] or [None, None]
        print(symbol, last_price, greeks[0], greeks[1], tick[24])

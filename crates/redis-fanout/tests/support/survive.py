"""Subscribes, comes back when Redis goes away, and says after each batch: ticks received, ticks missed, tick_total."""
import json, sys, time, redis

before, received, missed = {}, 0, 0
while True:
    try:
        pubsub = redis.Redis.from_url(sys.argv[1]).pubsub(ignore_subscribe_messages=True)
        pubsub.psubscribe("kg:v1:tick:*")
        for message in pubsub.listen():
            batch = json.loads(message["data"])
            stream = message["channel"], batch["source"]
            start = batch["tick_total"] - batch["tick_count"]
            missed += start - before.get(stream, start)
            received += batch["tick_count"]
            before[stream] = batch["tick_total"]
            print(received, missed, batch["tick_total"], flush=True)
    except redis.ConnectionError:
        time.sleep(0.02)

// Drives kite-sim with the unmodified official JavaScript client and compares every value received with what was sent.
//
//     npm install kiteconnect
//     kite-sim --sent-history 400 --listen 127.0.0.1:8765
//     node js_client.mjs 127.0.0.1:8765 simkey simsecret [seconds]
//
// Exit code 0 when everything agrees, 1 with the first disagreements printed otherwise. The package is looked for beside
// this file, in the current folder, and in NODE_PATH.

import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

const [address, apiKey, apiSecret, seconds = "6"] = process.argv.slice(2);
if (!apiSecret) {
  console.error("usage: node js_client.mjs <host:port> <api key> <api secret> [seconds]");
  process.exit(64);
}
const { KiteConnect, KiteTicker } = loadClient();

let mismatches = 0;
function check(condition, text) {
  if (condition) return;
  mismatches += 1;
  if (mismatches <= 20) console.log("MISMATCH", text);
}

function loadClient() {
  const homes = [import.meta.url, path.join(process.cwd(), "here.js")];
  for (const home of homes) {
    try {
      return createRequire(home)("kiteconnect");
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  console.error("the package kiteconnect is not installed: npm install kiteconnect");
  process.exit(69);
}

/** Presses the button of the login page and reads the token from the redirect. */
async function requestToken() {
  const answer = await fetch(`http://${address}/connect/login`, {
    method: "POST",
    body: new URLSearchParams({ api_key: apiKey }),
    redirect: "manual",
  });
  return new URL(answer.headers.get("location")).searchParams.get("request_token");
}

/** The error a promise is rejected with. */
async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return { message: "no error at all" };
}

/** Quotes are one a second for everybody who uses the key, whoever ran before us included. */
function quoteBudget() {
  return new Promise((resolve) => setTimeout(resolve, 1100));
}

async function logIn(kite) {
  let token = await requestToken();
  const wrong = await refusal(kite.generateSession(token, "not the secret"));
  check(wrong.message === "Invalid `checksum`.", `wrong checksum: ${wrong.message}`);
  check(wrong.error_type === "TokenException", `wrong checksum: ${wrong.error_type}`);
  token = await requestToken();
  const session = await kite.generateSession(token, apiSecret);
  kite.setAccessToken(session.access_token);
  const again = await refusal(kite.generateSession(token, apiSecret));
  check(again.message === "Token is invalid or has expired.", `second use: ${again.message}`);
  const profile = await kite.getProfile();
  check(profile.user_id === session.user_id, "profile of somebody else");
  return session.access_token;
}

/** Index, shares, futures and options near the money, one third of them per mode. */
async function choose(kite) {
  const rows = await kite.getInstruments();
  check(rows.length > 1000, `only ${rows.length} instruments`);
  const nifty = rows.find((row) => row.tradingsymbol === "NIFTY 50");
  check(Number(nifty?.instrument_token) === 256265, "NIFTY 50 has another token");
  await quoteBudget();
  const spot = (await kite.getLTP(["NSE:NIFTY 50"]))["NSE:NIFTY 50"].last_price;
  const options = rows.filter((row) => row.name === "NIFTY" && row.segment === "NFO-OPT");
  const nearest = Math.min(...options.map((row) => +new Date(row.expiry)));
  const near = options
    .filter((row) => +new Date(row.expiry) === nearest)
    .sort((a, b) => Math.abs(a.strike - spot) - Math.abs(b.strike - spot));
  const others = rows.filter((row) => ["INDICES", "NFO-FUT", "BFO-FUT", "NSE"].includes(row.segment));
  const tokens = [...others, ...near.slice(0, 60)].map((row) => Number(row.instrument_token));
  return { ltp: tokens.filter((_, at) => at % 3 === 0), quote: tokens.filter((_, at) => at % 3 === 1), full: tokens.filter((_, at) => at % 3 === 2) };
}

/** Every tick received in the time given, per token, in order. */
function collect(accessToken, wanted) {
  return new Promise((resolve, reject) => {
    const received = new Map();
    const ticker = new KiteTicker({ api_key: apiKey, access_token: accessToken, root: `ws://${address}/` });
    ticker.autoReconnect(false, 1, 5);
    ticker.on("connect", () => {
      for (const [mode, tokens] of Object.entries(wanted)) {
        ticker.subscribe(tokens);
        ticker.setMode(mode, tokens);
      }
      setTimeout(() => {
        ticker.disconnect();
        resolve(received);
      }, Number(seconds) * 1000);
    });
    ticker.on("ticks", (ticks) => {
      for (const tick of ticks) {
        const list = received.get(tick.instrument_token) ?? [];
        list.push(tick);
        received.set(tick.instrument_token, list);
      }
    });
    ticker.on("error", (event) => reject(new Error(`ticker: ${event.message}`)));
    ticker.connect();
  });
}

/** Whether everything `sent` has is in `got`. */
function agrees(got, sent) {
  if (sent !== null && typeof sent === "object") {
    return got !== null && typeof got === "object" && Object.keys(sent).every((key) => agrees(got[key], sent[key]));
  }
  return got === sent;
}

function sameTick(tick, packet) {
  const { sent_at: _, ...fields } = packet;
  const seconds = (date) => (date instanceof Date ? date.getTime() / 1000 : date);
  const got = { ...tick };
  for (const name of ["exchange_timestamp", "last_trade_time"]) {
    if (name in got) got[name] = seconds(got[name]);
  }
  return agrees(got, fields);
}

async function compare(received, wanted) {
  let ticks = 0;
  for (const [mode, tokens] of Object.entries(wanted)) {
    for (const token of tokens) {
      const got = received.get(token) ?? [];
      check(got.length >= 3, `${token} in ${mode}: only ${got.length} ticks`);
      check(got.some((tick) => tick.mode === mode), `${token} never came in ${mode}`);
      const { packets } = await (await fetch(`http://${address}/sim/sent?token=${token}`)).json();
      let at = 0;
      for (const tick of got) {
        // Sent packets are a superset in the same order.
        while (at < packets.length && !sameTick(tick, packets[at])) at += 1;
        check(at < packets.length, `${token}: received but never sent in this order: ${JSON.stringify(tick)}`);
        if (at === packets.length) break;
        at += 1;
        ticks += 1;
      }
    }
  }
  const asked = new Set(Object.values(wanted).flat());
  check([...received.keys()].every((token) => asked.has(token)), "ticks of tokens nobody asked for");
  return ticks;
}

async function marketData(kite) {
  await quoteBudget();
  const quotes = await kite.getQuote(["NSE:INFY", "NSE:NIFTY 50", "NSE:NOSUCH"]);
  check(Object.keys(quotes).sort().join() === "NSE:INFY,NSE:NIFTY 50", `quote keys ${Object.keys(quotes)}`);
  const day = (ago) => `${new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)} 00:00:00`;
  const candles = await kite.getHistoricalData(256265, "day", day(9), day(1));
  check(candles.length > 0 && candles.every((row) => row.low <= row.high), "bad candles");
}

const kite = new KiteConnect({ api_key: apiKey, root: `http://${address}` });
const accessToken = await logIn(kite);
const wanted = await choose(kite);
const received = await collect(accessToken, wanted);
const ticks = await compare(received, wanted);
await marketData(kite);
await kite.invalidateAccessToken(accessToken);
const dead = await refusal(kite.getProfile());
check(dead.message === "Incorrect `api_key` or `access_token`.", `after logout: ${dead.message}`);
const tokens = Object.values(wanted).flat().length;
console.log(`${tokens} tokens in three modes, ${ticks} ticks compared, ${mismatches} mismatches`);
process.exit(mismatches === 0 ? 0 : 1);

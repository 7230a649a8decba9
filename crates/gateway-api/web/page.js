"use strict";

// The page of kite-gateway: one option chain, live over /v1/stream, with the feed's health beside it.
// Values come from the stream; /v1/chain gives the strikes, /health the panels. Nothing is loaded from elsewhere.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// === what is shown ===

const state = {
  underlyings: [],
  underlying: null,
  expiry: null,
  around: 15,
  chain: null,
  ticks: new Map(), // instrument_token -> the newest tick
  legs: new Map(), // instrument_token -> the cells of its option
  carriers: new Map(), // instrument_token -> "spot" | "future"
  forward: null,
  dirty: new Set(),
  atm: null,
  rowsOf: "", // the tokens that the rows stand for
  largestOi: 1,
};

// One column of a side: name, class, how to read it, how to write it. `flash` marks what lights up when it changes.
const COLUMNS = [
  { name: "OI", cls: "oi count", of: (t) => t.oi, show: count },
  { name: "Vol", cls: "volume count c2", of: (t) => t.volume_traded, show: count },
  { name: "Vega", cls: "greek c3", of: (t) => t.greeks?.vega, show: (v) => v.toFixed(2) },
  { name: "Theta", cls: "greek c3", of: (t) => t.greeks?.theta, show: (v) => v.toFixed(2) },
  { name: "Gamma", cls: "greek gamma c1", of: (t) => t.greeks?.gamma, show: (v) => v.toFixed(5).replace(/^0/, "") },
  { name: "Delta", cls: "greek delta", of: (t) => t.greeks?.delta, show: (v) => v.toFixed(2) },
  { name: "IV", cls: "iv", of: (t) => t.greeks?.iv, show: (v) => (v * 100).toFixed(2), flash: true },
  { name: "Bid", cls: "price c4", of: (t) => best(t.depth?.buy), show: money, flash: true },
  { name: "Ask", cls: "price c4", of: (t) => best(t.depth?.sell), show: money, flash: true },
  { name: "LTP", cls: "ltp", of: (t) => t.last_price, show: money, flash: true },
];

function best(levels) {
  const level = levels?.[0];
  return level && level.quantity > 0 ? level.price : undefined;
}

function money(value) {
  return value.toLocaleString("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function count(value) {
  const short = (part, unit) => part.toFixed(part < 10 ? 2 : 1) + unit;
  if (value >= 1e7) return short(value / 1e7, "Cr");
  if (value >= 1e5) return short(value / 1e5, "L");
  if (value >= 1e3) return short(value / 1e3, "K");
  return String(value);
}

function seconds(value) {
  if (value == null) return "–";
  if (value < 1e-6) return (value * 1e9).toFixed(0) + " ns";
  if (value < 1e-3) return (value * 1e6).toFixed(0) + " µs";
  if (value < 1) return (value * 1e3).toFixed(value < 0.01 ? 1 : 0) + " ms";
  return value.toFixed(value < 10 ? 1 : 0) + " s";
}

function inIndia(date, options) {
  return date.toLocaleTimeString("en-GB", { timeZone: "Asia/Kolkata", ...options });
}

// === asking the gateway ===

let apiKey = sessionStorage.getItem("api_key") || "";

async function ask(path) {
  const response = await fetch(path, { headers: apiKey ? { "x-api-key": apiKey } : {} });
  if (response.status === 403) {
    await askForKey();
    return ask(path);
  }
  const body = await response.json();
  if (!response.ok) throw new Error(body.message || response.statusText);
  return body;
}

let keyAsked = null;

function askForKey() {
  keyAsked ??= new Promise((resolve) => {
    const dialog = $("ask-key");
    dialog.addEventListener("close", () => {
      apiKey = $("key").value.trim();
      sessionStorage.setItem("api_key", apiKey);
      keyAsked = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return keyAsked;
}

// === the stream ===

const stream = { socket: null, tries: 0, lastHeard: 0, heartbeat: 5000, wanted: null, seq: 0, lostSince: null, nextTry: 0, ticks: 0, holes: 0 };

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/v1/stream`);
  stream.socket = socket;
  stream.seq = 0;
  stream.lastHeard = Date.now();
  socket.onmessage = (event) => {
    stream.lastHeard = Date.now();
    hear(JSON.parse(event.data));
  };
  socket.onclose = () => {
    if (stream.socket === socket) lose();
  };
}

function say(message) {
  if (stream.socket?.readyState === WebSocket.OPEN) stream.socket.send(JSON.stringify(message));
}

function lose() {
  stream.socket = null;
  stream.wanted = null;
  stream.lostSince ??= new Date();
  stream.tries += 1;
  const delay = Math.min(15000, 500 * 2 ** Math.min(stream.tries, 6)) * (0.7 + Math.random() * 0.3);
  stream.nextTry = Date.now() + delay;
  setTimeout(connect, delay);
  showLink();
}

function want() {
  const wish = state.chain && `chain:${state.chain.underlying}:${state.chain.expiry}`;
  if (!wish || wish === stream.wanted) return;
  if (stream.wanted) say({ action: "unsubscribe", symbols: [stream.wanted] });
  say({ action: "subscribe", symbols: [wish] });
  stream.wanted = wish;
}

function hear(message) {
  if (message.seq !== undefined && message.type !== "heartbeat") {
    if (message.seq !== stream.seq + 1) stream.holes += message.seq - stream.seq - 1;
    stream.seq = message.seq;
  }
  switch (message.type) {
    case "ticks":
      for (const tick of message.ticks) take(tick);
      stream.ticks += message.ticks.length;
      break;
    case "status":
      stream.heartbeat = message.heartbeat_ms;
      if (!message.authenticated) {
        if (apiKey) say({ action: "authenticate", api_key: apiKey });
        break;
      }
      stream.wanted = null;
      want();
      if (stream.lostSince) {
        note("good", "stream connected again");
        loadChain();
      }
      stream.lostSince = null;
      stream.tries = 0;
      showLink();
      break;
    case "subscribed":
      for (const result of message.results) if (result.status !== "ok") note("bad", `${result.symbol}: ${result.message}`);
      break;
    case "error":
      note("bad", message.message);
      if (message.code === "unauthenticated") askForKey();
      break;
    case "dropped":
      note("warn", `this page was too slow: ${message.count} ticks dropped`);
      break;
    case "stale":
      note(message.stale ? "warn" : "good", `${message.instrument_tokens.length} values ${message.stale ? "stale: " + message.stale_cause : "fresh again"}`);
      break;
    default:
      if (HEALTH[message.type]) HEALTH[message.type](message);
  }
}

const where = (m) => `${m.account}/${m.connection}`;
const HEALTH = {
  connected: (m) => note("good", `${where(m)} connected`),
  reconnecting: (m) => note("warn", `${where(m)} down (${m.reason}), try ${m.attempt} in ${seconds(m.delay_ms / 1000)}`),
  reconnected: (m) => note("good", `${where(m)} connected again`),
  disconnected: (m) => note("bad", `${where(m)} ended: ${m.reason}`),
  gap: (m) => note("bad", `${where(m)} gap of ${seconds((m.to - m.from) / 1e9)}: ${m.cause}`),
  silent: (m) => note("bad", `${where(m)} is silent`),
  silence_ended: (m) => note("good", `${where(m)} speaks again`),
  rate_collapse: (m) => note("bad", `${where(m)} at ${m.rate.toFixed(0)} of usually ${m.baseline.toFixed(0)} ticks/s`),
  rate_restored: (m) => note("good", `${where(m)} ticks as usual again`),
  rotated: (m) => note("good", `${where(m)} replaced without a gap (${m.reason.replaceAll("_", " ")})`),
  token_gaps: (m) => note("warn", `${where(m)}: ${m.gaps.length} instruments tick again after a gap`),
  token_lost: (m) => note("bad", `account ${m.account}: token refused`),
  token_restored: (m) => note("good", `account ${m.account}: token works again`),
};

function note(kind, text) {
  $("events").querySelector(".quiet")?.remove();
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = inIndia(new Date());
  const words = document.createElement("span");
  words.className = kind;
  words.textContent = text;
  item.append(time, words);
  $("events").prepend(item);
  while ($("events").children.length > 12) $("events").lastChild.remove();
}

function showLink() {
  const lost = stream.lostSince !== null;
  const pill = $("link");
  pill.className = "pill " + (lost ? "down" : stream.socket ? "live" : "");
  pill.textContent = lost ? "lost" : "live";
  document.body.classList.toggle("frozen", lost);
  $("lost").hidden = !lost;
  if (lost) {
    const left = Math.max(0, Math.ceil((stream.nextTry - Date.now()) / 1000));
    const trying = stream.socket || left === 0 ? "connecting…" : `trying again in ${left} s`;
    $("lost-detail").textContent = `Values below are frozen since ${inIndia(stream.lostSince)} – ${trying}`;
  }
}

// === the chain ===

async function loadUnderlyings() {
  const { data } = await ask("/v1/underlyings");
  state.underlyings = data.filter((u) => u.expiries.length > 0);
  const shown = state.underlyings.slice(0, 6);
  tabs($("underlyings"), shown.map((u) => u.name), state.underlying, chooseUnderlying);
  const rest = state.underlyings.slice(6);
  const select = $("underlying-select");
  select.hidden = rest.length === 0;
  select.replaceChildren(new Option("more…", ""), ...rest.map((u) => new Option(u.name)));
  if (!state.underlying && shown.length > 0) chooseUnderlying(remembered() || shown[0].name);
  if (shown.length === 0) showEmpty("No underlying has options yet. Is the instrument list loaded?");
}

// The underlying that the address names, or the one most people watch.
function remembered() {
  const name = location.hash.slice(1).split("/")[0] || "NIFTY";
  return state.underlyings.find((u) => u.name === name)?.name;
}

function tabs(parent, names, selected, choose, label = (name) => name) {
  parent.replaceChildren(...names.map((name) => {
    const button = document.createElement("button");
    button.textContent = label(name);
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", name === selected);
    button.onclick = () => choose(name);
    return button;
  }));
}

function chooseUnderlying(name) {
  state.underlying = name;
  const [hashName, hashExpiry] = location.hash.slice(1).split("/");
  state.expiry = hashName === name && hashExpiry ? hashExpiry : null;
  loadChain(true);
}

function chooseExpiry(expiry) {
  state.expiry = expiry;
  loadChain(true);
}

async function loadChain(fresh = false) {
  const asked = `${state.underlying}/${state.expiry}`;
  const query = new URLSearchParams({ expiry: state.expiry || "nearest" });
  if (state.around !== "") query.set("around", state.around);
  try {
    const { data } = await ask(`/v1/chain/${encodeURIComponent(state.underlying)}?${query}`);
    if (asked !== `${state.underlying}/${state.expiry}`) return;
    showChain(data, fresh);
  } catch (error) {
    if (fresh) showEmpty(error.message);
  }
}

function showEmpty(text) {
  $("rows").replaceChildren();
  state.rowsOf = "";
  $("empty").textContent = text;
  $("empty").hidden = false;
}

function showChain(chain, fresh) {
  state.chain = chain;
  state.expiry = chain.expiry;
  history.replaceState(null, "", `#${chain.underlying}/${chain.expiry}`);
  document.title = `${chain.underlying} ${chain.expiry} – kite-gateway`;
  tabs($("underlyings"), state.underlyings.slice(0, 6).map((u) => u.name), chain.underlying, chooseUnderlying);
  tabs($("expiries"), chain.expiries.slice(0, 8), chain.expiry, chooseExpiry, (date) =>
    new Date(date + "T00:00:00Z").toLocaleDateString("en-GB", { day: "2-digit", month: "short", timeZone: "UTC" }));
  if (fresh) {
    state.ticks.clear();
    state.forward = null;
  }
  state.carriers.clear();
  for (const kind of ["spot", "future"]) {
    const carrier = chain[kind];
    $(kind + "-name").textContent = carrier ? carrier.tradingsymbol : kind === "spot" ? "Spot" : "Future";
    if (!carrier) {
      $(kind).textContent = "–";
      $(kind + "-change").textContent = "";
      continue;
    }
    state.carriers.set(carrier.instrument_token, kind);
    showCarrier(kind, carrier);
  }
  showRows(chain);
  if (chain.forward !== null && (fresh || state.forward === null)) takeForward(chain);
  state.atm = null;
  showForward();
  if (fresh) showMiddle();
  want();
  drawSmile();
}

// Scrolls the table alone, never the page around it.
function showMiddle() {
  const atm = $("rows").querySelector("tr.atm");
  const frame = $("chain").parentElement;
  if (atm) frame.scrollTop = atm.offsetTop - frame.clientHeight / 2;
}

// Makes the rows anew only when the strikes are others, so that nobody loses their place every few seconds.
function showRows(chain) {
  $("empty").hidden = chain.rows.length > 0;
  $("empty").textContent = "This expiry has no strikes.";
  const tokens = chain.rows.flatMap(({ call, put }) => [call?.instrument_token, put?.instrument_token]).join();
  if (tokens !== state.rowsOf) {
    state.rowsOf = tokens;
    state.legs.clear();
    state.largestOi = 1;
    $("rows").replaceChildren(...chain.rows.map(row));
  }
  for (const { call, put } of chain.rows) {
    for (const leg of [call, put]) {
      if (leg?.last_price == null || state.ticks.has(leg.instrument_token)) continue;
      state.largestOi = Math.max(state.largestOi, leg.oi || 0);
      state.ticks.set(leg.instrument_token, fromLeg(leg, chain));
    }
  }
  for (const token of state.legs.keys()) if (state.ticks.has(token)) fill(token, false);
}

// A leg of /v1/chain in the shape of a tick of the stream.
function fromLeg(leg, chain) {
  const level = (price, quantity) => (price === null ? [] : [{ price, quantity }]);
  return {
    ...leg,
    depth: { buy: level(leg.bid, leg.bid_quantity), sell: level(leg.ask, leg.ask_quantity) },
    greeks: leg.greeks && { ...leg.greeks, forward: chain.forward, forward_source: chain.forward_source, rate: chain.rate, t_years: chain.t_years },
  };
}

function row({ strike, call, put }) {
  const tr = document.createElement("tr");
  tr.dataset.strike = strike;
  const side = (leg, name) => {
    const columns = name === "call" ? COLUMNS : [...COLUMNS].reverse();
    const cells = columns.map((column) => {
      const td = document.createElement("td");
      td.className = `${name} ${column.cls} none`;
      td.textContent = leg ? "·" : "";
      return { td, column, text: null, value: undefined };
    });
    if (leg) state.legs.set(leg.instrument_token, { cells, side: name, strike, symbol: leg.tradingsymbol });
    return cells.map((cell) => cell.td);
  };
  const middle = document.createElement("td");
  middle.className = "strike";
  middle.textContent = strike.toLocaleString("en-IN");
  tr.append(...side(call, "call"), middle, ...side(put, "put"));
  return tr;
}

function take(tick) {
  const token = tick.instrument_token;
  state.ticks.set(token, tick);
  if (state.legs.has(token)) state.dirty.add(token);
  const kind = state.carriers.get(token);
  if (kind) showCarrier(kind, tick);
  if (tick.greeks && tick.underlying === state.chain?.underlying && tick.expiry === state.chain?.expiry) takeForward(tick.greeks);
}

function takeForward({ forward, forward_source, rate, t_years }) {
  state.forward = { forward, forward_source, rate, t_years };
}

// Writes what changed since the last frame; ten times a second is more than an eye needs.
function paint() {
  for (const token of state.dirty) fill(token, true);
  state.dirty.clear();
  showForward();
}

function showCounts() {
  const legs = [...state.legs.keys()].map((token) => state.ticks.get(token));
  const live = legs.filter(Boolean);
  const stale = live.filter((tick) => tick.stale).length;
  $("chain-counts").textContent = legs.length ? `${live.length} of ${legs.length} options have ticked, ${stale ? stale + " stale" : "none stale"}` : "";
  $("chain-counts").className = stale ? "warn" : "";
}

function fill(token, flashes) {
  const leg = state.legs.get(token);
  const tick = state.ticks.get(token);
  const weak = tick.greeks && tick.greeks.quality !== "good";
  for (const cell of leg.cells) {
    const { td, column } = cell;
    const value = column.of(tick);
    const text = value == null ? "–" : column.show(value);
    td.classList.toggle("none", value == null);
    td.classList.toggle("stale", tick.stale === true);
    if (column.name === "IV") {
      td.classList.toggle("weak", Boolean(weak));
      td.title = tick.greeks ? `quality: ${tick.greeks.quality}` : tick.greeks_reason || "";
    }
    if (column.name === "OI" && value != null) {
      state.largestOi = Math.max(state.largestOi, value);
      td.style.setProperty("--share", ((100 * value) / state.largestOi).toFixed(1) + "%");
    }
    if (text === cell.text) continue;
    td.textContent = text;
    if (flashes && column.flash && cell.value != null && value != null) flash(td, value > cell.value);
    cell.text = text;
    cell.value = value;
  }
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function flash(td, up) {
  if (calm.matches || document.hidden) return;
  const colour = up ? "rgba(47,196,124,.42)" : "rgba(240,85,106,.42)";
  td.animate([{ boxShadow: `inset 0 0 0 99px ${colour}` }, { boxShadow: "inset 0 0 0 99px transparent" }], { duration: 500 });
}

function showCarrier(kind, value) {
  $(kind).textContent = value.last_price == null ? "–" : money(value.last_price);
  $(kind).className = value.stale ? "warn" : "";
  const change = $(kind + "-change");
  change.textContent = value.change == null ? "" : (value.change >= 0 ? "+" : "") + value.change.toFixed(2) + "%";
  change.className = value.change >= 0 ? "up" : "down";
}

const SOURCES = { parity: "put-call parity", future: "future", spot_carry: "spot + carry" };

function showForward() {
  const known = state.forward;
  $("forward").textContent = known ? money(known.forward) : "–";
  $("forward-source").textContent = known ? SOURCES[known.forward_source] || known.forward_source : "";
  $("rate").textContent = known ? (known.rate * 100).toFixed(2) + "%" : "–";
  $("to-expiry").textContent = known ? timeLeft(known.t_years) : "–";
  const middle = known?.forward ?? state.chain?.atm_strike;
  if (middle == null || !state.chain) return;
  const strikes = state.chain.rows.map((each) => each.strike);
  const atm = strikes.reduce((a, b) => (Math.abs(b - middle) < Math.abs(a - middle) ? b : a), strikes[0]);
  const atmRow = state.chain.rows.find((each) => each.strike === atm);
  const iv = state.ticks.get(atmRow?.call?.instrument_token)?.greeks?.iv ?? state.ticks.get(atmRow?.put?.instrument_token)?.greeks?.iv;
  $("atm-iv").textContent = iv == null ? "–" : (iv * 100).toFixed(2) + "%";
  if (atm === state.atm) return;
  state.atm = atm;
  for (const tr of $("rows").children) {
    const strike = Number(tr.dataset.strike);
    tr.classList.toggle("atm", strike === atm);
    for (const td of tr.children) {
      const call = td.classList.contains("call");
      td.classList.toggle("itm", !td.classList.contains("strike") && (call ? strike < middle : strike > middle));
    }
  }
}

function timeLeft(years) {
  const minutes = years * 525600;
  if (minutes < 60) return minutes.toFixed(1) + " min";
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${Math.floor(minutes % 60)} m`;
  return (minutes / 1440).toFixed(1) + " d";
}

// === the smile ===

function drawSmile() {
  const svg = $("smile");
  const points = [];
  const forward = state.forward?.forward;
  for (const { strike, call, put } of state.chain?.rows || []) {
    const side = forward !== undefined && strike < forward ? "put" : "call";
    const leg = side === "put" ? put || call : call || put;
    const greeks = leg && state.ticks.get(leg.instrument_token)?.greeks;
    if (greeks) points.push({ strike, iv: greeks.iv * 100, side, weak: greeks.quality !== "good" });
  }
  $("smile-note").textContent = points.length ? `${points.length} strikes, IV %` : "";
  if (points.length < 2) {
    svg.replaceChildren(text(170, 95, "no volatilities yet", "middle"));
    return;
  }
  const [left, right, top, bottom] = [30, 334, 12, 168];
  const [x0, x1] = [points[0].strike, points.at(-1).strike];
  const low = Math.min(...points.map((p) => p.iv));
  const high = Math.max(...points.map((p) => p.iv));
  const pad = Math.max((high - low) * 0.08, 0.25);
  const x = (strike) => left + ((strike - x0) / (x1 - x0)) * (right - left);
  const y = (iv) => bottom - ((iv - low + pad) / (high - low + 2 * pad)) * (bottom - top);
  const parts = [];
  const levels = steps(low, high, 4);
  const digits = levels.length > 1 && levels[1] - levels[0] < 1 ? 1 : 0;
  for (const iv of levels) {
    parts.push(shape("line", { x1: left, x2: right, y1: y(iv), y2: y(iv), class: "axis" }));
    parts.push(text(left - 5, y(iv) + 3, iv.toFixed(digits), "end"));
  }
  for (const strike of steps(x0, x1, 5)) parts.push(text(x(strike), 182, strike.toLocaleString("en-IN"), "middle"));
  if (forward > x0 && forward < x1) {
    parts.push(shape("line", { x1: x(forward), x2: x(forward), y1: top, y2: bottom, class: "forward" }));
    parts.push(text(x(forward), 9, "F " + money(forward), "middle", "forward"));
  }
  parts.push(shape("polyline", { class: "curve", points: points.map((p) => `${x(p.strike).toFixed(1)},${y(p.iv).toFixed(1)}`).join(" ") }));
  for (const p of points) {
    const dot = shape("circle", { cx: x(p.strike), cy: y(p.iv), r: 2.3, class: p.side + (p.weak ? " weak" : "") });
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${p.strike} ${p.side}: ${p.iv.toFixed(2)} %`;
    dot.append(title);
    parts.push(dot);
  }
  svg.replaceChildren(...parts);
}

function steps(from, to, wanted) {
  const rough = (to - from) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= rough) || 10 * power;
  const values = [];
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-6; value += step) values.push(value);
  return values;
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function text(x, y, words, anchor, cls = "") {
  const element = shape("text", { x, y, "text-anchor": anchor, class: cls });
  element.textContent = words;
  return element;
}

// === health ===

async function loadHealth() {
  if (keyAsked) return;
  let health;
  try {
    health = await ask("/health");
  } catch {
    return; // The stream's own state says that the gateway is away.
  }
  $("simulated").hidden = !health.sim;
  $("not-ready").hidden = health.missing.length === 0;
  $("not-ready-detail").textContent = health.missing.join(" · ");
  const stale = health.values.stale;
  $("feed-note").textContent = `${health.values.values} values, ${stale ? stale + " stale" : "none stale"}`;
  $("feed-note").className = stale ? "warn" : "";
  facts($("connections"), ["connection", "instr", "tick/s", "silent", "lost", "reconn", "age"], (health.connections || []).map((c) => [
    { dot: c.rate_collapsed || c.dataless ? "warn" : light(c.state), text: c.name, title: [c.state, c.last_reason].filter(Boolean).join(": ") },
    show(c.instruments), { ...show(c.ticks_per_second ?? rate(c, health.ts), (v) => v.toFixed(0)), title: c.usual_ticks_per_second ? `usually ${c.usual_ticks_per_second.toFixed(0)}` : "" }, alarm(c.silent), alarm(c.dropped_ticks), alarm(c.reconnects),
    show(c.last_frame_age_ms, (v) => seconds(v / 1000)),
  ]), "no connections are reported");
  const rejected = Object.entries(health.rejected_ticks || {}).filter(([, ticks]) => ticks > 0);
  const unknown = health.unknown_tokens || [];
  const doubts = [
    ...(health.connections || []).filter((c) => c.dataless).map((c) => `${c.name} sends heartbeats but no ticks`),
    ...(health.connections || []).filter((c) => c.rate_collapsed && !c.dataless).map((c) => `${c.name} ticks far below its usual rate`),
    ...(health.connections || []).filter((c) => c.silent_tokens?.length).map((c) => `silent on ${c.name}: ${c.silent_tokens.slice(0, 5).join(", ")}${c.silent > 5 ? " and " + (c.silent - 5) + " more" : ""}`),
    ...(health.conservation && !health.conservation.balanced ? [`ticks unaccounted for: ${health.conservation.unbalanced.join(", ")}`] : []),
    ...(health.recording?.problem ? [`recording is paused: ${health.recording.problem}`] : []),
    ...rejected.map(([reason, ticks]) => `${count(ticks)} ticks refused: ${reason.replaceAll("_", " ")}`),
    ...(unknown.length ? [`${unknown.length} tokens are in no instrument list`] : []),
    ...(health.subscriptions?.unmet || []).map((wish) => `cannot be subscribed: ${wish}`),
    ...(health.subscriptions?.refused_for_capacity ? [`${health.subscriptions.refused_for_capacity} instruments have no room on any account`] : []),
  ];
  $("doubts").textContent = doubts.join(" · ");
  facts($("latency"), ["hop", "p50", "p90", "p99", "max"], Object.entries(health.latency || {}).map(([hop, l]) =>
    [{ text: hop.replaceAll("_", " "), title: hop.replaceAll("_", " ") }, ...[l.p50, l.p90, l.p99, l.max].map((v) => ({ text: seconds(v) }))]), "nothing measured yet");
  facts($("sinks"), ["sink", "sent", "dropped", "failed"], (health.sinks || []).map((s) => [
    { dot: light(s.state), text: s.name, title: s.state }, show(s.delivered, count), alarm(s.dropped), alarm(s.failed),
  ]), "no sinks are reported");
  const forwards = (health.forwards || []).filter((f) => f.underlying === state.underlying).sort((a, b) => a.expiry.localeCompare(b.expiry));
  $("forwards").parentElement.hidden = forwards.length === 0;
  facts($("forwards"), ["expiry", "forward", "from", "± error"], forwards.map((f) => [
    { dot: f.stale ? "warn" : "good", text: f.expiry, title: f.stale ? "stale" : "fresh" }, show(f.forward, money),
    { text: SOURCES[f.source] || f.source || "–" }, show(f.parity_error, (v) => v.toFixed(2)),
  ]), "");
  const tasks = health.tasks || [];
  const down = tasks.filter((t) => t.state !== "running");
  const restarts = tasks.reduce((sum, t) => sum + (t.restarts || 0), 0);
  $("tasks-note").textContent = tasks.length === 0 ? "" : down.length
    ? `down: ${down.map((t) => t.name).join(", ")}` : `${tasks.length} tasks run, ${restarts} restarts`;
  $("tasks-note").className = down.length ? "down" : "";
  const s = health.stream;
  $("stream-note").textContent = `${s.clients} stream client${s.clients === 1 ? "" : "s"}, ${s.waiting} waiting` + (stream.holes ? `, ${stream.holes} lost here` : "");
}

const GOOD = new Set(["connected", "live", "running", "ok", "closed", "up"]);
const light = (state) => GOOD.has(state) ? "good" : state === "idle" ? "" : /connecting|waiting|starting/.test(state) ? "warn" : "bad";

// Ticks per second since the last report.
const before = new Map();

function rate(connection, ts) {
  const last = before.get(connection.name);
  before.set(connection.name, { ticks: connection.ticks, ts });
  if (!last || ts <= last.ts || connection.ticks < last.ticks) return undefined;
  return (connection.ticks - last.ticks) / ((ts - last.ts) / 1e9);
}

const show = (value, write = (v) => v.toLocaleString("en-IN")) => ({ text: value == null ? "–" : write(value) });
const alarm = (value) => ({ text: value == null ? "–" : count(value), cls: value > 0 ? "warn" : "quiet" });

function facts(table, heads, rows, none) {
  const line = (cells, name) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((cell) => {
      const element = document.createElement(name);
      if (cell.dot !== undefined) {
        const dot = document.createElement("i");
        dot.className = "dot " + cell.dot;
        element.append(dot);
      }
      element.append(cell.text);
      element.className = cell.cls || "";
      if (cell.title) element.title = cell.title;
      return element;
    }));
    return tr;
  };
  if (rows.length === 0) {
    table.replaceChildren(line([{ text: none, cls: "quiet" }], "td"));
    return;
  }
  table.replaceChildren(line(heads.map((head) => ({ text: head })), "th"), ...rows.map((cells) => line(cells, "td")));
}

// === start ===

function headings() {
  const head = (column, side) => {
    const th = document.createElement("th");
    th.className = `${side} ${column.cls}`;
    th.textContent = column.name;
    return th;
  };
  const middle = { name: "Strike", cls: "strike" };
  const all = [...COLUMNS.map((c) => [c, "call"]), [middle, ""], ...[...COLUMNS].reverse().map((c) => [c, "put"])];
  $("columns").append(...all.map(([column, side]) => head(column, side)));
  $("widths").append(...all.map(([column]) => {
    const col = document.createElement("col");
    col.className = column.cls;
    return col;
  }));
}

function tick() {
  $("clock").textContent = inIndia(new Date()) + " IST";
  const quiet = Date.now() - stream.lastHeard;
  if (stream.socket && quiet > 3 * stream.heartbeat) {
    // The socket stands but says nothing, not even a heartbeat: it is dead.
    const dead = stream.socket;
    stream.socket = null;
    dead.close();
    lose();
  }
  if (stream.lostSince) showLink();
}

$("around").onchange = (event) => {
  state.around = event.target.value;
  loadChain(true);
};
$("underlying-select").onchange = (event) => event.target.value && chooseUnderlying(event.target.value);

async function start() {
  headings();
  tick();
  setInterval(tick, 1000);
  setInterval(paint, 100);
  setInterval(() => (drawSmile(), showCounts()), 1000);
  setInterval(loadHealth, 2000);
  setInterval(() => state.underlying && loadChain(), 15000);
  setInterval(() => loadUnderlyings().catch(() => {}), 60000);
  loadHealth();
  try {
    await loadUnderlyings();
  } catch (error) {
    showEmpty(error.message);
    setTimeout(() => loadUnderlyings().catch(() => {}), 3000);
  }
  connect();
}

start();

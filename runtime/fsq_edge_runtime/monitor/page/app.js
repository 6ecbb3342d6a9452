// The live page: opens the state, follows the news, and draws one stream in full and all of them in small.
import {
  LEFT, drawCodes, drawLatency, drawRibbon, drawScores, drawSignals, forgetWidths, lineOf, palette,
} from "./draw.js";
import { UNKNOWN, clockText, forgetFills, latencyText, lengthText, nameOf, paintSwatch, timeText } from "./labels.js";
import { Stretch } from "./store.js";
import { StreamList } from "./streams.js";

const $ = (id) => document.getElementById(id);
const MOST_EVENTS = 400, SHOWN_EVENTS = 80, POINTS = 1500;
const QUICKEST_MS = 33, SLOWEST_MS = 250, SMOOTH_MS = 30;  // between two drawings; a slow machine draws less often
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

let about = null, stretch = null, source = null, colors = palette();
let flags = {}, events = [], changes = [], chosen = null, tick = 0, detailTick = 0, groups = [], canvases = {};
let paused = false, from = 0, length = 60, edge = null, oldest = null, dirty = true, eventsDirty = true, pointer = null, ended = false, asking = false, late = [];
let lastFrame = 0, lastCall = 0, usual = 16, interval = QUICKEST_MS, sinceLabel = null, shownLabel = null, generation = 0;
const list = new StreamList($("streams"), $("count"), choose);
// What tests and the curious may ask: frames drawn, windows seen, and how much is held.
const figures = { frames: 0, workMs: 0, ticks: 0, rows: 0, reloads: 0 };
window.fsqEdge = { figures, held: () => ({ rows: stretch?.t.length ?? 0, bins: stretch?.binT.length ?? 0, events: events.length + changes.length, streams: list.streams.size }) };

async function load() {
  const mine = ++generation;
  let state;
  try { state = await ask("state"); } catch (error) { return error.refused ? null : retry(mine); }
  if (mine !== generation) return;
  if (state.full) return retry(mine, "as many pages are open as the run serves, waiting for one to close");
  const names = state.streams.map((stream) => stream[1]).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const wanted = names.includes(sessionStorage.getItem("stream")) ? sessionStorage.getItem("stream") : names[0];
  await connect(state.streams.find((stream) => stream[1] === wanted)?.[0] ?? null);
}

function retry(mine, why = "connection lost, trying again") {
  setState(why, false);
  setTimeout(() => { if (mine === generation) load(); }, 700);
}

async function ask(address) {
  const answer = await fetch(address);
  if (answer.ok) return answer.json();
  const text = await answer.text();
  if (answer.status !== 401 && answer.status !== 403) throw new Error(text);
  say(text.slice(5));
  throw Object.assign(new Error(text), { refused: true });
}

// Listen first, then ask for the state and the past, then take the news that came meanwhile: nothing is lost between.
async function connect(number) {
  const mine = ++generation, next = new EventSource(`events${number === null ? "" : `?stream=${number}`}`), waiting = [];
  next.onmessage = (message) => waiting.push(message);
  next.onerror = () => { next.close(); if (!ended && mine === generation) retry(mine); };
  try {
    await new Promise((resolve) => { next.onopen = resolve; });
    const [state, past] = await Promise.all([ask("state"), number === null ? null : ask(viewAddress(number, null))]);
    if (mine !== generation) return next.close();
    source?.close();
    source = next;
    begin(state, number);
    if (past) { show(past, null); detailTick = past.tick; }
    for (const message of waiting) take(JSON.parse(message.data));
    next.onmessage = (message) => {
      const begun = performance.now();
      take(JSON.parse(message.data));
      figures.workMs += performance.now() - begun;
    };
    if (ended) { next.close(); setState("ended", null); } else setState("live", true);
  } catch { next.close(); if (mine === generation) retry(mine); }
}

function begin(state, number) {
  const known = about && JSON.stringify(about) === JSON.stringify(state.about);
  figures.reloads++;
  about = state.about; flags = state.flags; events = state.events; changes = []; tick = state.tick; ended = state.ended;
  $("bundle").textContent = $("bundle").title = about.bundle ? `· ${about.bundle}` : "";
  document.title = `${about.bundle || "fsq-edge"} live`;
  stretch = new Stretch(about.channels);
  list.ended = ended;
  list.reset(state.streams, about.classes, about.hop_s);
  if (!known) layOut();
  showHealth(state.health);
  for (const event of events) if (event.type === "backend") showBackend(event.text.split(":")[0].split("→").pop().trim());
  chosen = number; paused = false; sinceLabel = shownLabel = null;
  list.mark(number);
  $("detail").hidden = number === null; $("empty").hidden = number !== null;
  if (number !== null) {
    const name = list.streams.get(number).name;
    sessionStorage.setItem("stream", name);
    $("name").textContent = name;
  }
  showPause();
  dirty = eventsDirty = true;
}

async function choose(number) { if (number !== chosen) await connect(number); }

const viewAddress = (number, begin) => `view?stream=${number}&seconds=${length}&points=${POINTS}${begin === null ? "" : `&from=${begin}`}`;

async function view(begin) {
  const number = chosen, mine = generation;
  try {
    const found = await ask(viewAddress(number, begin));
    if (mine === generation) show(found, begin);
  } catch { /* the news say that the connection is gone */ }
}

// The latest stretch as a whole, then what came while the server was asked for it.
async function latest() {
  if (asking) return;
  asking = true;
  await view(null);
  asking = false;
  for (const [at, detail] of late.splice(0)) takeDetail(at, detail);
}

function show(found, begin) {
  stretch.clear();
  stretch.take(found);
  oldest = found.oldest;
  if (begin === null) { edge = stretch.latest = found.latest; detailTick = found.tick; } else from = begin;
  changes = [];
  for (let i = 1; i < stretch.t.length; i++) noteChange(stretch.label[i - 1], stretch.label[i], stretch.t[i]);
  dirty = eventsDirty = true;
}

function take({ news, detail }) {
  figures.ticks++;
  if (detail && asking) late.push([news.tick, detail]); else if (detail) takeDetail(news.tick, detail);
  if (news.tick > tick + 1) return connect(chosen);  // the page was too slow and lost some: start again
  if (news.tick <= tick) return;
  tick = news.tick;
  if (news.flags) Object.assign(flags, news.flags);
  list.take(news);
  if (news.events.length) {
    events.push(...news.events);
    events.splice(0, Math.max(0, events.length - MOST_EVENTS));
    eventsDirty = true;
  }
  if (news.backend) showBackend(news.backend);
  if (news.health) showHealth(news.health);
  if (news.ended) { ended = list.ended = true; source.close(); setState("ended", null); }
  if (chosen === null && list.order.length) connect(list.order[0]);
}

function takeDetail(at, detail) {
  if (detail.number !== chosen || at <= detailTick) return;
  detailTick = at;
  if (detail.skipped) return paused || latest();  // a replay is far quicker than the eye
  figures.rows += detail.rows.t.length;
  let previous = stretch.label[stretch.label.length - 1];
  if (!paused) {
    stretch.take(detail);
    stretch.trim(length);
    detail.rows.label.forEach((label, i) => { noteChange(previous, label, detail.rows.t[i]); previous = label; });
  } else if (detail.rows.t.length) stretch.latest = detail.rows.t[detail.rows.t.length - 1];
  dirty = true;
}

function noteChange(before, label, t) {
  if (label === before) return;
  sinceLabel = t;
  if (before === undefined || before === null) return;
  changes.push({ n: `c${t}`, type: "label", stream: "", own: true, t, text: `${nameOf(before, about.classes)} → ${nameOf(label, about.classes)}` });
  changes.splice(0, Math.max(0, changes.length - MOST_EVENTS));
  if ($("changes").checked) eventsDirty = true;
}

function setState(text, good) {
  $("state").textContent = text;
  $("state").className = "badge" + (good === null ? "" : good ? " good" : " bad");
  document.body.classList.toggle("stale", good === false);  // what stands there is no longer so
}
function say(text) { $("note").textContent = text; $("note").hidden = !text; setState("refused", false); }

function showBackend(name) {
  $("backend").hidden = false;
  $("backend").textContent = `backend ${name}`;
}

function showHealth(health) {
  if (!health || health.decided === undefined) return;
  const whole = (n) => n.toLocaleString("en");
  $("health").hidden = false;
  $("health").textContent = `${whole(health.decided)} decided, ${whole(health.abstained)} abstained, ${whole(health.missed)} missed`;
  $("health").className = "badge" + (health.missed ? " bad" : " good");
  const heat = health.device?.temperature_c;
  $("device").hidden = heat === undefined || heat === null;
  if (heat) $("device").textContent = `device ${heat.toFixed(0)} °C`;
}

function layOut() {
  const byUnit = new Map();
  about.channels.forEach(([, unit], k) => byUnit.set(unit, [...(byUnit.get(unit) ?? []), k]));
  groups = [...byUnit.entries()];
  canvases = { groups: [] };
  const root = $("charts"), cursor = $("cursor");
  root.replaceChildren(cursor);
  for (const [unit, channels] of groups) {
    const head = channels.map((k, place) => {
      const { color, dash } = lineOf(place, colors.dark), line = dash.length ? (dash[0] > 3 ? "dashed" : "dotted") : "solid";
      return { line, color, text: about.channels[k][0] };
    });
    canvases.groups.push(chart(root, `Signals, ${unit.replace(/2$/, "²").replace(/^u(?=T)/, "µ") || "no unit"}`, head, "signal"));
  }
  canvases.ribbon = chart(root, "Label and confidence", [], "ribbon");
  canvases.latency = chart(root, "Latency of a decision (log scale)", [], "latency");
  $("map-title").textContent = about.levels.length ? "Code book" : "Confidence of the decisions";
  const legend = $("legend");
  legend.replaceChildren();
  for (const label of [...about.classes.keys(), UNKNOWN, -1, -2]) {
    const entry = document.createElement("span"), swatch = document.createElement("span");
    swatch.className = "swatch";
    paintSwatch(swatch, label);
    entry.append(swatch, nameOf(label, about.classes));
    legend.append(entry);
  }
  for (const [kind, sign, name] of [["gap", "", "gap"], ["mark", "▼", "drift"]]) {
    const entry = document.createElement("span"), swatch = document.createElement("span");
    swatch.className = `swatch ${kind}`; swatch.textContent = sign;
    entry.append(swatch, name);
    legend.append(entry);
  }
  legend.tabIndex = legend.scrollHeight > legend.clientHeight ? 0 : -1;
}

function chart(root, title, head, name) {
  const box = document.createElement("div"), line = document.createElement("div"), bold = document.createElement("b"), canvas = document.createElement("canvas");
  box.className = `chart ${name}`; line.className = "head"; bold.textContent = title;
  const note = document.createElement("span");
  note.className = "dim"; note.style.margin = 0;
  line.append(bold, ...head.map(({ line: style, color, text }) => {
    const entry = document.createElement("span"), mark = document.createElement("span");
    mark.className = "line"; mark.style.borderTopStyle = style; mark.style.borderTopColor = color;
    entry.append(mark, text);
    return entry;
  }), note);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", title);
  canvas.addEventListener("pointermove", (event) => { pointer = (event.offsetX - LEFT) / (canvas.clientWidth - LEFT - 4); showReadout(); });
  canvas.addEventListener("pointerleave", () => { $("cursor").hidden = true; });
  box.append(line, canvas);
  root.append(box);
  return { canvas, note };
}

const counted = (n) => `${n.toLocaleString("en")} window${n === 1 ? "" : "s"}`;
const span = () => paused ? { from, to: from + length } : { from: (edge ?? 0) - length, to: edge ?? 0 };

function showReadout() {
  if (pointer === null || !stretch) return;
  const { from: begin, to } = span(), t = begin + pointer * (to - begin), at = stretch.rowAt(t, about.hop_s);
  $("cursor").hidden = pointer < 0 || pointer > 1;
  if ($("cursor").hidden) return;
  $("cursor").style.left = `${LEFT + pointer * ($("charts").clientWidth - LEFT - 4)}px`;
  let text = `at ${timeText(t, true)}`;
  if (at >= 0) {
    text += `: ${nameOf(stretch.label[at], about.classes)}`;
    if (stretch.label[at] >= 0 || stretch.label[at] === UNKNOWN) text += ` ${(100 * stretch.confidence[at]).toFixed(0)} %, ${latencyText(stretch.latency[at])}`;
    if (stretch.code[at] >= 0) text += `, code ${stretch.code[at]}`;
    const why = flags[stretch.flags[at]] ?? [];
    if (why.length) text += `, ${why.join(", ")}`;
  }
  $("readout").textContent = text;
}

// Without a pointer: the window before or after the one that is read, the latest first.
function readNext(by) {
  const step = about.hop_s / length;
  pointer = pointer === null || pointer < 0 || pointer > 1 ? 1 - step / 2 : Math.max(0, Math.min(1, pointer + by * step));
  showReadout();
}

// A stream that is silent brings no news of its own.
setInterval(() => {
  for (const number of list.visible) if (list.silent(list.streams.get(number) ?? {})) list.stale.add(number);
  if (list.which === "silent") list.arrangeSoon();
  dirty = true;
}, 1000);

function frame(now) {
  requestAnimationFrame(frame);
  figures.frames++;
  const begun = performance.now();
  work(now);
  figures.workMs += performance.now() - begun;
}

function work(now) {
  usual += 0.1 * (Math.min(200, now - lastCall) - usual);  // milliseconds between two frames of the browser
  lastCall = now;
  interval = Math.max(QUICKEST_MS, Math.min(SLOWEST_MS, interval * (usual > SMOOTH_MS ? 1.1 : 0.97)));
  if (now - lastFrame < interval || !about) return;
  const passed = lastFrame ? now - lastFrame : interval;
  lastFrame = now;
  list.draw(colors.theme);
  if (eventsDirty) { eventsDirty = false; showEvents(); }
  if (chosen === null || !stretch) return;
  if (!paused && stretch.latest !== null && edge !== stretch.latest) {  // glide to the newest sample
    const rest = stretch.latest - edge;
    edge = stillness.matches || Math.abs(rest) < 0.005 || Math.abs(rest) > length / 4 ? stretch.latest : edge + rest * Math.min(1, passed / 180);
    dirty = true;
  }
  if (dirty) { dirty = false; drawDetail(); }
}

function drawDetail() {
  const stretched = span(), name = list.streams.get(chosen)?.name ?? "", own = events.filter((event) => event.stream === name);
  groups.forEach(([, channels], k) => drawSignals(canvases.groups[k].canvas, innerWidth < 600 ? 100 : 130, stretched, stretch, channels, own, colors));
  drawRibbon(canvases.ribbon.canvas, 92, stretched, stretch, about.hop_s, about.classes, own, colors);
  const late = drawLatency(canvases.latency.canvas, 92, stretched, stretch, about.hop_s, about.deadline_ms, own, colors);
  const limit = about.deadline_ms ? `; dashed: the deadline, ${latencyText(about.deadline_ms * 1000)}` : "";
  canvases.latency.note.textContent = late ? `median ${latencyText(late.p50)}, ${late.rank} ${latencyText(late.high)} of ${late.n} in view${limit}` : "";
  if (about.levels.length) {
    const seen = drawCodes($("map"), stretch, stretched.from, stretched.to, about.levels, about.trained, colors);
    $("map-note").textContent = `${seen.distinct} of ${about.trained.length.toLocaleString("en")} codes (${about.levels.join(" × ")}) in ${counted(seen.windows)}; ` +
      `${counted(seen.strange)} with a code that training never had (ringed). Stronger is more frequent, the framed cell is the latest; training never had the palest ones.`;
  } else {
    $("map-note").textContent = `${drawScores($("map"), stretch, stretched.from, stretched.to, colors)} windows in view, by confidence (across) and number (up).`;
  }
  showNow();
}

function showNow() {
  const stream = list.streams.get(chosen), label = stream?.recent[stream.recent.length - 1];
  if (label === undefined) return;
  if (label !== shownLabel) { shownLabel = label; paintSwatch($("swatch"), label); $("label").textContent = nameOf(label, about.classes); }
  $("confidence").textContent = label >= 0 || label === UNKNOWN ? `${(100 * stream.confidence).toFixed(0)}\u00a0%` : "";
  const silent = list.silent(stream);
  $("since").textContent = silent ? `no window for ${lengthText(silent)}` : sinceLabel === null ? "" : `since ${timeText(sinceLabel)}`;
  $("since").classList.toggle("silent", silent > 0);
  const why = flags[stream.flags] ?? [];
  $("flags").hidden = !why.length;
  $("flags").textContent = why.join(", ");
  $("drifted").hidden = !stream.drifted;
  $("drifted").textContent = stream.drifted ? `Drift: ${stream.drifted}` : "";
  const { from: begin, to } = span(), slider = $("position");
  if (oldest !== null && stream.t !== null) {
    slider.max = stream.t - length; slider.min = Math.min(oldest, slider.max - 1e-3);  // at its right end where there is no past
    slider.disabled = oldest >= stream.t - length;
    if (document.activeElement !== slider || !paused) slider.value = paused ? from : slider.max;
    slider.setAttribute("aria-valuetext", `from ${timeText(begin)} to ${timeText(to)}`);
  }
  $("where").textContent = `${timeText(begin)} – ${timeText(to)}`;
  $("clock").textContent = clockText(to);
}

function showEvents() {
  const name = list.streams.get(chosen)?.name, only = $("own").checked;
  let shown = only ? events.filter((event) => event.stream === name || event.stream === "") : events;
  if ($("changes").checked) {  // by the time of the stream; what has none stays behind the event before it
    let before = -Infinity;
    shown = [...shown.map((event) => [before = event.t ?? before, event]), ...changes.map((event) => [event.t, event])];
    shown = shown.sort(([a], [b]) => a === b ? 0 : a - b).map(([, event]) => event);
  }
  const rows = shown.slice(-SHOWN_EVENTS).reverse().map((event) => {
    const item = document.createElement("li"), time = document.createElement("time"), type = document.createElement("span");
    item.className = event.type;
    time.textContent = event.t !== null ? timeText(event.t) : new Date(event.wall * 1000).toLocaleTimeString([], { hour12: false });
    type.className = "type"; type.textContent = event.type;
    item.append(time, type, `${event.stream && event.stream !== name ? `${event.stream}: ` : ""}${event.text}`);
    return item;
  });
  if (!rows.length) { const item = document.createElement("li"); item.className = "dim"; item.textContent = "none so far"; rows.push(item); }
  $("events").replaceChildren(...rows);
}

function showPause() { $("pause").textContent = paused ? "Live" : "Pause"; }

async function pause(on) {
  if (on === paused) return;
  if (on) from = (edge ?? 0) - length;
  paused = on;
  showPause();
  dirty = true;
  if (!on) await latest();
}

async function scroll(to) {
  const least = Number($("position").min), most = Number($("position").max);
  if (!paused) await pause(true);
  await view(Math.max(Math.min(least, most), Math.min(most, to)));
}

async function setLength(seconds) {
  const end = span().to;
  length = seconds;
  $("length").value = String(seconds);
  await (paused ? view(end - length) : latest());
}

$("pause").addEventListener("click", () => pause(!paused));
$("back").addEventListener("click", () => scroll(span().from - length / 2));
$("forward").addEventListener("click", () => scroll(span().from + length / 2));
$("position").addEventListener("input", (event) => scroll(Number(event.target.value)));
$("length").addEventListener("change", (event) => setLength(Number(event.target.value)));
$("search").addEventListener("input", (event) => { list.query = event.target.value.trim().toLowerCase(); list.arrange(); });
$("which").addEventListener("change", (event) => { list.which = event.target.value; list.arrange(); });
for (const id of ["changes", "own"]) $(id).addEventListener("change", () => { eventsDirty = true; });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT/.test(event.target.tagName)) return;
  const options = [...$("length").options].map((option) => Number(option.value)), at = options.indexOf(length);
  const keys = { "/": () => $("search").focus(), j: () => list.step(1), k: () => list.step(-1), p: () => pause(!paused),
                 ArrowLeft: () => scroll(span().from - length / 2), ArrowRight: () => scroll(span().from + length / 2),
                 ",": () => readNext(-1), ".": () => readNext(1),
                 "+": () => setLength(options[Math.max(0, at - 1)]), "-": () => setLength(options[Math.min(options.length - 1, at + 1)]) };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  forgetFills();
  colors = palette();
  if (about) layOut();
  list.redraw();
  shownLabel = null;
  dirty = true;
}
$("theme").addEventListener("click", () => {
  const order = ["auto", "light", "dark"], next = order[(order.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % 3];
  localStorage.setItem("theme", next);
  applyTheme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyTheme(localStorage.getItem("theme") ?? "auto"));
const resized = new ResizeObserver(() => { forgetWidths(document.querySelectorAll("canvas")); dirty = true; list.redraw(); });
for (const element of document.querySelectorAll("main, aside, body")) resized.observe(element);
applyTheme(localStorage.getItem("theme") ?? "auto");
requestAnimationFrame(frame);
load();

// Everything that is drawn on a canvas. Each function takes a pen, a frame (from, to, left, width, height) and data.
import { fillOf, latencyText, nameOf, timeText, variable } from "./labels.js";
import { first } from "./store.js";

const LINES = { light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7048e8", "#56b4e9"], dark: ["#56b4e9", "#ff9a4d", "#2fc792", "#e39ac6", "#e6c300", "#8a7dff"] };
const DASHES = [[], [6, 3], [2, 2]];
const MOST_SEGMENTS = 60, AXIS = 16, FONT = "11px system-ui, sans-serif";
export const LEFT = 52;
export function lineOf(k, dark) {
  const lines = dark ? LINES.dark : LINES.light;
  return { color: lines[k % lines.length], dash: DASHES[Math.floor(k / lines.length) % DASHES.length] };
}

// Widths are remembered: asking the browser for one makes it lay the page out.
const widths = new WeakMap();
export function forgetWidths(canvases) { for (const canvas of canvases) widths.delete(canvas); }
const widthOf = (canvas) => {
  if (!widths.get(canvas)) widths.set(canvas, canvas.clientWidth);
  return widths.get(canvas);
};

export function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1, width = widthOf(canvas);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = FONT;
  return { pen, width, height };
}

const xOf = (frame, t) => frame.left + (t - frame.from) / (frame.to - frame.from) * (frame.width - frame.left - 4);

function timeAxis(pen, frame, colors) {
  const length = frame.to - frame.from, bottom = frame.height - AXIS;
  const wanted = Math.max(2, (frame.width - frame.left) / 75);
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300].find((s) => length / s <= wanted) ?? 600;
  pen.strokeStyle = colors.grid; pen.fillStyle = colors.dim; pen.lineWidth = 1; pen.textAlign = "center"; pen.textBaseline = "alphabetic";
  for (let t = Math.ceil(frame.from / step) * step; t <= frame.to; t += step) {
    const x = Math.round(xOf(frame, t)) + 0.5;
    pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, bottom); pen.stroke();
    if (x > frame.left + 18 && x < frame.width - 24) pen.fillText(timeText(t), x, frame.height - 4);
  }
}

export function palette() {
  return { ink: variable("--ink"), dim: variable("--dim"), grid: variable("--grid"), warn: variable("--warn"), bad: variable("--bad"),
           ground: variable("--ground"), heat: variable("--heat"), none: variable("--none"), line: variable("--line"),
           accent: variable("--accent"), dark: getComputedStyle(document.documentElement).colorScheme === "dark",
           theme: document.documentElement.dataset.theme ?? "" };
}

// Gaps as pale bands and drift as a triangle, over every chart.
function marks(pen, frame, events, colors) {
  pen.save();
  for (const event of events) {
    if (event.t === null || event.t < frame.from || event.t > frame.to + 60) continue;
    const x = xOf(frame, event.t);
    if (event.type === "gap") {
      const begin = Math.max(frame.left, xOf(frame, event.from ?? event.t)), end = Math.min(frame.width - 4, Math.max(x, begin + 2));
      if (end <= frame.left) continue;
      pen.fillStyle = colors.warn; pen.globalAlpha = 0.18;
      pen.fillRect(begin, 0, end - begin, frame.height - AXIS);
      pen.globalAlpha = 1;
    } else if (event.type === "drift") {
      pen.fillStyle = colors.ink; pen.strokeStyle = colors.ground; pen.lineWidth = 3; pen.lineJoin = "round";
      pen.beginPath(); pen.moveTo(x - 5, 1); pen.lineTo(x + 5, 1); pen.lineTo(x, 10); pen.closePath(); pen.stroke(); pen.fill();
    }
  }
  pen.restore();
}

export function drawSignals(canvas, height, frame, stretch, group, events, colors) {
  const { pen, width } = prepare(canvas, height);
  frame = { ...frame, left: LEFT, width, height };
  const begin = Math.max(0, first(stretch.binT, frame.from) - 1), end = Math.min(stretch.binT.length, first(stretch.binT, frame.to) + 1);
  let least = Infinity, most = -Infinity;
  for (const k of group) for (let i = begin; i < end; i++) {
    const low = stretch.low[k][i], high = stretch.high[k][i];
    if (low !== null && low < least) least = low;
    if (high !== null && high > most) most = high;
  }
  timeAxis(pen, frame, colors);
  if (least > most) { marks(pen, frame, events, colors); return; }
  if (most - least < 1e-6) { least -= 0.5; most += 0.5; }
  const pad = (most - least) * 0.06, bottom = height - AXIS;
  least -= pad; most += pad;
  const yOf = (value) => bottom - (value - least) / (most - least) * bottom;
  const wanted = (most - least) / Math.max(2, bottom / 22);
  const edge = 6 * (most - least) / bottom;  // no room for a number
  const marked = (size) => Math.floor((most - edge) / size) - Math.ceil((least + edge) / size) + 1;
  const step = marked(niceStep(wanted)) < 2 ? niceStep(wanted / 2) : niceStep(wanted);  // one number alone is no scale
  pen.textAlign = "right"; pen.textBaseline = "middle"; pen.fillStyle = colors.dim; pen.strokeStyle = colors.grid;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (let value = Math.ceil(least / step) * step; value <= most; value += step) {
    const y = Math.round(yOf(value)) + 0.5;
    pen.beginPath(); pen.moveTo(LEFT, y); pen.lineTo(width - 4, y); pen.stroke();
    if (y > 6 && y < bottom - 4) pen.fillText((Math.abs(value) < step / 2 ? 0 : value).toFixed(digits), LEFT - 5, y);
  }
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, width - LEFT - 4, bottom); pen.clip();
  pen.lineWidth = 1.2; pen.lineJoin = "bevel";
  group.forEach((k, place) => {
    const { color, dash } = lineOf(place, colors.dark);
    pen.strokeStyle = color; pen.setLineDash(dash);
    pen.beginPath();
    let column = -1, low = 0, high = 0, open = false, last = -Infinity;
    let points = 0;
    const flush = () => {
      if (!open) return;
      pen.lineTo(column, yOf(low));
      if (high !== low) pen.lineTo(column, yOf(high));
      if (++points % MOST_SEGMENTS) return;  // many short strokes are drawn far quicker than one long one
      pen.stroke(); pen.beginPath(); pen.moveTo(column, yOf(high));
    };
    for (let i = begin; i < end; i++) {
      const a = stretch.low[k][i], b = stretch.high[k][i], t = stretch.binT[i];
      if (a === null || b === null) continue;
      const x = Math.round(xOf(frame, t + stretch.step / 2));
      if (open && x === column) { low = Math.min(low, a); high = Math.max(high, b); last = t; continue; }
      flush();
      if (!open || t - last > Math.max(0.5, 3 * stretch.step)) pen.moveTo(x, yOf(a));
      column = x; low = a; high = b; open = true; last = t;
    }
    flush();
    pen.stroke();
  });
  pen.restore();
  marks(pen, frame, events, colors);
}

function niceStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw)), scaled = raw / power;
  return (scaled <= 1 ? 1 : scaled <= 2 ? 2 : scaled <= 5 ? 5 : 10) * power;
}

export function drawRibbon(canvas, height, frame, stretch, hop, classes, events, colors) {
  const { pen, width } = prepare(canvas, height), bar = 26, bottom = height - AXIS;
  frame = { ...frame, left: LEFT, width, height };
  timeAxis(pen, frame, colors);
  pen.textAlign = "right"; pen.textBaseline = "middle"; pen.fillStyle = colors.dim;
  pen.fillText("label", LEFT - 5, bar / 2);
  pen.fillText("100 %", LEFT - 5, bar + 10); pen.fillText("0 %", LEFT - 5, bottom - 5);
  const begin = first(stretch.t, frame.from), end = Math.min(stretch.t.length, first(stretch.t, frame.to + hop) + 1);
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, width - LEFT - 4, bottom); pen.clip();
  for (let i = begin; i < end;) {  // one box for a run of equal labels
    const label = stretch.label[i];
    let j = i + 1;
    while (j < end && stretch.label[j] === label && stretch.t[j] - stretch.t[j - 1] < 1.5 * hop) j++;
    const x = xOf(frame, stretch.t[i] - hop), right = xOf(frame, stretch.t[j - 1]);
    pen.fillStyle = fillOf(pen, label, colors.theme);
    pen.fillRect(x, 0, Math.max(1, right - x), bar);
    if (label < 0) { pen.strokeStyle = label === -2 ? colors.bad : colors.dim; pen.strokeRect(x + 0.5, 0.5, Math.max(0, right - x - 1), bar - 1); }
    const text = nameOf(label, classes), room = right - Math.max(x, LEFT);
    if (room > 24 && pen.measureText(text).width < room - 8) {
      const middle = Math.max(x, LEFT) + room / 2, w = pen.measureText(text).width + 6;
      pen.fillStyle = colors.ground; pen.globalAlpha = 0.82; pen.fillRect(middle - w / 2, 5, w, bar - 10); pen.globalAlpha = 1;
      pen.fillStyle = colors.ink; pen.textAlign = "center"; pen.fillText(text, middle, bar / 2 + 0.5);
    }
    i = j;
  }
  pen.strokeStyle = colors.ink; pen.lineWidth = 1.3; pen.beginPath();
  let last = -Infinity;
  for (let i = begin; i < end; i++) {
    if (stretch.label[i] === -1 || stretch.label[i] === -2) { last = -Infinity; continue; }
    const x = xOf(frame, stretch.t[i]), y = bottom - 2 - stretch.confidence[i] * (bottom - bar - 8);
    if (stretch.t[i] - last < 1.5 * hop) pen.lineTo(x, y); else pen.moveTo(x - 2, y), pen.lineTo(x, y);
    last = stretch.t[i];
  }
  pen.stroke();
  pen.restore();
  marks(pen, frame, events, colors);
}

export function drawLatency(canvas, height, frame, stretch, hop, deadlineMs, events, colors) {
  const { pen, width } = prepare(canvas, height), bottom = height - AXIS;
  frame = { ...frame, left: LEFT, width, height };
  timeAxis(pen, frame, colors);
  marks(pen, frame, events, colors);
  const begin = first(stretch.t, frame.from), end = Math.min(stretch.t.length, first(stretch.t, frame.to) + 1);
  const shown = [];
  for (let i = begin; i < end; i++) if (stretch.label[i] !== -2 && stretch.latency[i] > 0) shown.push(stretch.latency[i]);
  if (!shown.length && deadlineMs === null) return null;
  const least = Math.log10(Math.min(...shown, deadlineMs ? deadlineMs * 1000 : Infinity)) - 0.15;
  const most = Math.log10(Math.max(...shown, deadlineMs ? deadlineMs * 1000 : 0)) + 0.15;
  const yOf = (us) => bottom - (Math.log10(us) - least) / (most - least) * bottom;
  pen.textAlign = "right"; pen.textBaseline = "middle"; pen.strokeStyle = colors.grid; pen.fillStyle = colors.dim;
  const skip = Math.ceil(14 * (most - least) / bottom);  // a number needs 14 pixels
  for (let power = Math.ceil(least); power <= most; power += skip) {
    const y = Math.round(yOf(10 ** power)) + 0.5;
    pen.beginPath(); pen.moveTo(LEFT, y); pen.lineTo(width - 4, y); pen.stroke();
    if (y > 5 && y < bottom - 4) pen.fillText(latencyText(10 ** power), LEFT - 5, y);
  }
  const half = Math.max(0.75, Math.min(2, (width - LEFT) / Math.max(1, end - begin) / 3));
  for (let i = begin; i < end; i++) {
    const x = xOf(frame, stretch.t[i]);
    if (x < LEFT) continue;
    if (stretch.label[i] === -2) { pen.fillStyle = colors.bad; pen.fillText("×", x + 4, 8); continue; }
    if (!(stretch.latency[i] > 0)) continue;
    pen.fillStyle = deadlineMs && stretch.latency[i] > deadlineMs * 1000 ? colors.bad : colors.accent;
    pen.fillRect(x - half, yOf(stretch.latency[i]) - 1, 2 * half, 3);
  }
  if (deadlineMs) {
    const y = Math.round(yOf(deadlineMs * 1000)) + 0.5;
    pen.strokeStyle = colors.bad; pen.setLineDash([5, 4]);
    pen.beginPath(); pen.moveTo(LEFT, y); pen.lineTo(width - 4, y); pen.stroke();
    pen.setLineDash([]);
  }
  shown.sort((a, b) => a - b);
  const n = shown.length, high = n < 100 ? n - 1 : Math.floor(n * 0.99);  // fewer than a hundred have no 99th percentile
  return n ? { p50: shown[n >> 1], high: shown[high], rank: n < 100 ? "largest" : "99th percentile", n } : null;
}

// The code book as a heat map: the first two dimensions across, the others down; a ring where training never was.
export function drawCodes(canvas, stretch, from, to, levels, trained, colors) {
  const across = levels.length > 2 ? levels[0] * levels[1] : levels[0], down = Math.max(1, trained.length / across);
  const cell = Math.max(4, Math.min(18, Math.floor(widthOf(canvas) / across), Math.floor(320 / down)));
  const { pen } = prepare(canvas, Math.ceil(down * cell) + 2);
  const counts = new Map();
  let windows = 0, strange = 0, latest = -1;
  for (let i = first(stretch.t, from); i < stretch.t.length && stretch.t[i] <= to; i++) {
    const code = stretch.code[i];
    if (code < 0) continue;
    counts.set(code, (counts.get(code) ?? 0) + 1);
    windows++; latest = code;
    if (!trained[code]) strange++;
  }
  const most = Math.max(1, ...counts.values()), gap = cell > 6 ? 1 : 0.5;
  for (let code = 0; code < trained.length; code++) {
    const x = (code % across) * cell, y = Math.floor(code / across) * cell, count = counts.get(code);
    pen.fillStyle = count ? `rgba(${colors.heat}, ${0.25 + 0.75 * Math.sqrt(count / most)})` : colors.grid;
    pen.globalAlpha = count || trained[code] ? 1 : 0.35;
    pen.fillRect(x, y, cell - gap, cell - gap);
    pen.globalAlpha = 1;
    if (count && !trained[code]) { pen.strokeStyle = colors.warn; pen.lineWidth = 2; pen.strokeRect(x + 1, y + 1, cell - gap - 2, cell - gap - 2); }
    if (code === latest) { pen.strokeStyle = colors.ink; pen.lineWidth = 1.5; pen.strokeRect(x + 0.5, y + 0.5, cell - gap - 1, cell - gap - 1); }
  }
  return { windows, strange, distinct: counts.size };
}

// Where there are no codes: how sure the decisions were.
export function drawScores(canvas, stretch, from, to, colors) {
  const height = 150, { pen, width } = prepare(canvas, height), bins = new Array(10).fill(0), bottom = height - AXIS;
  let windows = 0;
  for (let i = first(stretch.t, from); i < stretch.t.length && stretch.t[i] <= to; i++) {
    if (stretch.label[i] === -1 || stretch.label[i] === -2) continue;
    bins[Math.min(9, Math.floor(stretch.confidence[i] * 10))]++;
    windows++;
  }
  const most = Math.max(1, ...bins), w = (width - LEFT) / 10;
  pen.textAlign = "right"; pen.textBaseline = "middle"; pen.fillStyle = colors.dim;
  pen.fillText(`${most}`, LEFT - 5, 8); pen.fillText("0", LEFT - 5, bottom - 5);
  bins.forEach((count, k) => {
    pen.fillStyle = colors.accent;
    pen.fillRect(LEFT + k * w, bottom - count / most * (bottom - 4), w - 2, count / most * (bottom - 4));
  });
  for (let k = 0; k <= 10; k += 2) {
    pen.fillStyle = colors.dim; pen.textAlign = k < 10 ? "center" : "right";
    pen.fillText(`${k * 10} %`, LEFT + k * w, height - 6);
  }
  return windows;
}

export function drawRecent(canvas, labels, theme) {
  const { pen, width, height } = prepare(canvas, 14), w = width / 60, begin = 60 - labels.length;
  labels.forEach((label, k) => { pen.fillStyle = fillOf(pen, label, theme); pen.fillRect((begin + k) * w, 0, Math.max(1, w - 0.5), height); });
}

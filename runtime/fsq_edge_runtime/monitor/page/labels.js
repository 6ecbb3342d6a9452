// Colors and names of what a window can end as. Colors are those of Okabe and Ito (2008) and a violet for their yellow,
// told apart with any common color vision; beyond seven classes a pattern is added, and the name stands beside the color.
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7048e8"];
const PATTERNS = ["", "stripe", "dot", "cross"];
export const ABSTAINED = -1, MISSED = -2, UNKNOWN = -3;

export const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const colorOf = (label) => label >= 0 ? COLORS[label % COLORS.length] : null;
export const patternOf = (label) => label >= 0 ? PATTERNS[Math.floor(label / COLORS.length) % PATTERNS.length] : { [MISSED]: "cross", [UNKNOWN]: "dot" }[label] ?? "stripe";

export function nameOf(label, classes) {
  if (label === ABSTAINED) return "abstained";
  if (label === MISSED) return "missed";
  if (label === UNKNOWN) return "unknown";
  return classes[label] ?? `class ${label}`;
}

const made = new Map();
// What a canvas fills with: a plain color or a small pattern over it.
export function fillOf(context, label, theme) {
  const key = `${label} ${theme}`;
  if (!made.has(key)) {
    const pattern = patternOf(label), color = colorOf(label) ?? (label === MISSED ? variable("--ground") : variable("--none"));
    if (!pattern) return color;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.fillStyle = color;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = pen.fillStyle = label === MISSED ? variable("--bad") : variable("--ground");
    pen.lineWidth = 1.5;
    pen.beginPath();
    if (pattern === "stripe" || pattern === "cross") { pen.moveTo(-1, 9); pen.lineTo(9, -1); }
    if (pattern === "cross") { pen.moveTo(-1, -1); pen.lineTo(9, 9); }
    pen.stroke();
    if (pattern === "dot") pen.fillRect(3, 3, 2, 2);
    made.set(key, { tile, fill: context.createPattern(tile, "repeat") });
  }
  return made.get(key).fill;
}

export function paintSwatch(element, label) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 16;
  const pen = canvas.getContext("2d");
  pen.fillStyle = fillOf(pen, label, document.documentElement.dataset.theme ?? "");
  pen.fillRect(0, 0, 16, 16);
  element.style.backgroundImage = `url(${canvas.toDataURL()})`;
}

export function forgetFills() { made.clear(); }

// Seconds of the source as people read them: a time of day where the source's clock is one, else the time elapsed.
export function timeText(t, fine = false) {
  if (t === null || t === undefined) return "";
  const digits = fine ? 2 : 0;
  if (t > 1e9) {
    const date = new Date(t * 1000);
    return date.toLocaleTimeString([], { hour12: false }) + (fine ? "." + String(date.getMilliseconds()).padStart(3, "0") : "");
  }
  const sign = t < 0 ? "-" : "", rest = Number(Math.abs(t).toFixed(digits)), h = Math.floor(rest / 3600), m = Math.floor(rest / 60) % 60;
  const s = (rest % 60).toFixed(digits).padStart(digits ? 5 : 2, "0");
  return h ? `${sign}${h}:${String(m).padStart(2, "0")}:${s}` : `${sign}${m}:${s}`;
}

// What the digits of timeText are where they are no time of day.
export const clockText = (t) => t > 1e9 ? "" : `(${Math.abs(Math.round(t)) < 3600 ? "" : "h:"}min:s of the source)`;

export const lengthText = (s) => s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;

export function latencyText(us) {
  if (us < 1000) return `${us.toFixed(0)} µs`;
  return us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 && us % 1000 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

// The list of streams with a strip of recent windows each, searchable; only what can be seen is drawn.
import { drawRecent } from "./draw.js";
import { ABSTAINED, MISSED, lengthText, nameOf } from "./labels.js";

const RECENT = 60, MOST_SHOWN = 400;
const SILENT_MS = 5000;  // without a window, and three hops at least: then the label is no longer news

export class StreamList {
  constructor(root, count, choose) {
    this.root = root; this.count = count; this.choose = choose;
    this.streams = new Map();  // by number
    this.buttons = new Map();
    this.query = ""; this.which = "all"; this.chosen = null; this.classes = [];
    this.stale = new Set();  // numbers whose button shows an older state
    this.visible = new Set();
    this.silentMs = SILENT_MS;
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const number = Number(entry.target.dataset.number);
        if (entry.isIntersecting) { this.visible.add(number); this.stale.add(number); } else this.visible.delete(number);
      }
    }, { root });
    root.addEventListener("keydown", ({ key, target }) => {  // one stop of the tab key for the whole list
      const item = target.closest("li"), next = { ArrowDown: item?.nextSibling, ArrowUp: item?.previousSibling }[key];
      next?.firstChild.focus();
    });
  }

  reset(streams, classes, hop) {
    this.streams.clear();
    this.classes = classes;
    this.silentMs = Math.max(SILENT_MS, 3000 * hop);
    for (const [number, name, recent, ...now] of streams) this.put(number, name, recent, now);
    this.arrange();
  }

  put(number, name, recent, now) {
    const stream = this.streams.get(number) ?? { number, name, recent: [] };
    stream.recent = stream.recent.concat(recent).slice(-RECENT);
    [stream.t, stream.confidence, stream.latency, stream.flags, stream.counts, stream.drifted] = now;
    stream.seen = performance.now() - 1000 * (now[6] ?? 0);
    this.streams.set(number, stream);
    if (this.visible.has(number)) this.stale.add(number);
    return stream;
  }

  take(news) {
    const before = this.streams.size;
    for (const [number, name] of news.new) this.put(number, name, [], [null, 0, 0, 0, [0, 0, 0], ""]);
    for (const [number, recent, ...now] of news.streams) if (this.streams.has(number)) this.put(number, null, recent, now);
    for (const number of news.gone) { this.streams.delete(number); this.visible.delete(number); }
    if (this.streams.size !== before || news.gone.length || news.new.length) this.arrange();
    else if (this.which !== "all") this.arrangeSoon();
  }

  // Seconds since the last window where that is long, else 0.
  silent(stream) {
    const ms = performance.now() - stream.seen;
    return !this.ended && ms > this.silentMs ? Math.round(ms / 1000) : 0;
  }

  wanted(stream) {
    if (this.query && !stream.name.toLowerCase().includes(this.query)) return false;
    if (this.which === "silent") return this.silent(stream) > 0;
    if (this.which === "drifted") return Boolean(stream.drifted);
    return this.which === "all" || stream.recent.some((label) => label === ABSTAINED || label === MISSED);
  }

  arrangeSoon() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => { this.waiting = null; this.arrange(); }, 1000);
  }

  arrange() {
    const wanted = [...this.streams.values()].filter((stream) => this.wanted(stream));
    wanted.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    const shown = wanted.slice(0, MOST_SHOWN), keep = new Set(shown.map((stream) => stream.number));
    for (const [number, button] of this.buttons) if (!keep.has(number)) {
      this.watcher.unobserve(button.root);
      button.item.remove();
      this.buttons.delete(number);
      this.visible.delete(number);
    }
    shown.forEach((stream, place) => {
      const button = this.buttons.get(stream.number) ?? this.make(stream);
      if (this.root.children[place] !== button.item) this.root.insertBefore(button.item, this.root.children[place] ?? null);
    });
    const more = wanted.length - shown.length;
    this.count.textContent = `${wanted.length} of ${this.streams.size} stream${this.streams.size === 1 ? "" : "s"}${more ? `, ${more} not listed: search` : ""}`;
    this.order = shown.map((stream) => stream.number);
    this.rove();
    if (this.onArranged) this.onArranged();
  }

  make(stream) {
    const item = document.createElement("li"), root = document.createElement("button");
    const name = document.createElement("b"), label = document.createElement("i"), strip = document.createElement("canvas");
    root.type = "button";
    root.dataset.number = stream.number;
    name.textContent = name.title = stream.name;
    root.append(name, label, strip);
    root.addEventListener("click", () => this.choose(stream.number));
    item.append(root);
    const button = { item, root, label, strip };
    this.buttons.set(stream.number, button);
    this.watcher.observe(root);
    if (stream.number === this.chosen) root.setAttribute("aria-current", "true");
    return button;
  }

  rove() {
    const stop = this.buttons.has(this.chosen) ? this.chosen : this.order?.[0];
    for (const [number, button] of this.buttons) button.root.tabIndex = number === stop ? 0 : -1;
  }

  mark(number) {
    this.buttons.get(this.chosen)?.root.removeAttribute("aria-current");
    this.chosen = number;
    this.buttons.get(number)?.root.setAttribute("aria-current", "true");
    this.rove();
  }

  step(by) {
    if (!this.order?.length) return;
    const at = this.order.indexOf(this.chosen), next = this.order[(at + by + this.order.length) % this.order.length];
    this.choose(next);
    this.buttons.get(next)?.root.scrollIntoView({ block: "nearest" });
  }

  draw(theme) {
    let drawn = 0;
    for (const number of this.stale) {
      const button = this.buttons.get(number), stream = this.streams.get(number);
      this.stale.delete(number);
      if (!button || !stream || !this.visible.has(number)) continue;
      const label = stream.recent[stream.recent.length - 1];
      const text = label === undefined ? "no window yet" : nameOf(label, this.classes);
      const silent = this.silent(stream), sure = label >= 0 ? ` ${Math.round(stream.confidence * 100)} %` : "";
      button.label.textContent = (stream.drifted ? "▲ " : "") + (silent ? `silent for ${lengthText(silent)}, was ${text}` : text + sure);
      button.label.className = silent ? "silent" : "";
      drawRecent(button.strip, stream.recent, theme);
      if (++drawn > 60) break;  // the rest in the next frame
    }
  }

  redraw() { for (const number of this.visible) this.stale.add(number); }
}

// The stretch of one stream that the page shows: rows of windows and bins of signals, trimmed as time goes on.
const SLACK_S = 5, MOST_ROWS = 12000;

export class Stretch {
  constructor(channels) {
    this.channels = channels;
    this.clear();
  }

  clear() {
    this.t = []; this.label = []; this.confidence = []; this.code = []; this.latency = []; this.flags = [];
    this.binT = []; this.low = this.channels.map(() => []); this.high = this.channels.map(() => []);
    this.step = 0.04;
    this.latest = null;  // end of the newest window or bin, seconds
  }

  take({ rows, curve }) {
    if (rows) for (const name of ["t", "label", "confidence", "code", "latency", "flags"]) append(this[name], rows[name]);
    if (rows && rows.t.length) this.latest = rows.t[rows.t.length - 1];
    if (!curve) return;
    this.step = curve.step;
    while (this.binT.length && this.binT[this.binT.length - 1] >= curve.t[0] - 1e-6) {  // the last bin was still filling
      this.binT.pop();
      for (let k = 0; k < this.low.length; k++) { this.low[k].pop(); this.high[k].pop(); }
    }
    append(this.binT, curve.t);
    for (let k = 0; k < this.low.length; k++) { append(this.low[k], curve.low[k]); append(this.high[k], curve.high[k]); }
  }

  trim(length) {
    if (this.latest === null) return;
    const begin = this.latest - length - SLACK_S;
    const rows = Math.max(first(this.t, begin), this.t.length - MOST_ROWS), bins = first(this.binT, begin);
    if (rows > 500) for (const name of ["t", "label", "confidence", "code", "latency", "flags"]) this[name].splice(0, rows);
    if (bins > 500) {
      this.binT.splice(0, bins);
      for (let k = 0; k < this.low.length; k++) { this.low[k].splice(0, bins); this.high[k].splice(0, bins); }
    }
  }

  rowAt(t, hop) {  // the window whose stretch of the ribbon holds t
    const at = first(this.t, t);
    return at < this.t.length && this.t[at] - hop <= t ? at : -1;
  }
}

function append(list, more) { for (const value of more) list.push(value); }

// Place of the first time that is not before t; times may step back where a clock was set, then it is a good guess.
export function first(times, t) {
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] < t) low = middle + 1; else high = middle; }
  return low;
}

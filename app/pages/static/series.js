/** One person's measurements in memory; merging the same facts again, in any order, changes nothing. */

import { isNewer } from "./alerts.js";

/** @typedef {{end: number, count: number, mean: number, min: number, max: number, low: number | null, high: number | null, version: number}} Window */
/** @typedef {"1m" | "1h" | "1d"} Size */

const POINTS_MAX = 20_000;
const WINDOWS_MAX = 4_000;

/** The samples of one metric and device in order of time. */
class Points {
  constructor() {
    /** @type {number[]} */
    this.times = [];
    /** @type {Map<number, [value: number, received: number]>} */
    this.byTime = new Map();
    this.sorted = true;
  }

  /**
   * Take a sample; of two of one instant the one received later counts.
   * @param {number} time
   * @param {number} value
   * @param {number} received
   */
  add(time, value, received) {
    const known = this.byTime.get(time);
    if (known) {
      if (received >= known[1]) this.byTime.set(time, [value, received]);
      return;
    }
    if (this.times.length && time < this.times[this.times.length - 1]) this.sorted = false;
    this.times.push(time);
    this.byTime.set(time, [value, received]);
  }

  /** Put in order, and forget the oldest beyond the bound. */
  settle() {
    if (!this.sorted) this.times.sort((a, b) => a - b);
    this.sorted = true;
    const over = this.times.length - POINTS_MAX;
    if (over > 0) for (const time of this.times.splice(0, over)) this.byTime.delete(time);
  }

  /**
   * Instants and values within a span. Where the device was silent for long a NaN breaks the line.
   * @param {number} from
   * @param {number} to
   * @param {number[]} x receives instants
   * @param {number[]} y receives values
   */
  collect(from, to, x, y) {
    this.settle();
    const { times } = this;
    let i = lowerBound(times, from);
    const gap = this.gap(i);
    if (x.length && i < times.length && times[i] < to) {
      x.push(times[i]);
      y.push(NaN);
    }
    for (let before = -Infinity; i < times.length && times[i] < to; i += 1) {
      const time = times[i];
      if (time - before > gap && before > -Infinity) {
        x.push(before + 1);
        y.push(NaN);
      }
      x.push(time);
      y.push(/** @type {[number, number]} */ (this.byTime.get(time))[0]);
      before = time;
    }
  }

  /**
   * A silence longer than this is a gap: three times the usual pause, at least five seconds.
   * @param {number} first index from which on pauses are looked at
   * @returns {number}
   */
  gap(first) {
    const start = Math.max(first, this.times.length - 200);
    const pauses = [];
    for (let i = start + 1; i < this.times.length; i += 1) pauses.push(this.times[i] - this.times[i - 1]);
    pauses.sort((a, b) => a - b);
    return Math.max(5_000, 3 * (pauses[pauses.length >> 1] ?? 0));
  }
}

/** One metric. */
export class Series {
  constructor() {
    /** @type {Map<string, Points>} */
    this.devices = new Map();
    /** @type {Record<Size, Map<number, Window>>} */
    this.windows = { "1m": new Map(), "1h": new Map(), "1d": new Map() };
    /** The newest sample that is known of. */
    this.latest = { time: 0, value: NaN };
  }

  /**
   * Learn of a sample's instant and value without its device.
   * @param {number} time
   * @param {number} value
   */
  heard(time, value) {
    if (time >= this.latest.time) this.latest = { time, value };
  }

  /** @param {string} device @returns {Points} */
  device(device) {
    let points = this.devices.get(device);
    if (!points) this.devices.set(device, (points = new Points()));
    return points;
  }

  /**
   * Samples of all devices within a span, for a line that breaks at gaps and between devices.
   * @param {number} from
   * @param {number} to
   * @returns {{x: number[], y: number[]}}
   */
  raw(from, to) {
    /** @type {number[]} */
    const x = [];
    /** @type {number[]} */
    const y = [];
    for (const points of this.devices.values()) points.collect(from, to, x, y);
    return { x, y };
  }

  /**
   * Windows that touch a span, in order.
   * @param {Size} size
   * @param {number} from
   * @param {number} to
   * @returns {[start: number, window: Window][]}
   */
  span(size, from, to) {
    return [...this.windows[size]]
      .filter(([start, window]) => window.end > from && start < to)
      .sort((a, b) => a[0] - b[0]);
  }
}

/** Everything that is known of one person. */
export class Store {
  constructor() {
    /** @type {Map<string, Series>} */
    this.metrics = new Map();
    /** @type {Map<string, import("./alerts.js").Alert>} */
    this.alerts = new Map();
  }

  /**
   * @param {any[]} list of {metric, device, received, times, values}
   * @param {boolean} [live] false for stored samples, which never replace live ones
   */
  addSamples(list, live = true) {
    for (const { metric, device, received, times, values } of list) {
      const series = this.metric(metric);
      const points = series.device(device);
      const rank = live ? received : 0;
      for (let i = 0; i < times.length; i += 1) {
        points.add(times[i], values[i], rank);
        series.heard(times[i], values[i]);
      }
    }
  }

  /** @param {any[]} list of window columns by metric and size */
  addWindows(list) {
    for (const columns of list) {
      const windows = this.metric(columns.metric).windows[/** @type {Size} */ (columns.size)];
      for (let i = 0; i < columns.start.length; i += 1) {
        const known = windows.get(columns.start[i]);
        if (known && known.version > columns.version[i]) continue;
        windows.set(columns.start[i], {
          end: columns.end[i],
          count: columns.count[i],
          mean: columns.mean[i],
          min: columns.min[i],
          max: columns.max[i],
          low: columns.low[i],
          high: columns.high[i],
          version: columns.version[i],
        });
      }
      forgetOldest(windows);
    }
  }

  /** @param {import("./alerts.js").Alert} alert @returns {boolean} whether it was news */
  addAlert(alert) {
    const known = this.alerts.get(alert.alert_id);
    if (!isNewer(known, alert)) return false;
    this.alerts.set(alert.alert_id, alert);
    return known?.revision !== alert.revision;
  }

  /** @param {string} name @returns {Series} */
  metric(name) {
    let series = this.metrics.get(name);
    if (!series) this.metrics.set(name, (series = new Series()));
    return series;
  }

  /** Instant of the newest sample; 0 without any. */
  get time() {
    let newest = 0;
    for (const series of this.metrics.values()) newest = Math.max(newest, series.latest.time);
    return newest;
  }
}

/** @param {Map<number, Window>} windows */
function forgetOldest(windows) {
  const over = windows.size - WINDOWS_MAX;
  if (over <= 0) return;
  const starts = [...windows.keys()].sort((a, b) => a - b);
  for (const start of starts.slice(0, over)) windows.delete(start);
}

/**
 * @param {number[]} sorted
 * @param {number} value
 * @returns {number} index of the first entry that is not less
 */
function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

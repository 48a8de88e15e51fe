/** Values, ages and instants as people read them. */

/** @typedef {{label: string, unit: string, description: string, order: number}} MetricInfo */

const metrics = /** @type {Record<string, MetricInfo>} */ (
  JSON.parse(document.getElementById("metrics")?.textContent ?? "{}")
);
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

/** Samples older than this are shown as stale. */
export const STALE_MS = 15 * 60_000;

/**
 * What is known of a metric.
 * @param {string} name
 * @returns {MetricInfo}
 */
export function metric(name) {
  return metrics[name] ?? { label: name.replaceAll("_", " "), unit: "", description: "", order: 1000 };
}

/**
 * A value with as many digits as make sense for its size.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/**
 * A count or rate, short: 1,234 or 12.3k.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

/**
 * A duration, in its largest unit.
 * @param {number} ms
 * @returns {string}
 */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * How long ago.
 * @param {number} ms epoch milliseconds
 * @param {number} [now]
 * @returns {string}
 */
export function age(ms, now = Date.now()) {
  return now - ms < 1500 ? "now" : `${duration(now - ms)} ago`;
}

/**
 * A delay.
 * @param {number | null} ms
 * @returns {string}
 */
export function delay(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {number} ms @returns {string} time of day with seconds, local */
export const timeOfDay = (ms) => clock.format(ms);

/** @param {number} ms @returns {string} time of day, local */
export const hourMinute = (ms) => minute.format(ms);

/** @param {number} ms @returns {string} day and month, local */
export const dayMonth = (ms) => day.format(ms);

/**
 * An instant: the time, and the day unless it is today.
 * @param {number} ms
 * @returns {string}
 */
export function instant(ms) {
  const today = new Date().toDateString() === new Date(ms).toDateString();
  return today ? clock.format(ms) : `${day.format(ms)} ${minute.format(ms)}`;
}

/** @param {string} id @returns {string} the first eight characters of a person's id */
export const short = (id) => id.slice(0, 8);

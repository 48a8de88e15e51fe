/** Time ranges, and ticks at instants that people would choose. */

import { dayMonth, hourMinute } from "./format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE).concat([1, 2, 3, 6, 12].map((n) => n * HOUR), [DAY, 2 * DAY]);

/**
 * @typedef {object} Range
 * @property {string} key for the address
 * @property {string} label on the button
 * @property {string} words in sentences
 * @property {number} ms its length
 * @property {import("./series.js").Size} size of the windows that are drawn
 * @property {boolean} raw whether samples are drawn
 */

/** @type {Range[]} */
export const RANGES = [
  { key: "15m", label: "15 min", words: "last 15 minutes", ms: 15 * MINUTE, size: "1m", raw: true },
  { key: "1h", label: "1 h", words: "last hour", ms: HOUR, size: "1m", raw: true },
  { key: "6h", label: "6 h", words: "last 6 hours", ms: 6 * HOUR, size: "1m", raw: false },
  { key: "24h", label: "24 h", words: "last 24 hours", ms: DAY, size: "1m", raw: false },
  { key: "7d", label: "7 d", words: "last 7 days", ms: 7 * DAY, size: "1h", raw: false },
];

/**
 * The smallest range from now that holds an instant; the first for one in the future.
 * @param {number} time
 * @param {number} now
 * @returns {Range}
 */
export function rangeHolding(time, now) {
  return RANGES.find((range) => now - time < range.ms) ?? RANGES[RANGES.length - 1];
}

/**
 * Ticks of a span in local time.
 * @param {number} from
 * @param {number} to
 * @param {number} most
 * @returns {Map<number, string>} labels by instant
 */
export function ticks(from, to, most) {
  const step = STEPS.find((candidate) => (to - from) / candidate <= most) ?? DAY * Math.ceil((to - from) / DAY / most);
  const ahead = -new Date(to).getTimezoneOffset() * MINUTE;
  /** @type {Map<number, string>} */
  const found = new Map();
  for (let local = Math.ceil((from + ahead) / step) * step; local - ahead <= to; local += step) {
    const time = local - ahead;
    const midnight = hourMinute(time) === "00:00";
    found.set(time, midnight || step >= DAY ? dayMonth(time) : hourMinute(time));
  }
  return found;
}

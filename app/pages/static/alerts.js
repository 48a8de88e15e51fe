/** Alerts: how urgent they are (colour, word and shape), and how they read. */

import { h, svg } from "./dom.js";
import { age, duration, instant, metric, number } from "./format.js";

/** @typedef {Record<string, any>} Alert one revision, as in topic `alerts` */

const WORDS = { critical: "Critical", warning: "Warning", info: "Info" };
const RANKS = { critical: 3, warning: 2, info: 1 };
const SHAPES = {
  critical: "M8 1.5 15.2 14.5H.8Z",
  warning: "M8 .8 15.2 8 8 15.2 .8 8Z",
  info: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Z",
};

/** @param {Alert} alert @returns {number} 3 for critical, 1 for info */
export const rank = (alert) => RANKS[/** @type {keyof typeof RANKS} */ (alert.severity)] ?? 0;

/** @param {Alert} alert @returns {boolean} */
export const isOpen = (alert) => alert.status !== "resolved";

/**
 * Whether a revision may replace one that is known.
 * @param {Alert | undefined} known
 * @param {Alert} alert
 * @returns {boolean}
 */
export const isNewer = (known, alert) => !known || alert.revision >= known.revision;

/**
 * A mark of an alert's urgency: shape, colour and word.
 * @param {string} severity
 * @param {string} [suffix] text after the word
 * @returns {HTMLElement}
 */
export function mark(severity, suffix = "") {
  const key = /** @type {keyof typeof SHAPES} */ (severity);
  return h(
    "span",
    { class: `mark ${severity}` },
    svg("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" }, svg("path", { d: SHAPES[key] ?? SHAPES.info })),
    h("span", {}, (WORDS[key] ?? severity) + suffix),
  );
}

/**
 * What an alert is about, in a few words.
 * @param {Alert} alert
 * @returns {string}
 */
export function headline(alert) {
  const { label, unit } = metric(alert.metric);
  return `${label} ${number(alert.value)} ${unit}`.trim();
}

/**
 * An entry of a list of alerts.
 * @param {Alert} alert
 * @returns {HTMLElement}
 */
export function entry(alert) {
  const { unit } = metric(alert.metric);
  const expected = range(alert.expected_low, alert.expected_high);
  const life = isOpen(alert)
    ? `open since ${instant(alert.opened_ms)}, ${age(alert.opened_ms)}`
    : `${instant(alert.opened_ms)}, resolved after ${duration((alert.resolved_ms ?? alert.changed_ms) - alert.opened_ms)}`;
  return h(
    "li",
    { class: isOpen(alert) ? `alert open ${alert.severity}` : "alert", "data-alert": alert.alert_id },
    h("div", { class: "line" }, mark(alert.severity), h("strong", {}, headline(alert))),
    h("p", { class: "why" }, alert.explanation),
    h("p", { class: "life" }, expected ? `expected ${expected} ${unit} · ${life}` : life),
  );
}

/**
 * @param {number | null} low
 * @param {number | null} high
 * @returns {string} in words; empty when neither end is known
 */
export function range(low, high) {
  const hasLow = low !== null && low !== undefined && Number.isFinite(low);
  const hasHigh = high !== null && high !== undefined && Number.isFinite(high);
  if (hasLow && hasHigh) return `${number(low)}–${number(high)}`;
  if (hasLow) return `at least ${number(low)}`;
  return hasHigh ? `at most ${number(high)}` : "";
}

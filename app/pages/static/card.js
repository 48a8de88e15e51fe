/** One metric's card: value, change, age, chart, a sentence and a table that say the same. */

import { range as expectedRange } from "./alerts.js";
import { Chart } from "./chart.js";
import { h, setText } from "./dom.js";
import { age, hourMinute, instant, metric, number, STALE_MS } from "./format.js";

/** @typedef {import("./ranges.js").Range} Range */
/** @typedef {import("./series.js").Series} Series */

const TABLE_ROWS = 60;
const CHANGE_MS = 5 * 60_000;

export class Card {
  /**
   * @param {string} name of the metric
   * @param {Series} series
   * @param {(time: number | null) => void} onCursor told where the reader points
   */
  constructor(name, series, onCursor) {
    this.name = name;
    this.series = series;
    this.info = metric(name);
    this.onCursor = onCursor;
    /** @type {import("./chart.js").View | undefined} */
    this.view = undefined;
    this.visible = true;
    this.value = h("b", {}, "–");
    this.change = h("span", { class: "change" });
    this.seen = h("span", { class: "seen" });
    this.readout = h("p", { class: "readout", "aria-live": "off" });
    this.summary = h("p", { class: "summary", id: `summary-${name}` });
    this.plot = h("div", { class: "plot", tabindex: 0, role: "img", "aria-describedby": `summary-${name}`, "aria-label": `Chart of ${this.info.label}; arrow keys move the time cursor` });
    this.body = h("tbody");
    this.table = /** @type {HTMLDetailsElement} */ (
      h(
        "details",
        {},
        h("summary", {}, "Table"),
        h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Values of ${this.info.label}` }, h("table", {}, head(this.info), this.body)),
      )
    );
    this.element = h(
      "article",
      { class: "card", "data-metric": name },
      h("header", {}, h("h2", { title: this.info.description }, this.info.label), h("p", { class: "value" }, this.value, h("small", {}, this.info.unit), this.change), this.seen),
      this.plot,
      this.readout,
      this.summary,
      this.table,
    );
    this.chart = new Chart(this.plot);
    this.listen();
  }

  /** Draw the chart for the first time; the card must be in the page. */
  async show() {
    await this.chart.show();
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible && this.view) this.chart.update(this.view);
    }).observe(this.plot);
  }

  /**
   * @param {Range} range
   * @param {number} from
   * @param {number} to
   * @param {import("./alerts.js").Alert[]} alerts of this metric
   */
  update(range, from, to, alerts) {
    const windows = this.series.span(range.size, from, to);
    const raw = range.raw ? this.series.raw(from, to) : { x: [], y: [] };
    this.view = { from, to, raw, windows, spread: !raw.x.length, alerts };
    const empty = !windows.length && !raw.x.length;
    this.plot.hidden = empty;
    this.element.classList.toggle("empty-range", empty);
    if (this.visible && !empty) this.chart.update(this.view);
    this.tell(range, alerts);
    if (this.table.open) this.fillTable();
  }

  /** Let the age grow. @param {number} now */
  tick(now) {
    const { time, value } = this.series.latest;
    setText(this.value, number(value));
    setText(this.seen, time ? age(time, now) : "");
    this.element.classList.toggle("stale", now - time > STALE_MS);
    setText(this.change, this.describeChange(time, value));
  }

  /** @param {number | null} time where all charts' cursor stands */
  point(time) {
    this.chart.setCursor(time);
    setText(this.readout, time === null || !this.view ? "" : this.describe(time));
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.onCursor(this.chart.timeAt(event.clientX)));
    this.plot.addEventListener("pointerleave", () => this.onCursor(null));
    this.plot.addEventListener("blur", () => this.onCursor(null));
    this.plot.addEventListener("keydown", (event) => this.step(event));
    this.table.addEventListener("toggle", () => this.fillTable());
  }

  /** @param {KeyboardEvent} event */
  step(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction || !this.view) return;
    event.preventDefault();
    const { from, to } = this.view;
    const at = this.chart.cursor.location ?? to;
    this.onCursor(Math.min(to, Math.max(from, at + (direction * (to - from)) / 60)));
  }

  /** @param {number} time @returns {string} what is known of an instant */
  describe(time) {
    const view = /** @type {import("./chart.js").View} */ (this.view);
    const { unit } = this.info;
    const parts = [instant(time)];
    const nearest = closest(view.raw, time, (view.to - view.from) / 60);
    if (nearest !== undefined) parts.push(`${number(nearest)} ${unit}`);
    const window = view.windows.find(([start, w]) => start <= time && time < w.end)?.[1];
    if (window) {
      parts.push(`mean ${number(window.mean)}`, `${number(window.min)}–${number(window.max)}`);
      const expected = expectedRange(window.low, window.high);
      if (expected) parts.push(`expected ${expected}`);
    }
    return parts.length > 1 ? parts.join(" · ") : `${parts[0]} · no values`;
  }

  /**
   * @param {number} time
   * @param {number} value
   * @returns {string} the change against five minutes before the newest sample
   */
  describeChange(time, value) {
    const before = this.series.windows["1m"].get(Math.floor((time - CHANGE_MS) / 60_000) * 60_000);
    if (!before || !Number.isFinite(value)) return "";
    const change = value - before.mean;
    return `${change < 0 ? "−" : "+"}${number(Math.abs(change))} in 5 min`;
  }

  /**
   * @param {Range} range
   * @param {import("./alerts.js").Alert[]} alerts
   */
  tell(range, alerts) {
    const { windows, from } = /** @type {import("./chart.js").View} */ (this.view);
    const { unit } = this.info;
    if (!windows.length) {
      const { time, value } = this.series.latest;
      const last = time ? ` The last one, ${instant(time)}: ${number(value)} ${unit}.` : "";
      setText(this.summary, `No values in the ${range.words}.${last}`);
      return;
    }
    let [count, sum, low, high] = [0, 0, Infinity, -Infinity];
    for (const [, w] of windows) {
      count += w.count;
      sum += w.mean * w.count;
      low = Math.min(low, w.min);
      high = Math.max(high, w.max);
    }
    const newest = windows[windows.length - 1][1];
    const expected = expectedRange(newest.low, newest.high);
    const recent = alerts.filter((alert) => alert.changed_ms >= from).length;
    const text = [
      `${capital(range.words)}: ${number(low)}–${number(high)} ${unit}, mean ${number(sum / count)}`,
      expected ? `expected now ${expected}` : "",
      recent ? `${recent} ${recent === 1 ? "alert" : "alerts"}` : "",
    ];
    setText(this.summary, `${text.filter(Boolean).join("; ")}.`);
  }

  fillTable() {
    if (!this.view) return;
    const rows = this.view.windows.slice(-TABLE_ROWS).reverse();
    this.body.replaceChildren(
      ...rows.map(([start, w]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, w.end - start > 60_000 ? instant(start) : hourMinute(start)),
          ...[w.mean, w.min, w.max].map((value) => h("td", {}, number(value))),
          h("td", {}, expectedRange(w.low, w.high) || "–"),
          h("td", {}, String(w.count)),
        ),
      ),
    );
  }
}

/** @param {import("./format.js").MetricInfo} info @returns {HTMLElement} */
function head({ unit }) {
  const names = ["From", `Mean${unit ? `, ${unit}` : ""}`, "Least", "Greatest", "Expected", "Samples"];
  return h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name))));
}

/**
 * @param {{x: number[], y: number[]}} raw
 * @param {number} time
 * @param {number} within
 * @returns {number | undefined} the value nearest in time
 */
function closest(raw, time, within) {
  let best;
  let distance = within;
  for (let i = 0; i < raw.x.length; i += 1) {
    const away = Math.abs(raw.x[i] - time);
    if (away < distance && !Number.isNaN(raw.y[i])) [best, distance] = [raw.y[i], away];
  }
  return best;
}

/** @param {string} text @returns {string} */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

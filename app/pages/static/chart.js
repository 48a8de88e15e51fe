/** One chart: samples, window means, the expected band and alerts, drawn by BokehJS. */

import { ticks } from "./ranges.js";

/**
 * What a chart shows.
 * @typedef {object} View
 * @property {number} from
 * @property {number} to
 * @property {{x: number[], y: number[]}} raw
 * @property {[number, import("./series.js").Window][]} windows
 * @property {boolean} spread whether each window's least and greatest values are shown
 * @property {import("./alerts.js").Alert[]} alerts
 */

const HEIGHT = 190;
const TICK_PX = 92;
const MARKERS = /** @type {Record<string, string>} */ ({ critical: "triangle", warning: "diamond", info: "circle" });

/** @returns {any} BokehJS, which the page has loaded */
const bokeh = () => /** @type {any} */ (globalThis).Bokeh;

export class Chart {
  /** @param {HTMLElement} place where it is drawn */
  constructor(place) {
    this.place = place;
    /** @type {any} */
    this.view = undefined;
    const B = bokeh();
    this.x = new B.Range1d({ start: 0, end: 1 });
    this.y = new B.Range1d({ start: 0, end: 1 });
    this.raw = new B.ColumnDataSource({ data: { x: [], y: [] } });
    this.windows = new B.ColumnDataSource({ data: { left: [], right: [], mean: [], min: [], max: [] } });
    this.band = new B.ColumnDataSource({ data: { left: [], right: [], low: [], high: [] } });
    this.alerts = new B.ColumnDataSource({ data: { x: [], y: [], marker: [], color: [], size: [] } });
    this.figure = B.Plotting.figure({
      height: HEIGHT,
      sizing_mode: "stretch_width",
      x_range: this.x,
      y_range: this.y,
      tools: [],
      toolbar_location: null,
      output_backend: "canvas",
      min_border_left: 44,
      min_border_right: 10,
      min_border_top: 6,
      min_border_bottom: 24,
    });
    this.cursor = new B.Span({ location: null, dimension: "height", line_width: 1, line_dash: [3, 3] });
    this.figure.add_layout(this.cursor);
    [this.timeAxis, this.valueAxis] = [this.figure.below[0], this.figure.left[0]];
    this.glyphs = this.addGlyphs();
    this.paint();
  }

  /** Draw for the first time; the place must be in the page. */
  async show() {
    const view = await bokeh().Plotting.show(this.figure, this.place);
    this.view = Array.isArray(view) ? view[0] : view;
  }

  addGlyphs() {
    const field = (/** @type {string} */ name) => ({ field: name });
    const { figure } = this;
    const edge = { left: field("left"), right: field("right") };
    return {
      band: figure.quad({ ...edge, bottom: field("low"), top: field("high"), source: this.band, line_color: null, fill_alpha: 0.12 }),
      spread: figure.quad({ ...edge, bottom: field("min"), top: field("max"), source: this.windows, line_color: null, fill_alpha: 0.3 }),
      line: figure.line({ x: field("x"), y: field("y"), source: this.raw, line_width: 1.3, line_alpha: 0.75, line_join: "round" }),
      dots: figure.scatter({ x: field("x"), y: field("y"), source: this.raw, size: 3, line_color: null, fill_alpha: 0.9 }),
      mean: figure.segment({ x0: field("left"), x1: field("right"), y0: field("mean"), y1: field("mean"), source: this.windows, line_width: 2 }),
      alerts: figure.scatter({
        x: field("x"),
        y: field("y"),
        marker: field("marker"),
        size: field("size"),
        source: this.alerts,
        fill_color: field("color"),
        line_width: 1.5,
      }),
    };
  }

  /** Take the colours of the page's scheme. */
  paint() {
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const { band, spread, line, dots, mean, alerts } = this.glyphs;
    band.glyph.fill_color = color("--chart-band");
    spread.glyph.fill_color = color("--chart-raw");
    line.glyph.line_color = color("--chart-raw");
    dots.glyph.fill_color = color("--chart-raw");
    mean.glyph.line_color = color("--chart-mean");
    alerts.glyph.line_color = color("--surface");
    this.cursor.line_color = color("--soft");
    this.figure.background_fill_color = null;
    this.figure.border_fill_color = null;
    this.figure.outline_line_color = null;
    const font = style.fontFamily;
    for (const axis of [this.timeAxis, this.valueAxis]) {
      axis.axis_line_color = null;
      axis.major_tick_line_color = null;
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = color("--soft");
      axis.major_label_text_font = font;
      axis.major_label_text_font_size = "11.5px";
    }
    this.valueAxis.ticker.desired_num_ticks = 4;
    this.figure.xgrid.grid_line_color = null;
    this.figure.ygrid.grid_line_color = color("--line");
    this.severityColors = { critical: color("--critical"), warning: color("--warning-shape"), info: color("--info") };
  }

  /**
   * Show something else: each source is replaced once.
   * @param {View} view
   */
  update(view) {
    const { windows } = view;
    const banded = windows.filter(([, w]) => w.low !== null && w.high !== null);
    this.raw.data = view.raw;
    this.windows.data = {
      left: windows.map(([start]) => start),
      right: windows.map(([, w]) => w.end),
      mean: windows.map(([, w]) => w.mean),
      min: windows.map(([, w]) => (view.spread ? w.min : w.mean)),
      max: windows.map(([, w]) => (view.spread ? w.max : w.mean)),
    };
    this.band.data = {
      left: banded.map(([start]) => start),
      right: banded.map(([, w]) => w.end),
      low: banded.map(([, w]) => w.low),
      high: banded.map(([, w]) => w.high),
    };
    const points = view.raw.x.length;
    this.glyphs.dots.glyph.size = points < 150 ? 5 : points < 600 ? 3 : 2;
    this.showAlerts(view);
    this.scale(view, banded);
    // A little room on the right, so that what has just happened is not cut in half.
    this.x.setv({ start: view.from, end: view.to + 0.012 * (view.to - view.from) });
    const labels = ticks(view.from, view.to, Math.max(2, Math.floor((this.place.clientWidth - 60) / TICK_PX)));
    this.timeAxis.ticker = new (bokeh().FixedTicker)({ ticks: [...labels.keys()] });
    this.timeAxis.major_label_overrides = labels;
  }

  /** @param {number | null} time */
  setCursor(time) {
    this.cursor.location = time;
  }

  /**
   * The instant at a place in the window; null outside of the plot's frame.
   * @param {number} clientX
   * @returns {number | null}
   */
  timeAt(clientX) {
    const frame = this.view?.frame?.bbox;
    if (!frame) return null;
    const share = (clientX - this.place.getBoundingClientRect().left - frame.left) / frame.width;
    return share < 0 || share > 1 ? null : this.x.start + share * (this.x.end - this.x.start);
  }

  /** @param {View} view */
  showAlerts({ alerts, from, to }) {
    const shown = alerts.filter((alert) => alert.changed_ms >= from && alert.changed_ms < to);
    const colors = /** @type {Record<string, string>} */ (this.severityColors);
    this.alerts.data = {
      x: shown.map((alert) => alert.changed_ms),
      y: shown.map((alert) => alert.value),
      marker: shown.map((alert) => MARKERS[alert.severity] ?? "circle"),
      color: shown.map((alert) => colors[alert.severity] ?? colors.info),
      size: shown.map((alert) => (alert.severity === "info" ? 10 : 13)),
    };
  }

  /**
   * Make values fit, without moving the scale for every sample.
   * @param {View} view
   * @param {[number, import("./series.js").Window][]} banded
   */
  scale(view, banded) {
    let low = Infinity;
    let high = -Infinity;
    const see = (/** @type {number | null} */ value) => {
      if (value === null || !Number.isFinite(value)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    };
    view.raw.y.forEach(see);
    for (const [, w] of view.windows) {
      see(view.spread ? w.min : w.mean);
      see(view.spread ? w.max : w.mean);
    }
    for (const [, w] of banded) {
      see(w.low);
      see(w.high);
    }
    for (const value of this.alerts.data.y) see(value);
    if (low > high) return;
    const span = Math.max(high - low, Math.abs(high) * 0.04, 0.5);
    const middle = (low + high) / 2;
    const [start, end] = [middle - 0.58 * span, middle + 0.58 * span];
    const fits = this.y.start <= low && this.y.end >= high && this.y.end - this.y.start < 1.6 * (end - start);
    if (!fits) this.y.setv({ start, end });
  }
}

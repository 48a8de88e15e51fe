/** Sparklines: one-minute means of the last half hour, with honest gaps. */

import { svg } from "./dom.js";

const WIDTH = 84;
const HEIGHT = 26;
const PAD = 3;
const MINUTES = 30;

/** An empty sparkline. @returns {SVGElement} */
export function spark() {
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" }, svg("path"), svg("circle", { r: 2 }));
}

/**
 * Draw minute means into a sparkline.
 * @param {Element} place made by {@link spark}
 * @param {(number | null)[]} minutes
 */
export function draw(place, minutes) {
  const known = minutes.filter((value) => value !== null);
  const [path, dot] = /** @type {[Element, Element]} */ (/** @type {unknown} */ ([...place.children]));
  if (!known.length) {
    path.setAttribute("d", "");
    dot.setAttribute("visibility", "hidden");
    return;
  }
  const low = Math.min(...known);
  const high = Math.max(...known);
  // A flat line is drawn as one: noise of a few per cent must not look like a storm.
  const span = Math.max(high - low, Math.abs(high) * 0.04, 1e-9);
  const middle = (low + high) / 2;
  const from = MINUTES - minutes.length;
  const at = (/** @type {number} */ i, /** @type {number} */ value) => [
    PAD + ((from + i) * (WIDTH - 2 * PAD)) / (MINUTES - 1),
    HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 2 * PAD),
  ];
  const reach = 2 * usualStep(minutes);
  let line = "";
  let before = -Infinity;
  let last = [0, 0];
  minutes.forEach((value, i) => {
    if (value === null) return;
    last = at(i, value);
    const pen = i - before <= reach;
    line += `${pen ? "L" : "M"}${last[0].toFixed(1)} ${last[1].toFixed(1)}`;
    if (!pen) line += "h.01"; // a lone minute is a dot
    before = i;
  });
  path.setAttribute("d", line);
  dot.setAttribute("visibility", "visible");
  dot.setAttribute("cx", last[0].toFixed(1));
  dot.setAttribute("cy", last[1].toFixed(1));
}

/**
 * How many minutes usually lie between two values; more than twice that is a gap.
 * @param {(number | null)[]} minutes
 * @returns {number}
 */
function usualStep(minutes) {
  const places = minutes.flatMap((value, i) => (value === null ? [] : [i]));
  const steps = places.slice(1).map((place, i) => place - places[i]);
  steps.sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 1;
}

/**
 * Where the last minutes go, compared with those before: a sign and a word, or nothing.
 * @param {(number | null)[]} minutes
 * @returns {{sign: string, word: string}}
 */
export function trend(minutes) {
  const known = /** @type {number[]} */ (minutes.filter((value) => value !== null));
  if (known.length < 6) return { sign: "", word: "" };
  const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / values.length;
  const recent = mean(known.slice(-3));
  const before = mean(known.slice(-13, -3));
  const change = (recent - before) / Math.max(Math.abs(before), 1e-9);
  if (Math.abs(change) < 0.03) return { sign: "→", word: "steady" };
  const steep = Math.abs(change) > 0.1;
  if (change > 0) return { sign: steep ? "↑" : "↗", word: steep ? "rising fast" : "rising" };
  return { sign: steep ? "↓" : "↘", word: steep ? "falling fast" : "falling" };
}

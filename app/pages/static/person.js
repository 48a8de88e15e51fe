/** A person's page: a chart for each metric, alerts, one time cursor over all. */

import { entry, headline, isOpen, rank } from "./alerts.js";
import { Card } from "./card.js";
import { byId, h, setText } from "./dom.js";
import { metric } from "./format.js";
import { announce, openPage, showNotices } from "./page.js";
import { rangeHolding, RANGES } from "./ranges.js";
import { Store } from "./series.js";

const FRAME_MS = 250;
const STORED_AFTER_MS = 3_000;
const ALERTS_SHOWN = 50;

const user = /** @type {string} */ (byId("columns").dataset.user);
const store = new Store();
/** @type {Map<string, Card>} */
const cards = new Map();
const client = openPage();
const now = () => Date.now() + client.clockAhead;

let range = RANGES.find(({ key }) => `#${key}` === location.hash) ?? RANGES[0];
let chosen = location.hash !== "";
let pausedAt = 0;
let drawnAt = 0;
let drawnTo = 0;
let waiting = false;
let known = false;
let asked = 0;
/** @type {string[]} */
let liveNotices = [];
let historyNotice = "";

client.subscribe(`person:${user}`, {
  snap(state) {
    take(state);
    for (const alert of state.alerts) store.addAlert(alert);
    liveNotices = state.notices;
    notices();
    begin();
  },
  data(rows) {
    take(rows);
    // What was too much for a live message is read once it is stored.
    if (rows.cut) window.setTimeout(loadHistory, STORED_AFTER_MS);
    redraw();
  },
  alarm(alert) {
    const news = store.addAlert(alert);
    if (news && alert.status === "opened" && rank(alert) === 3) announce(`Critical: ${headline(alert)}. ${alert.explanation}`);
    redraw();
  },
  error(_, message) {
    known = true;
    empty(message);
  },
});

for (const choice of RANGES) {
  const button = h("button", { type: "button", "data-range": choice.key }, choice.label);
  button.addEventListener("click", () => choose(choice, true));
  byId("ranges").append(button);
}
mark();
setText(byId("zone"), `Times in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`);
byId("pause").addEventListener("click", () => {
  pausedAt = pausedAt ? 0 : now();
  byId("pause").setAttribute("aria-pressed", String(pausedAt > 0));
  setText(byId("pause"), pausedAt ? "Resume" : "Pause");
  redraw();
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const card of cards.values()) card.chart.paint();
  redraw();
});
window.addEventListener("resize", () => redraw());
window.setInterval(() => {
  for (const card of cards.values()) card.tick(now());
  // Time goes on without news, too; a step that is less than a pixel is none.
  if (now() - drawnTo > range.ms / 1000) redraw();
}, 1000);

/** Learn which metrics there are, however old, and read the history of the range. */
async function begin() {
  const response = await fetch(`/v1/people?search=${encodeURIComponent(user)}`);
  if (response.ok) {
    const found = (await response.json()).people.find((/** @type {any} */ person) => person.user === user);
    for (const [name, latest] of Object.entries(found?.metrics ?? {})) {
      if (latest.t) store.metric(name).heard(latest.t, latest.v);
    }
  }
  if (!chosen && store.time) choose(rangeHolding(store.time, now()), false);
  else await loadHistory();
  known = true;
  redraw();
}

/**
 * @param {import("./ranges.js").Range} choice
 * @param {boolean} byHand whether it goes into the address
 */
function choose(choice, byHand) {
  chosen ||= byHand;
  range = choice;
  if (byHand) history.replaceState(null, "", `#${choice.key}`);
  mark();
  redraw();
  return loadHistory();
}

function mark() {
  for (const button of byId("ranges").children) {
    const own = /** @type {HTMLElement} */ (button).dataset.range === range.key;
    button.setAttribute("aria-pressed", String(own));
  }
}

/** @param {any} rows */
function take(rows) {
  store.addSamples(rows.samples ?? []);
  store.addWindows(rows.windows ?? []);
}

/** Read what is stored of the range; only the last question's answer counts. */
async function loadHistory() {
  const mine = (asked += 1);
  const to = Math.ceil(now()) + 5 * 60_000;
  const query = new URLSearchParams({
    from: String(Math.floor(now() - range.ms)),
    to: String(to),
    size: range.size,
    samples: range.raw ? "1" : "0",
  });
  const response = await fetch(`/v1/people/${encodeURIComponent(user)}/series?${query}`).catch(() => undefined);
  if (mine !== asked) return;
  historyNotice = response?.ok ? "" : "Stored history cannot be read now.";
  notices();
  if (!response?.ok) return;
  const found = await response.json();
  store.addSamples(found.samples, false);
  store.addWindows(found.windows);
  for (const alert of found.alerts) store.addAlert(alert);
  redraw();
}

function notices() {
  showNotices(liveNotices.length ? liveNotices : historyNotice ? [historyNotice] : []);
}

/** Draw soon: once a frame, and four times a second at most. */
function redraw() {
  if (waiting) return;
  waiting = true;
  const wait = Math.max(0, drawnAt + FRAME_MS - Date.now());
  window.setTimeout(() => requestAnimationFrame(frame), wait);
}

function frame() {
  waiting = false;
  drawnAt = Date.now();
  const to = pausedAt || now();
  const from = to - range.ms;
  drawnTo = to;
  addCards();
  const alerts = [...store.alerts.values()];
  for (const [name, card] of cards) {
    card.update(range, from, to, alerts.filter((alert) => alert.metric === name));
    card.tick(now());
  }
  showAlerts(alerts, from);
  if (known) empty(cards.size ? "" : "Nothing has been uploaded for this person yet.");
}

function addCards() {
  const names = [...store.metrics.keys()].filter((name) => !cards.has(name));
  if (!names.length) return;
  for (const name of names) {
    const card = new Card(name, store.metric(name), point);
    cards.set(name, card);
    const [after] = [...cards]
      .filter(([other, shown]) => metric(other).order > metric(name).order && shown.element.isConnected)
      .sort(([a], [b]) => metric(a).order - metric(b).order);
    byId("charts").insertBefore(card.element, after?.[1].element ?? null);
    card.show();
  }
}

/** One cursor over all charts. @param {number | null} time */
function point(time) {
  for (const card of cards.values()) card.point(time);
}

/**
 * @param {import("./alerts.js").Alert[]} alerts
 * @param {number} from
 */
function showAlerts(alerts, from) {
  const shown = alerts
    .filter((alert) => isOpen(alert) || alert.changed_ms >= from)
    .sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || (isOpen(a) ? rank(b) - rank(a) : 0) || b.changed_ms - a.changed_ms)
    .slice(0, ALERTS_SHOWN);
  byId("no-alerts").hidden = shown.length > 0;
  const list = byId("alerts");
  const state = shown.map((alert) => `${alert.alert_id}/${alert.revision}`).join();
  const minute = Math.floor(Date.now() / 60_000);
  if (list.dataset.shown === `${state}@${minute}`) return;
  list.dataset.shown = `${state}@${minute}`;
  list.replaceChildren(...shown.map(entry));
}

/** @param {string} text what to say instead of charts; empty for nothing */
function empty(text) {
  byId("empty").hidden = text === "";
  setText(byId("empty"), text);
}

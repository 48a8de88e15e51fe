/** The overview: everybody, the worst first, alive. */

import { headline, isOpen, rank } from "./alerts.js";
import { byId, setText } from "./dom.js";
import { short } from "./format.js";
import { announce, openPage, showNotices } from "./page.js";
import { People } from "./people.js";
import { Row } from "./row.js";

const FRAME_MS = 250;
const SORT_MS = 2_000;
const STEP = 100;

const people = new People();
/** @type {Map<string, Row>} */
const rows = new Map();
/** @type {Set<string>} */
const changed = new Set();
const list = byId("people");
const field = /** @type {HTMLInputElement} */ (byId("search"));
const more = byId("more");

let limit = STEP;
let sortedAt = 0;
let drawnAt = 0;
let waiting = false;
let known = false;

const client = openPage();
const now = () => Date.now() + client.clockAhead;

client.subscribe("overview:all", {
  snap(state) {
    people.replace(state);
    rows.clear();
    known = true;
    sortedAt = 0;
    redraw();
  },
  data(state) {
    for (const id of people.merge(state.people ?? [])) changed.add(id);
    redraw();
  },
});
client.subscribe("alerts", {
  snap(state) {
    showNotices(state.notices);
  },
  alarm(alert) {
    if (!people.alarm(alert)) return;
    changed.add(alert.user_id);
    if (isOpen(alert) && alert.status === "opened" && rank(alert) === 3) {
      announce(`Critical: ${headline(alert)}, person ${short(alert.user_id)}.`);
    }
    redraw();
  },
});

field.addEventListener("input", () => {
  limit = STEP;
  sortedAt = 0;
  redraw();
  if (people.total > people.byId.size) searchServer(field.value.trim());
});
more.addEventListener("click", () => {
  limit += STEP;
  sortedAt = 0;
  redraw();
});
document.addEventListener("keydown", (event) => {
  const typing = /** @type {HTMLElement} */ (event.target).matches?.("input");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    field.focus();
  }
});
window.setInterval(() => {
  for (const row of rows.values()) row.tick(now());
  redraw();
}, 1000);

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
  if (!known) return;
  for (const id of changed) rows.get(id)?.update(now());
  const held = list.matches(":hover, :focus-within");
  if (sortedAt === 0 || (!held && drawnAt - sortedAt > SORT_MS)) sort();
  changed.clear();
  list.removeAttribute("aria-busy");
}

/** Put the rows in order; while somebody points at the list or is in it, it stays as it is. */
function sort() {
  sortedAt = Date.now();
  const search = field.value.trim().toLowerCase();
  const found = people.sorted(search, now());
  const shown = found.slice(0, limit);
  shown.forEach((person, i) => {
    let row = rows.get(person.id);
    if (!row) {
      row = new Row(person);
      rows.set(person.id, row);
      row.update(now());
    }
    if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
  });
  while (list.children.length > shown.length) list.lastElementChild?.remove();
  const ids = new Set(shown.map((person) => person.id));
  for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
  more.hidden = found.length <= limit;
  setText(byId("count"), search ? `${found.length} of ${people.total}` : String(people.total));
  const empty = byId("empty");
  empty.hidden = shown.length > 0;
  setText(empty, search ? "Nobody's id holds that." : "Nobody yet. People appear here with their first upload.");
}

/** Ask for people beyond those that were sent. @param {string} search */
async function searchServer(search) {
  if (!search) return;
  const response = await fetch(`/v1/people?search=${encodeURIComponent(search)}`);
  if (!response.ok) return;
  people.merge((await response.json()).people);
  sortedAt = 0;
  redraw();
}

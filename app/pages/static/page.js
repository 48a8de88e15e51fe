/** What every signed-in page has: the connection's mark, the strip of figures, signing out. */

import { byId, setText } from "./dom.js";
import { count, delay, duration } from "./format.js";
import { LiveClient } from "./live.js";

/** A connection that is away for so long is an alarm of its own. */
const ALARM_MS = 15_000;

/**
 * Connect, and keep mark and strip up to date.
 * @returns {LiveClient}
 */
export function openPage() {
  const address = new URL("/v1/live", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const client = new LiveClient(address.href);
  const show = () => showConnection(client);
  client.addEventListener("state", show);
  window.setInterval(show, 1000);
  client.subscribe("pipeline", { snap: showFigures, data: showFigures });
  byId("sign-out").addEventListener("click", async () => {
    await fetch("/v1/session", { method: "DELETE" });
    location.assign("/sign-in");
  });
  return client;
}

/**
 * Tell the reader something that stays until it is over; nothing hides it.
 * @param {string[]} notices
 */
export function showNotices(notices) {
  const place = byId("notice");
  place.hidden = notices.length === 0;
  setText(place, notices.join(" "));
}

/**
 * Say an alarm to those who do not see it.
 * @param {string} text
 */
export function announce(text) {
  setText(byId("alarm"), text);
}

/** @param {LiveClient} client */
function showConnection(client) {
  const mark = byId("connection");
  const away = client.lostAt ? Date.now() - client.lostAt : 0;
  let text = "Live";
  if (client.state === "connecting") text = "Connecting…";
  if (client.state === "reconnecting") text = `Reconnecting, ${duration(away)}`;
  if (client.state === "refused") location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  mark.dataset.state = away > ALARM_MS ? "lost" : client.state;
  setText(/** @type {Element} */ (mark.querySelector(".text")), text);
  document.body.classList.toggle("not-live", client.state !== "live");
  if (away > ALARM_MS && !mark.dataset.told) {
    mark.dataset.told = "yes";
    announce("The connection is lost; values are not up to date.");
  } else if (!away) delete mark.dataset.told;
}

/** @param {any} figures */
function showFigures(figures) {
  const texts = {
    uploads_per_s: count(figures.uploads_per_s),
    samples_per_s: count(figures.samples_per_s),
    delay:
      figures.delay_ms_p50 === null
        ? "–"
        : `${delay(figures.delay_ms_p50)} · ${delay(figures.delay_ms_p99)}`,
    lag_records: count(figures.lag_records),
    alerts_open: count(figures.alerts_open),
    dead_letters: count(figures.dead_letters),
  };
  for (const [name, text] of Object.entries(texts)) {
    const place = document.querySelector(`[data-figure="${name}"]`);
    if (place) setText(place, text);
  }
  byId("strip").classList.toggle("away", !figures.feed_connected);
}

/** One person's row of the overview; made once, then changed in place. */

import { headline, mark } from "./alerts.js";
import { h, setText } from "./dom.js";
import { age, duration, metric, number, short, STALE_MS } from "./format.js";
import { draw, spark, trend } from "./spark.js";

const SHOWN = 4;

/** @typedef {{value: HTMLElement, trend: HTMLElement, age: HTMLElement, spark: Element, place: HTMLElement}} Cell */

export class Row {
  /** @param {import("./people.js").Person} person */
  constructor(person) {
    this.person = person;
    this.seen = h("span", { class: "seen" });
    this.status = h("div", { class: "status" });
    this.cells = h("div", { class: "cells" });
    /** @type {Map<string, Cell>} */
    this.byMetric = new Map();
    this.alertsShown = "";
    this.element = h(
      "li",
      { class: "person", "data-user": person.id },
      h(
        "a",
        { href: `/people/${encodeURIComponent(person.id)}`, title: person.id },
        h("div", { class: "name" }, h("b", {}, short(person.id)), this.seen),
        this.cells,
        this.status,
      ),
    );
  }

  /** Show the person as known now. @param {number} now */
  update(now) {
    const names = [...this.person.metrics.keys()]
      .sort((a, b) => metric(a).order - metric(b).order)
      .slice(0, SHOWN);
    for (const [name, cell] of this.byMetric) {
      if (names.includes(name)) continue;
      cell.place.remove();
      this.byMetric.delete(name);
    }
    names.forEach((name, i) => {
      const cell = this.byMetric.get(name) ?? this.add(name);
      if (this.cells.children[i] !== cell.place) this.cells.insertBefore(cell.place, this.cells.children[i] ?? null);
      this.show(cell, /** @type {any} */ (this.person.metrics.get(name)));
    });
    this.showAlerts();
    this.tick(now);
  }

  /** Let ages grow. @param {number} now */
  tick(now) {
    const { time } = this.person;
    const stale = this.person.isStale(now);
    this.element.classList.toggle("stale", stale);
    setText(this.seen, time ? (stale ? `stale, ${age(time, now)}` : age(time, now)) : "no values yet");
    for (const [name, cell] of this.byMetric) {
      const latest = this.person.metrics.get(name);
      const old = latest && latest.t ? now - latest.t : 0;
      cell.place.classList.toggle("old", old > STALE_MS);
      setText(cell.age, old > 60_000 ? duration(old) : "");
    }
  }

  /** @param {string} name @returns {Cell} */
  add(name) {
    const { label, unit } = metric(name);
    const cell = { value: h("b", {}, "–"), trend: h("i"), age: h("span", { class: "age" }), spark: spark(), place: h("div") };
    cell.place = h(
      "div",
      { class: "cell", "data-metric": name },
      h("span", { class: "label" }, label),
      h("span", { class: "value" }, cell.value, h("small", {}, unit), cell.trend, cell.age),
      cell.spark,
    );
    this.byMetric.set(name, cell);
    return cell;
  }

  /**
   * @param {Cell} cell
   * @param {import("./people.js").Latest} latest
   */
  show(cell, latest) {
    setText(cell.value, latest.t ? number(latest.v) : "–");
    const minutes = latest.m ?? [];
    const { sign, word } = trend(minutes);
    setText(cell.trend, sign);
    cell.trend.setAttribute("aria-label", word);
    cell.trend.setAttribute("title", word);
    draw(cell.spark, minutes);
  }

  showAlerts() {
    const open = this.person.open;
    const shown = open.map((alert) => `${alert.alert_id}/${alert.revision}`).join();
    if (shown === this.alertsShown) return;
    this.alertsShown = shown;
    this.status.replaceChildren();
    const worst = open[0];
    this.element.dataset.severity = worst?.severity ?? "";
    if (!worst) return;
    const more = open.length > 1 ? ` +${open.length - 1}` : "";
    this.status.append(mark(worst.severity, more), h("span", { class: "about", title: worst.explanation }, headline(worst)));
  }
}

/** What the overview knows of people: latest values, recent minutes, open alerts. */

import { isNewer, isOpen, rank } from "./alerts.js";
import { STALE_MS } from "./format.js";

/**
 * @typedef {object} Latest
 * @property {number} t instant of the newest sample, epoch milliseconds; 0 without one
 * @property {number} v its value
 * @property {number} [s] start of the first of the minutes
 * @property {(number | null)[]} [m] means by minute
 */

export class Person {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    /** @type {Map<string, Latest>} */
    this.metrics = new Map();
    /** @type {Map<string, import("./alerts.js").Alert>} */
    this.alerts = new Map();
  }

  /** Instant of the newest sample. */
  get time() {
    let newest = 0;
    for (const latest of this.metrics.values()) newest = Math.max(newest, latest.t);
    return newest;
  }

  /** @param {number} now */
  isStale(now) {
    return now - this.time > STALE_MS;
  }

  /** The open alerts, the most urgent and newest first. */
  get open() {
    return [...this.alerts.values()].sort((a, b) => rank(b) - rank(a) || b.opened_ms - a.opened_ms);
  }

  /**
   * Sorts the worst first: by the worst open alert, then fresh before stale, then by id.
   * @param {number} now
   * @returns {[number, number, string]}
   */
  order(now) {
    let worst = 0;
    for (const alert of this.alerts.values()) worst = Math.max(worst, rank(alert));
    return [-worst, this.isStale(now) ? 1 : 0, this.id];
  }
}

export class People {
  constructor() {
    /** @type {Map<string, Person>} */
    this.byId = new Map();
    this.total = 0;
  }

  /** @param {{people: any[], total: number}} state of a snapshot */
  replace(state) {
    this.byId.clear();
    this.merge(state.people);
    this.total = state.total;
  }

  /**
   * Take what changed of some people.
   * @param {any[]} rows
   * @returns {string[]} their ids
   */
  merge(rows) {
    return rows.map((row) => {
      const person = this.person(row.user);
      for (const [name, latest] of Object.entries(row.metrics)) person.metrics.set(name, latest);
      if (row.alerts) {
        person.alerts = new Map(row.alerts.map((/** @type {any} */ alert) => [alert.alert_id, alert]));
      }
      return row.user;
    });
  }

  /**
   * Take a revision of an alert; whether it changed anything.
   * @param {import("./alerts.js").Alert} alert
   * @returns {boolean}
   */
  alarm(alert) {
    const { alerts } = this.person(alert.user_id);
    if (!isNewer(alerts.get(alert.alert_id), alert)) return false;
    if (isOpen(alert)) alerts.set(alert.alert_id, alert);
    else alerts.delete(alert.alert_id);
    return true;
  }

  /**
   * People whose id holds a text, the worst first.
   * @param {string} search
   * @param {number} now
   * @returns {Person[]}
   */
  sorted(search, now) {
    return [...this.byId.values()]
      .filter((person) => person.id.toLowerCase().includes(search))
      .map((person) => ({ person, order: person.order(now) }))
      .sort((a, b) => compare(a.order, b.order))
      .map(({ person }) => person);
  }

  /** @param {string} id @returns {Person} */
  person(id) {
    let person = this.byId.get(id);
    if (!person) {
      person = new Person(id);
      this.byId.set(id, person);
      this.total = Math.max(this.total, this.byId.size);
    }
    return person;
  }
}

/**
 * @param {[number, number, string]} a
 * @param {[number, number, string]} b
 * @returns {number}
 */
function compare(a, b) {
  return a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1);
}

/**
 * The live protocol `vitalstream.v1`: one WebSocket, subscriptions that survive it.
 *
 * Every message of a subscription says which position it follows. One that does not follow ours
 * means that something was missed: we subscribe again from our position. After a lost connection
 * the same: what was missed is sent again, or a snapshot when it is too long ago.
 */

/**
 * @typedef {object} Handlers
 * @property {(state: any) => void} snap a new beginning
 * @property {(rows: any) => void} [data] new rows
 * @property {(alarm: any) => void} [alarm] a new alarm
 * @property {(code: string, message: string) => void} [error] the channel is refused
 */

/** @typedef {"connecting" | "live" | "reconnecting" | "refused"} State */

const SHORTEST_S = 1;
const LONGEST_S = 30;
const PATIENCE_MS = 10_000;

class Subscription {
  /**
   * @param {string} channel
   * @param {Handlers} handlers
   */
  constructor(channel, handlers) {
    this.channel = channel;
    this.handlers = handlers;
    this.id = "";
    /** @type {string | undefined} */
    this.epoch = undefined;
    /** @type {string | undefined} */
    this.pos = undefined;
  }
}

/** Events: `state` whenever {@link LiveClient.state} changes. */
export class LiveClient extends EventTarget {
  /** @param {string} url of the WebSocket */
  constructor(url) {
    super();
    this.url = url;
    /** @type {State} */
    this.state = "connecting";
    /** When the connection was lost, epoch milliseconds; 0 while it stands. */
    this.lostAt = 0;
    /** Milliseconds by which the server's clock is ahead of ours. */
    this.clockAhead = 0;
    /** @type {Set<Subscription>} */
    this.subscriptions = new Set();
    /** @type {Map<string, Subscription>} */
    this.byId = new Map();
    /** @type {WebSocket | undefined} */
    this.socket = undefined;
    this.attempt = 0;
    this.lastId = 0;
    this.heardAt = 0;
    this.pingMs = 25_000;
    /** @type {number | undefined} */
    this.retry = undefined;
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => this.hurry());
    window.setInterval(() => this.watch(), 2_000);
    this.connect();
  }

  /**
   * Follow a channel from now on, whatever happens to the connection.
   * @param {string} channel
   * @param {Handlers} handlers
   * @returns {() => void} ends it
   */
  subscribe(channel, handlers) {
    const subscription = new Subscription(channel, handlers);
    this.subscriptions.add(subscription);
    if (this.state === "live") this.ask(subscription);
    return () => {
      this.subscriptions.delete(subscription);
      this.leave(subscription);
    };
  }

  connect() {
    window.clearTimeout(this.retry);
    this.retry = undefined;
    const socket = new WebSocket(this.url, "vitalstream.v1");
    this.socket = socket;
    this.heardAt = Date.now();
    socket.addEventListener("open", () => this.send({ t: "init" }));
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.receive(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.lost(event.code);
    });
  }

  /** @param {any} message */
  receive(message) {
    this.heardAt = Date.now();
    switch (message.t) {
      case "ack":
        this.pingMs = message.ping_s * 1000;
        this.clockAhead = message.server_ts - Date.now();
        this.attempt = 0;
        this.lostAt = 0;
        this.become("live");
        for (const subscription of this.subscriptions) this.ask(subscription);
        return;
      case "ping":
        this.clockAhead = message.server_ts - Date.now();
        this.send({ t: "pong" });
        return;
    }
    const subscription = this.byId.get(message.id);
    if (!subscription) return;
    const { handlers } = subscription;
    switch (message.t) {
      case "snap":
        subscription.epoch = message.epoch;
        subscription.pos = message.pos;
        handlers.snap(message.state);
        return;
      case "subbed":
        subscription.epoch = message.epoch;
        subscription.pos = message.pos;
        return;
      case "data":
      case "alarm":
        if (message.prev !== subscription.pos) {
          this.leave(subscription);
          this.ask(subscription);
          return;
        }
        subscription.pos = message.pos;
        if (message.t === "data") handlers.data?.(message.rows);
        else handlers.alarm?.(message.alarm);
        return;
      case "reset":
        subscription.epoch = subscription.pos = undefined;
        return;
      case "error":
        this.byId.delete(subscription.id);
        handlers.error?.(message.code, message.msg);
    }
  }

  /** @param {Subscription} subscription */
  ask(subscription) {
    subscription.id = String((this.lastId += 1));
    this.byId.set(subscription.id, subscription);
    const { id, channel, epoch, pos } = subscription;
    this.send({ t: "sub", id, ch: channel, epoch, pos });
  }

  /** @param {Subscription} subscription */
  leave(subscription) {
    if (this.byId.delete(subscription.id)) this.send({ t: "unsub", id: subscription.id });
  }

  /** @param {object} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** @param {number} code */
  lost(code) {
    this.byId.clear();
    if (code === 4401 || code === 4403) {
      this.become("refused");
      return;
    }
    if (!this.lostAt) this.lostAt = Date.now();
    this.attempt += 1;
    const longest = Math.min(LONGEST_S, 2 ** this.attempt);
    const wait = SHORTEST_S + Math.random() * (longest - SHORTEST_S);
    this.retry = window.setTimeout(() => this.connect(), wait * 1000);
    this.become("reconnecting");
  }

  /** Connect at once when there is reason to hope. */
  hurry() {
    if (this.retry !== undefined && !document.hidden) this.connect();
  }

  /** Give up a connection over which nothing comes any more. */
  watch() {
    if (this.state === "refused" || this.retry !== undefined) return;
    if (Date.now() - this.heardAt < this.pingMs + PATIENCE_MS) return;
    this.socket?.close();
    this.lost(0);
    this.socket = undefined;
  }

  /** @param {State} state */
  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/**
 * The browser's half of the realtime-session protocol, version 1. No dependencies, nothing happens on import.
 *
 * A SessionClient holds this tab's socket, knows what the server last said about the session and tells it as events.
 * It draws nothing: dialog.js does, and a front end of your own can.
 *
 * Events: every server message under its type, with the message as `detail` (`state`, `warning`, `extended`, `expired`,
 * `refresh`, `error`); `connection` ({connected, transport}); and `uncertain` ({cause: "gap" | "deadline"}) when what
 * is known may be wrong and the server is being asked: while `expiresIn` is 0 then, cover what must not be seen.
 *
 * Three rules hold throughout. The server judges: the local clock is only ever a reason to ask. After a gap (sleep,
 * freeze, page cache) nothing that was queued is believed before a fresh answer. Asking is never activity.
 */

const PROTOCOL = "realtime-session.v1";
const BACKOFF_BASE = 500; // milliseconds, as all that follow
const BACKOFF_CAP = 30_000;
const RESTART_SPREAD = 5_000; // over which the tabs of a server that was stopped spread their return
const STABLE = 5_000; // a socket that lived this long ends the backoff; one that dies sooner goes on with it
const CONNECT_LIMIT = 10_000;
const ANSWER_LIMIT = 5_000;
const TICK = 5_000; // how soon a visible tab notices that it slept
const HIDDEN_TICK = 60_000; // browsers wake hidden tabs once a minute
const TOLERANCE = 2_000; // a tick, a clock or a message that is off by more is a gap
const PUSH_GRACE = 1_500; // what a warning may be late, before the tab asks where it is
const GESTURE = 500; // input this soon after the last `activity` belongs to the same click or keystroke
const RESTART = [1000, 1001, 1012]; // how servers close when they are stopped
const FATAL = { 4400: "the server refused this client's messages", 4406: "no common protocol version" };
const INPUT = ["pointerdown", "keydown", "click", "input", "wheel", "touchmove", "mousemove"];

/** The configuration that `{% session_monitor %}` put on the page; null where it put none (anonymous users). */
export function readConfig(doc = document) {
  const element = doc.getElementById("realtime-session-config");
  return element && JSON.parse(element.textContent);
}

/** An instant, `seconds` from now, on both clocks: one may stand still during sleep, the other may be set. */
const instant = (seconds) => ({ steady: performance.now() + seconds * 1000, wall: Date.now() + seconds * 1000 });

/** Seconds until an instant, by the clock that says less. */
const until = ({ steady, wall }) => Math.min(steady - performance.now(), wall - Date.now()) / 1000;

export class SessionClient extends EventTarget {
  #config;
  #running = null; // the AbortController of the listeners; null when stopped

  // What the server said last.
  #phase = "unknown";
  #reason = null;
  #canExtend = false;
  #state = null;
  #expired = null;
  #warnsAt = instant(Infinity);
  #expiresAt = instant(Infinity);
  #absoluteAt = instant(Infinity);
  #creditUntil = instant(-Infinity); // where activity sent since then should have moved the deadline
  #offset = 0; // local wall clock minus the server's, in milliseconds

  // The way to the server.
  #socket = null;
  #connectedAt = null; // when this socket brought its first `state`
  #attempts = 0;
  #heldUntil = -Infinity;
  #retryTimer;
  #requesting = false;
  #link = { connected: false, transport: null };

  // What is asked and not answered yet.
  #count = 0;
  #wanted = false; // the truth, by whatever way
  #question = null; // the {id} of the `state` to believe on this socket; its first has none
  #answerTimer;
  #doubt = null;
  #extending = null; // {id, promise, resolve, reject}
  #extendTimer;
  #leaving = false;

  // The clocks and the person.
  #tickTimer;
  #tickDue = 0;
  #skew = 0;
  #inputAt = -Infinity;
  #sentAt = -Infinity;
  #activityTimer;

  constructor(config = readConfig()) {
    super();
    if (!config) throw new TypeError("No realtime-session configuration: is {% session_monitor %} on this page?");
    this.#config = config;
  }

  /** "unknown" (until the first answer), "active", "warning" or "ended". */
  get phase() { return this.#phase; }
  /** Which deadline is the nearer, "idle" or "absolute"; once ended, why. */
  get reason() { return this.#reason; }
  get canExtend() { return this.#canExtend; }
  /** The latest `state` message, for the settings in it; null before the first. */
  get state() { return this.#state; }
  get connected() { return this.#link.connected; }
  /** The way the latest answer came: "websocket" or, where there was no socket, "http"; null before the first. */
  get transport() { return this.#link.transport; }
  /** Whether what is known may be wrong, and the server is being asked. */
  get uncertain() { return this.#doubt !== null; }

  /** Seconds left as far as this tab knows, or null. Good for showing and covering, never for ending anything. */
  get expiresIn() {
    if (!this.#state) return null;
    if (this.#phase === "ended") return 0;
    const credit = this.#phase === "active" ? Math.min(until(this.#creditUntil), until(this.#absoluteAt)) : 0;
    return Math.max(0, until(this.#expiresAt), credit);
  }

  start() {
    if (this.#running || this.#expired) return;
    this.#running = new AbortController();
    this.#skew = Date.now() - performance.now();
    this.#listen(this.#running.signal);
    this.#arm();
    this.#askNow();
  }

  /** Lets go of socket, timers and listeners; what is known stays readable. */
  stop() {
    this.#running?.abort();
    this.#running = null;
    clearTimeout(this.#tickTimer);
    clearTimeout(this.#activityTimer);
    this.#disconnect();
    this.#wanted = false;
    this.#doubt = null;
    this.#settle("reject", new Error("The session client was stopped."));
  }

  /**
   * The user chose to stay. Resolves with the server's answer, an `extended` or an `expired` message; rejects if the
   * server could not act on it (its `error` message is the `cause`) or be reached: then it is worth another try.
   */
  extend() {
    if (this.#expired) return Promise.resolve(this.#expired);
    if (!this.#running) return Promise.reject(new Error("The session client is not running."));
    if (!this.#extending) {
      this.#extending = { id: `extend-${++this.#count}`, ...Promise.withResolvers() };
      this.#sendExtend();
    }
    return this.#extending.promise;
  }

  /** Ends the session in every tab, now or as soon as there is a socket. Answered by `expired`. */
  logout() {
    this.#leaving = true;
    this.#send({ type: "logout" });
  }

  /** Asks for the truth: `state` or `expired` follows. */
  sync() {
    if (this.#running) this.#askNow();
  }

  /**
   * Counts as the user's activity, as trusted input does by itself. For what a page cannot see: an upload under way, a
   * playing video, input in a frame. Cheap; sends at most once per `activity_interval`. Without a socket there is
   * nothing to send it on: then only requests and `extend()` keep the session alive.
   */
  activity() {
    if (!this.#running) return;
    this.#inputAt = performance.now();
    if (this.#jumped()) this.#onGap();
    else this.#sendActivity();
  }

  // --- the socket -----------------------------------------------------------------------------------------------

  get #open() { return this.#socket?.readyState === WebSocket.OPEN; }
  get #mayConnect() { return this.#config.socket && performance.now() >= this.#heldUntil; }

  #connect() {
    this.#drop();
    clearTimeout(this.#retryTimer);
    try {
      const url = new URL(this.#config.socket, location.href);
      url.protocol = url.protocol.replace("http", "ws");
      this.#socket = new WebSocket(url, PROTOCOL);
    } catch {
      return this.#onClose(1006);
    }
    this.#socket.onmessage = ({ data }) => this.#onMessage(JSON.parse(data));
    this.#socket.onclose = ({ code }) => this.#onClose(code);
    this.#expect({}, CONNECT_LIMIT);
  }

  // Without waiting for its close event, which on a dead network is long in coming.
  #drop() {
    clearTimeout(this.#answerTimer);
    clearTimeout(this.#extendTimer);
    this.#question = this.#connectedAt = null;
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #disconnect() {
    this.#drop();
    clearTimeout(this.#retryTimer);
    this.#setLink(false);
  }

  #onClose(code) {
    if (this.#connectedAt !== null && performance.now() - this.#connectedAt > STABLE) this.#attempts = 0;
    this.#drop();
    if (this.#link.transport === "websocket") this.#setLink(false);
    if (code === 4001 || code === 4401) return this.#inquire();
    if (code in FATAL) {
      console.error(`realtime-session: stopped, ${FATAL[code]} (${code})`);
      return this.stop();
    }
    if (code === 4429) this.#heldUntil = performance.now() + BACKOFF_CAP;
    this.#retry(RESTART.includes(code) ? this.#spread : 0);
    if (this.#wanted) this.#askByHttp();
  }

  // All tabs of a server lose it in one moment, and must not come back in one. No tab is late for its warning.
  get #spread() {
    const room = (until(this.#warnsAt) * 1000) / 2;
    return Math.max(0, Math.min(RESTART_SPREAD, room));
  }

  #retry(spread = 0) {
    const backoff = Math.random() * Math.max(spread, Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** this.#attempts++));
    const again = () => (this.#config.socket ? this.#connect() : this.#ask());
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(again, Math.max(backoff, this.#heldUntil - performance.now()));
  }

  #send(message) {
    if (this.#open) this.#socket.send(JSON.stringify(message));
  }

  // An open socket proves nothing, an answer does. Activity that went into the silence earns no credit.
  #onSilence() {
    this.#creditUntil = instant(-Infinity);
    this.#onClose(1006);
  }

  #expect(question, limit = ANSWER_LIMIT) {
    this.#question = question;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => this.#onSilence(), limit);
  }

  #setLink(connected, transport = this.#link.transport) {
    if (connected === this.#link.connected && transport === this.#link.transport) return;
    this.#link = { connected, transport };
    this.#emit("connection", this.#link);
  }

  // --- asking ---------------------------------------------------------------------------------------------------

  #askNow() {
    if (!this.#open && this.#mayConnect) this.#connect();
    this.#ask();
  }

  // A socket that is being opened answers unasked. Until one of them answers, each failed attempt asks over HTTP.
  #ask() {
    this.#wanted = true;
    if (this.#open) {
      this.#expect({ id: `sync-${++this.#count}` });
      this.#send({ type: "sync", ...this.#question });
    } else if (!this.#socket) {
      this.#askByHttp();
    }
  }

  async #askByHttp() {
    if (this.#requesting || !this.#config.state) return;
    this.#requesting = true;
    const answer = await this.#fetch("GET", this.#config.state);
    this.#requesting = false;
    if (!this.#running || this.#connectedAt !== null) return; // stopped, or a socket was quicker
    this.#setLink(answer !== null, "http");
    if (answer) this.#take(answer);
    if (this.#config.socket) return; // its attempts go on, and ask again as long as needed
    if (this.#wanted) this.#retry();
    else this.#attempts = 0;
  }

  // The session is over, and nobody said why. If nobody does, the client says so as the server would.
  async #inquire() {
    const at = (Date.now() - this.#offset) / 1000;
    const unknown = { type: "expired", at, reason: "unknown", message: "", redirect: null };
    const answer = this.#config.state && (await this.#fetch("GET", this.#config.state));
    if (!this.#running) return;
    if (answer?.type !== "state") return this.#take(answer?.type === "expired" ? answer : unknown);
    this.#setLink(true, "http"); // somebody has signed in again meanwhile
    this.#take(answer);
    this.#retry();
  }

  /** A passive request; resolves with the server's message, or null if there is none or it is no longer fresh. */
  async #fetch(method, url) {
    const headers = { Accept: "application/json", "X-Session-Passive": "1" };
    if (method === "POST") headers["X-CSRFToken"] = document.getElementById("realtime-session-csrf")?.value ?? "";
    const staleAt = instant((ANSWER_LIMIT + TOLERANCE) / 1000);
    const signal = AbortSignal.timeout(ANSWER_LIMIT);
    try {
      const response = await fetch(url, { method, headers, signal, credentials: "same-origin", cache: "no-store" });
      const answer = await response.json();
      return answer.type && until(staleAt) > 0 ? answer : null;
    } catch {
      return null;
    }
  }

  async #sendExtend() {
    const { id } = this.#extending;
    if (this.#open) {
      this.#send({ type: "extend", id });
      this.#extendTimer = setTimeout(() => this.#onSilence(), ANSWER_LIMIT);
    } else if (this.#config.extend) {
      const answer = await this.#fetch("POST", this.#config.extend);
      if (answer && this.#running) this.#take({ ...answer, id });
      else this.#settle("reject", new Error("The server could not be reached."));
    }
  }

  #settle(how, value) {
    clearTimeout(this.#extendTimer);
    this.#extending?.[how](value);
    this.#extending = null;
  }

  // --- what the server says -------------------------------------------------------------------------------------

  #onMessage(message) {
    if (this.#isStale(message)) return;
    if (message.type === "state") this.#onAnswer();
    if (message.type === "error") this.#onUnanswered(message);
    this.#take(message);
  }

  // What tells of deadlines may have been queued for minutes, or be overtaken by a question that is under way.
  #isStale({ type, id, at }) {
    if (!["state", "warning", "extended"].includes(type) || (id && id === this.#extending?.id)) return false;
    if (this.#question) return type !== "state" || id !== this.#question.id;
    if (Date.now() - at * 1000 - this.#offset < TOLERANCE) return false;
    this.#onGap();
    return true;
  }

  #onAnswer() {
    this.#question = null;
    clearTimeout(this.#answerTimer);
    if (this.#connectedAt !== null) return;
    this.#connectedAt = performance.now();
    this.#setLink(true, "websocket");
    if (this.#leaving) this.#send({ type: "logout" });
    if (this.#extending) this.#sendExtend();
  }

  // The store did not answer, but the socket lives: keep it, and ask again.
  #onUnanswered({ id }) {
    if (!this.#question || id !== this.#question.id) return;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => this.#ask(), ANSWER_LIMIT);
  }

  #take(message) {
    switch (message.type) {
      case "state": this.#onState(message); break;
      case "warning": this.#know("warning", message); break;
      case "extended": this.#onExtended(message); break;
      case "expired": this.#onExpired(message); break;
      case "refresh": this.#onRefresh(message); break;
      case "error": this.#onError(message); break;
      default: return;
    }
    this.#emit(message.type, message);
  }

  #onState(message) {
    this.#state = message;
    this.#offset = Date.now() - message.at * 1000;
    this.#absoluteAt = instant(message.absolute_expires_in ?? Infinity);
    this.#know(message.phase, message);
    this.#sendActivity();
  }

  #onExtended(message) {
    this.#know(message.warns_in > 0 ? "active" : "warning", message);
    if (message.id && message.id === this.#extending?.id) this.#settle("resolve", message);
  }

  #onExpired(message) {
    this.#expired = message;
    this.#phase = "ended";
    this.#reason = message.reason;
    this.#canExtend = false;
    this.#settle("resolve", message);
    this.stop();
  }

  #onRefresh({ url }) {
    if (new URL(url, location.href).origin === location.origin) this.#fetch("POST", url);
  }

  #onError(message) {
    const error = new Error(message.detail, { cause: message });
    if (message.id && message.id === this.#extending?.id) this.#settle("reject", error);
  }

  #know(phase, { expires_in, warns_in = 0, can_extend, reason = this.#reason }) {
    this.#phase = phase;
    this.#reason = reason;
    this.#canExtend = can_extend;
    this.#warnsAt = instant(warns_in);
    this.#expiresAt = instant(expires_in);
    this.#creditUntil = instant(-Infinity);
    this.#wanted = false;
    this.#doubt = null;
    this.#arm();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // --- clocks and gaps ------------------------------------------------------------------------------------------

  #arm() {
    if (!this.#running) return;
    const due = this.#phase === "active" ? this.#silentIn : (this.expiresIn ?? Infinity) * 1000;
    const delay = Math.min(Math.max(due, 500), document.hidden ? HIDDEN_TICK : TICK);
    this.#tickDue = performance.now() + delay;
    clearTimeout(this.#tickTimer);
    this.#tickTimer = setTimeout(() => this.#tick(), delay);
  }

  // Milliseconds until the warning is overdue; without a socket nobody will push it.
  get #silentIn() { return until(this.#warnsAt) * 1000 + (this.#open ? PUSH_GRACE : 0); }

  #tick() {
    const late = performance.now() - this.#tickDue > TOLERANCE + (document.hidden ? HIDDEN_TICK : 0);
    if (this.#jumped() || late) this.#onGap();
    else if (this.#state) this.#lookAtDeadlines();
    this.#arm();
  }

  // Activity is not answered, so the warning instant known here is the earliest possible. Asking when it has passed in
  // silence also finds a socket that died in silence, while there is still time to open another.
  #lookAtDeadlines() {
    const silent = this.#phase === "active" && this.#silentIn <= 0;
    const over = this.expiresIn <= 0;
    if (over && this.#doubt !== "deadline") this.#setDoubt("deadline");
    if ((over || silent) && !this.#wanted) this.#ask();
  }

  #jumped() {
    const before = this.#skew;
    this.#skew = Date.now() - performance.now();
    return Math.abs(this.#skew - before) > TOLERANCE;
  }

  #onGap() {
    this.#setDoubt("gap");
    this.#arm();
    this.#askNow();
  }

  #setDoubt(cause) {
    this.#doubt = cause;
    this.#emit("uncertain", { cause });
  }

  // --- the person -----------------------------------------------------------------------------------------------

  #listen(signal) {
    const gap = () => this.#onGap();
    addEventListener("online", gap, { signal });
    document.addEventListener("resume", gap, { signal });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#arm() : gap()), { signal });
    // A page in the back/forward cache is not an open tab, and comes back with its socket dead in any case.
    addEventListener("pagehide", () => this.#disconnect(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && gap(), { signal });
    const options = { capture: true, passive: true, signal };
    for (const type of INPUT) addEventListener(type, (event) => this.#onInput(event), options);
  }

  // Scripts dispatch events, and layout moves under a mouse at rest: neither is a person.
  #onInput(event) {
    const moved = event.type !== "mousemove" || event.movementX || event.movementY;
    if (event.isTrusted && moved) this.activity();
  }

  // At the end of each interval too, so that its last keystroke counts; but never for input older than an interval.
  #sendActivity() {
    const now = performance.now();
    const interval = (this.#state?.activity_interval ?? 0) * 1000;
    const fresh = this.#inputAt - this.#sentAt > GESTURE && now - this.#inputAt <= interval;
    const counts = this.#phase === "active" || (this.#phase === "warning" && this.#state.activity_extends_in_warning);
    if (!fresh || !counts || now - this.#sentAt < interval || this.#question || !this.#open) return;
    this.#send({ type: "activity" });
    this.#sentAt = now;
    this.#creditUntil = instant(this.#state.idle_timeout);
    this.#activityTimer = setTimeout(() => this.#sendActivity(), interval + GESTURE);
  }
}

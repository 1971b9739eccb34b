/**
 * The session dialog: it warns before the session ends, covers the page while it may have ended, and when it has.
 *
 * All its text is in the markup that `{% session_monitor %}` rendered. What it shows follows from what the client
 * knows, at each of the client's events anew. Scripts of the page get at the client by importing this module from the
 * same address: `const { ready } = await import(…); (await ready).activity();`
 */

const RESTORE_PATIENCE = 1_000; // milliseconds that a page out of the back/forward cache is shown on trust
const NAVIGATION_LIMIT = 10_000; // milliseconds a navigation that has begun may take, before ours replaces it

class SessionDialog {
  #client;
  #element;
  #view = null;
  #dismissed = false;
  #distrusted = false; // out of the back/forward cache, and the server has not answered for a while
  #timer;
  #marks;
  #mark;
  #leavingAt = -Infinity;

  constructor(element, client) {
    this.#element = element;
    this.#client = client;
    this.#marks = [...this.#part("marks").children].map((item) => ({ at: item.value, text: item.textContent }));
    const update = () => this.#update();
    for (const type of ["state", "warning", "extended", "uncertain"]) client.addEventListener(type, update);
    client.addEventListener("expired", ({ detail }) => this.#onExpired(detail));
    this.#listen();
  }

  #part(name) {
    return this.#element.querySelector(`[data-part=${name}]`);
  }

  #listen() {
    this.#part("stay").addEventListener("click", () => this.#stay());
    this.#part("continue").addEventListener("click", () => this.#dismiss());
    this.#part("reload").addEventListener("click", () => location.reload());
    this.#part("logout").addEventListener("submit", (event) => this.#onLogout(event));
    // Taken on its way down: left to the dialog, the third Escape would close it in Chromium, cancelled or not.
    addEventListener("keydown", (event) => this.#onKey(event), { capture: true });
    this.#element.addEventListener("cancel", (event) => this.#onEscape(event));
    this.#element.addEventListener("close", () => this.#onClose());
    addEventListener("beforeunload", () => { this.#leavingAt = performance.now(); });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#onRestored());
  }

  // Out of the back/forward cache. Where the session was over already, only the server knows what belongs here now.
  // Else it may have ended meanwhile, and nobody could tell a page in there. Covering that at once would flash the
  // dialog, and move the focus, at each "Back": mostly the answer comes first.
  #onRestored() {
    this.#leavingAt = -Infinity;
    if (this.#client.phase === "ended") location.reload();
    setTimeout(() => {
      this.#distrusted = this.#client.uncertain;
      if (this.#distrusted) this.#update();
    }, RESTORE_PATIENCE);
  }

  // --- what is shown --------------------------------------------------------------------------------------------

  #update() {
    const { phase, canExtend, uncertain, expiresIn } = this.#client;
    if (phase !== "warning") this.#dismissed = false;
    if (!uncertain) this.#distrusted = false;
    if (uncertain && (expiresIn === 0 || this.#distrusted)) this.#show("checking");
    else if (phase === "warning" && canExtend) this.#show("warning");
    else if (phase === "warning" && !this.#dismissed) this.#show("fixed");
    else this.#hide();
  }

  /** Shows one view of the dialog; in "checking", "ended" and "gone" nothing of the page can be seen. */
  #show(view) {
    if (view === this.#view) return this.#count();
    this.#view = this.#element.dataset.view = view;
    for (const part of this.#element.querySelectorAll("[data-in]")) {
      part.hidden = !part.dataset.in.split(" ").includes(view);
    }
    this.#part("problem").hidden = true;
    this.#part("spoken").textContent = "";
    this.#mark = this.#nearestMark();
    this.#count();
    this.#open();
  }

  // Opened anew for each view: whatever the page put on top meanwhile goes below. A swap of the body (htmx, Turbo)
  // takes the dialog out of the page. The focus goes to text, so that a key meant for the page presses no button.
  #open() {
    if (!this.#element.isConnected) document.body.append(this.#element);
    if (this.#element.open) this.#element.close();
    const title = this.#element.querySelector("h2:not([hidden])");
    this.#element.setAttribute("aria-labelledby", title.id);
    this.#element.showModal();
    title.focus({ preventScroll: true });
  }

  #hide() {
    this.#view = null;
    clearTimeout(this.#timer);
    this.#element.close();
  }

  // Whoever closed it, the answer is still to be given. Comes late, and for our own closing as well.
  #onClose() {
    if (this.#view && !this.#element.open) this.#open();
  }

  #count() {
    clearTimeout(this.#timer);
    const { expiresIn, state } = this.#client;
    if (!expiresIn) return;
    const left = Math.ceil(expiresIn);
    this.#element.querySelector("[role=timer]").textContent =
      `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    this.#element.style.setProperty("--realtime-session-left", Math.min(1, expiresIn / (state.warn_before || 1)));
    this.#element.toggleAttribute("data-urgent", left <= 10);
    this.#speak();
    this.#timer = setTimeout(() => this.#count(), (expiresIn % 1) * 1000 + 5);
  }

  // Rewriting a live region each second would never let a screen reader finish: it changes at the marks only.
  #speak() {
    const mark = this.#nearestMark();
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.#part("spoken").textContent = mark?.text ?? "";
  }

  #nearestMark() {
    return this.#marks.findLast(({ at }) => at >= Math.ceil(this.#client.expiresIn ?? 0));
  }

  // --- what the user does ---------------------------------------------------------------------------------------

  #onKey(event) {
    if (event.key === "Escape" && this.#view) this.#onEscape(event);
  }

  #onEscape(event) {
    event.preventDefault();
    event.stopPropagation();
    if (this.#view === "warning") this.#stay();
    if (this.#view === "fixed") this.#dismiss();
  }

  async #stay() {
    this.#part("problem").hidden = true;
    this.#element.setAttribute("aria-busy", "true");
    try {
      await this.#client.extend();
    } catch {
      this.#part("problem").hidden = this.#view !== "warning";
    }
    this.#element.removeAttribute("aria-busy");
  }

  // A deadline that nothing moves must not keep people from saving their work until then.
  #dismiss() {
    this.#dismissed = true;
    this.#hide();
  }

  #onLogout(event) {
    if (event.target.hasAttribute("action")) return;
    event.preventDefault();
    this.#client.logout();
  }

  // --- the end --------------------------------------------------------------------------------------------------

  // The tab that is signing out is told of it while the answer is still under way: leave its navigation the time.
  #onExpired({ message, reason, redirect }) {
    const target = loginAddress(redirect, reason);
    if (message) this.#part("message").textContent = message;
    if (target) this.#part("login").href = target;
    this.#show(target ? "ended" : "gone");
    const leaving = performance.now() - this.#leavingAt < NAVIGATION_LIMIT;
    if (target) setTimeout(() => location.replace(target), leaving ? NAVIGATION_LIMIT : 0);
  }
}

/** Where to sign in and come back from, told why; null if there is no such place. */
function loginAddress(redirect, reason) {
  if (!redirect) return null;
  const url = new URL(redirect, location.href);
  if (!["http:", "https:"].includes(url.protocol)) return null;
  url.searchParams.set("next", location.pathname + location.search);
  url.searchParams.set("session_ended", reason);
  return url.href;
}

async function begin() {
  const config = JSON.parse(document.getElementById("realtime-session-config").textContent);
  const { SessionClient } = await import(config.client);
  const client = new SessionClient(config);
  new SessionDialog(document.getElementById("realtime-session"), client);
  client.start();
  return client;
}

/** Resolves with the page's SessionClient, started. */
export const ready = begin();

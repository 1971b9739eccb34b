/**
 * Lets the page overhear this tab's socket: each frame, in both directions, as a `frame` event of `wire`. Only here to
 * show what goes on; must be loaded before the socket is made.
 */
export const wire = new EventTarget();

function tell(from, type, fields = {}) {
  wire.dispatchEvent(new CustomEvent("frame", { detail: { from, type, fields } }));
}

function tellFrame(from, data) {
  const { type, at, ...fields } = JSON.parse(data);
  tell(from, type, fields);
}

globalThis.WebSocket = class extends WebSocket {
  constructor(...address) {
    super(...address);
    this.addEventListener("open", () => tell("here", "connected"));
    this.addEventListener("message", ({ data }) => tellFrame("server", data));
    this.addEventListener("close", ({ code }) => tell("here", "closed", { code }));
  }

  send(data) {
    tellFrame("tab", data);
    super.send(data);
  }
};

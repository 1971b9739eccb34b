// Comes first: it must be there when the dialog's client makes its socket.
import { wire } from "./wire.js";
import { ready } from "../realtime_session/dialog.js";
import { clock } from "./clock.js";

const LINES = 200;
const ARROWS = { server: "←", tab: "→", here: "·" };
const POLL_INTERVAL = 5000;

const element = (id) => document.getElementById(id);

function write({ from, type, fields = {} }) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  const word = document.createElement("strong");
  const details = document.createElement("span");
  time.textContent = new Date().toLocaleTimeString("en-GB");
  word.textContent = `${ARROWS[from]} ${type}`;
  details.textContent = describe(fields);
  line.className = from;
  line.append(time, word, details);
  element("log").prepend(line);
  if (element("log").children.length > LINES) element("log").lastChild.remove();
}

function describe(fields) {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${typeof value === "number" ? Math.round(value * 10) / 10 : value}`)
    .join(" · ");
}

async function poll() {
  const kind = element("poll").elements.kind.value;
  if (!kind) return;
  const headers = { Accept: "application/json" };
  if (kind === "passive") headers["X-Session-Passive"] = "1";
  try {
    const { status } = await fetch(element("poll").dataset.url, { headers });
    write({ from: "here", type: kind, fields: { status } });
    client.sync();
  } catch {
    write({ from: "here", type: kind, fields: { failed: "no connection" } });
  }
}

function draw() {
  const left = client.expiresIn;
  element("time-left").value = clock(left);
  element("phase").textContent = client.uncertain ? "asking the server" : client.phase;
  element("phase").dataset.phase = client.phase;
  if (left !== null) element("burn").value = left / client.state.idle_timeout;
}

// The demo's server adds this message to the protocol; the client leaves alone what it does not know.
function showHolder({ type, fields }) {
  if (type === "process") element("process").value = `${fields.server}, process ${fields.pid}`;
  if (type === "closed") element("process").value = "no process";
}

wire.addEventListener("frame", ({ detail }) => {
  write(detail);
  showHolder(detail);
});

const client = await ready;
setInterval(draw, 200);
setInterval(poll, POLL_INTERVAL);

// Comes first: it must be there when the dialog's client makes its socket.
import { wire } from "./wire.js";
import { ready } from "../realtime_session/dialog.js";
import { clock } from "./clock.js";

const LINES = 200;
const ARROWS = { server: "←", tab: "→", here: "·" };
const PASSIVE = { "X-Session-Passive": "1" };

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

async function request(headers = {}) {
  const type = headers === PASSIVE ? "passive request" : "request";
  try {
    const { status } = await fetch(element("request").dataset.url, { headers: { Accept: "application/json", ...headers } });
    write({ from: "here", type, fields: { status } });
  } catch {
    write({ from: "here", type, fields: { failed: "no connection" } });
  }
}

function draw(client) {
  const left = client.expiresIn;
  element("time-left").value = clock(left);
  element("phase").textContent = client.uncertain ? "asking the server" : client.phase;
  element("phase").dataset.phase = client.phase;
  if (left !== null) element("burn").value = left / client.state.idle_timeout;
}

wire.addEventListener("frame", ({ detail }) => write(detail));
element("request").addEventListener("click", () => request());
element("passive").addEventListener("click", () => request(PASSIVE));

const client = await ready;
setInterval(() => draw(client), 200);

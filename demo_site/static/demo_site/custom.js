import { SessionClient } from "../realtime_session/client.js";
import { clock } from "./clock.js";

const client = new SessionClient();
const candle = document.getElementById("candle");
const stick = document.getElementById("stick");
const stay = document.getElementById("stay");
const leave = document.getElementById("leave");

const words = {
  unknown: "Connecting…",
  active: "You are signed in, and there is time.",
  warning: "Are you still there? The candle burns low.",
  ended: "The candle is out.",
};

const HEIGHT = 120; // how far the candle burns down, in the drawing's units

function draw() {
  const left = client.expiresIn;
  document.getElementById("time-left").value = clock(left);
  const burnt = left === null ? 0 : 1 - Math.min(1, left / client.state.idle_timeout);
  stick.style.setProperty("--burnt", `${burnt * HEIGHT}px`);
}

function tell(text = words[client.phase]) {
  candle.dataset.phase = client.phase;
  document.getElementById("words").textContent = text;
  stay.disabled = !client.canExtend;
  leave.disabled = client.phase === "unknown" || client.phase === "ended";
  draw();
}

for (const type of ["state", "warning", "extended"]) client.addEventListener(type, () => tell());
client.addEventListener("connection", ({ detail }) => tell(detail.connected ? undefined : "Reconnecting…"));
client.addEventListener("expired", ({ detail: { message, reason, redirect } }) => {
  tell(message);
  const query = new URLSearchParams({ next: location.pathname, session_ended: reason });
  setTimeout(() => location.assign(`${redirect}?${query}`), 3000);
});

stay.addEventListener("click", () => client.extend().catch((error) => tell(error.message)));
leave.addEventListener("click", () => client.logout());

setInterval(draw, 250);
client.start();

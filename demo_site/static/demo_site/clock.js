/** Seconds, or null for not known yet, as minutes and seconds. */
export function clock(seconds) {
  if (seconds === null) return "…";
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

const form = document.querySelector(".exam");
const answer = form.elements.answer;
const key = `draft of ${form.dataset.user}`;

function count() {
  const words = answer.value.trim().split(/\s+/).filter(Boolean).length;
  document.getElementById("words").value = words === 1 ? "1 word" : `${words} words`;
}

if (location.search === "?handed-in") {
  sessionStorage.removeItem(key);
  history.replaceState(null, "", location.pathname);
}
answer.value ||= sessionStorage.getItem(key) ?? "";
count();
answer.addEventListener("input", () => {
  sessionStorage.setItem(key, answer.value);
  count();
});

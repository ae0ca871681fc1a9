// "/" goes to the search box; arrows walk the instant results; Escape clears them.
const box = document.querySelector("[data-search]");
const isTyping = (element) => element.matches("input, textarea, select, [contenteditable='true']");

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!box || isTyping(event.target)) return;
  event.preventDefault();
  const input = box.querySelector("input");
  input.focus();
  input.select();
});

box?.addEventListener("keydown", (event) => {
  const stops = [box.querySelector("input"), ...box.querySelectorAll(".search-hit")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const at = stops.indexOf(document.activeElement);
    stops[(at + step + stops.length) % stops.length].focus();
  } else if (event.key === "Escape") {
    box.querySelector(".search-results").replaceChildren();
    stops[0].focus();
  }
});

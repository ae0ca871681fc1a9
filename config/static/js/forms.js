// Form comforts, by data attribute.

// [data-confirm-name="x"]: the submit button wakes when exactly that name has been typed.
const guard = (form) => {
  const typed = form.querySelector("[data-confirm-input]").value.trim();
  form.querySelector("[type=submit]").disabled = typed !== form.dataset.confirmName;
};
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-confirm-name]");
  if (form) guard(form);
  filterList(event.target);
});
document.querySelectorAll("form[data-confirm-name]").forEach(guard);

// [data-filter="#list"]: hides the list's [data-filter-text] entries that lack the typed words.
const filterList = (input) => {
  if (!input.dataset.filter) return;
  const needle = input.value.trim().toLowerCase();
  for (const row of document.querySelectorAll(`${input.dataset.filter} [data-filter-text]`)) {
    row.hidden = !row.dataset.filterText.toLowerCase().includes(needle);
  }
};

// [data-shown-for="field=value"]: a part of the form that belongs to one choice.
const showParts = () => {
  for (const part of document.querySelectorAll("[data-shown-for]")) {
    const [name, value] = part.dataset.shownFor.split("=");
    const chosen = part.closest("form").querySelector(`[name="${name}"]:checked, select[name="${name}"]`);
    part.hidden = chosen?.value !== value;
  }
};
document.addEventListener("change", (event) => {
  showParts();
  if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
  if (event.target.name?.startsWith("snippet-")) rememberSnippet(event.target);
});
showParts();

// A form that came back starts at its first mistake.
document.querySelector("main [aria-invalid='true']")?.focus();

// Code snippets open on the client that the reader chose last.
const rememberSnippet = (input) => {
  try { localStorage.setItem("snippet", input.value); } catch { /* private window */ }
};
const recallSnippet = () => {
  let chosen = null;
  try { chosen = localStorage.getItem("snippet"); } catch { /* private window */ }
  if (!chosen) return;
  for (const input of document.querySelectorAll(".snippet > input")) {
    if (input.value === chosen) input.checked = true;
  }
};
recallSnippet();

// A form is sent once: its button rests until the answer comes.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.matches("[data-repeat], [hx-get], [hx-post], [hx-put], [hx-delete]")) return;
  const button = event.submitter;
  if (button) setTimeout(() => { button.disabled = true; }, 0);
});
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  document.querySelectorAll("[type=submit]:disabled").forEach((button) => { button.disabled = false; });
  document.querySelectorAll("form[data-confirm-name]").forEach(guard);
});

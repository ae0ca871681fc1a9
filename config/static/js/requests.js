// What a failed live request says to the reader.
import { notify } from "./say.js";

document.addEventListener("htmx:responseError", (event) => {
  const reason = event.detail.xhr.getResponseHeader("X-Error-Message");
  notify(reason || document.body.dataset.requestFailed);
});
document.addEventListener("htmx:sendError", () => notify(document.body.dataset.offline));

// A form that was refused comes back with its mistakes and with what was typed: it is shown.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status !== 422) return;
  event.detail.shouldSwap = true;
  event.detail.isError = false;
});

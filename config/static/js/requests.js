// What a failed live request says to the reader.
import { notify } from "./say.js";

document.addEventListener("htmx:responseError", (event) => {
  const reason = event.detail.xhr.getResponseHeader("X-Error-Message");
  notify(reason || document.body.dataset.requestFailed);
});
document.addEventListener("htmx:sendError", () => notify(document.body.dataset.offline));

// Speaks to screen readers, and shows short notices in the corner.
export const say = (text) => {
  const region = document.getElementById("live");
  if (region) region.textContent = text;
};

export const notify = (text, tone = "bad") => {
  const corner = document.getElementById("toasts");
  const template = document.getElementById("toast-template");
  if (!corner || !template) return;
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.classList.add(`tone-${tone}`);
  toast.querySelector("[data-text]").textContent = text;
  toast.querySelector("button").addEventListener("click", () => toast.remove());
  corner.append(toast);
  setTimeout(() => toast.remove(), 12000);
};

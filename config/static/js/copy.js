// [data-copy="text"] copies its text; [data-copy-from="#id"] copies that element's text.
import { say } from "./say.js";

const textOf = (button) => {
  if (button.dataset.copy) return button.dataset.copy;
  const source = document.querySelector(button.dataset.copyFrom);
  return (source?.value ?? source?.textContent ?? "").trim();
};

const write = async (text) => {
  if (navigator.clipboard?.writeText) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea"); // plain-http pages have no clipboard object
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("copy refused");
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const words = document.body.dataset;
  try {
    await write(textOf(button));
    button.classList.add("is-done");
    say(words.copied);
    setTimeout(() => button.classList.remove("is-done"), 1600);
  } catch {
    say(words.copyFailed);
  }
});

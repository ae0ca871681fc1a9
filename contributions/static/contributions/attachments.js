// Files for comments: dropped on the text, pasted into it, or chosen with the button. Without this
// module the button leads to a page that takes a file and says what to write.
import { notify, say } from "../js/say.js";

const insert = (area, text) => {
  const { selectionStart: start, selectionEnd: end } = area;
  area.setRangeText(text, start, end, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
};

// The cursor stays where it is in the text around; inside the replaced part it goes to its end.
const replace = (area, before, after) => {
  const at = area.value.indexOf(before);
  if (at < 0) return;
  const moved = (place) => (place <= at ? place : at + after.length + Math.max(0, place - at - before.length));
  const { selectionStart: start, selectionEnd: end } = area;
  area.setRangeText(after, at, at + before.length);
  area.setSelectionRange(moved(start), moved(end));
  area.dispatchEvent(new Event("input", { bubbles: true }));
};

const markdown = (file, url) => {
  if (file.type.startsWith("video/")) return `\n\n${url}\n\n`;
  if (file.type.startsWith("audio/")) return `<audio controls src="${url}"></audio>`;
  return `![${file.name.replace(/[[\]\\\n]/g, " ")}](${url})`;
};

let count = 0;
const upload = async (area, file) => {
  const { uploads, uploading, uploaded } = area.dataset;
  count += 1;
  const mark = `[${uploading} ${count}]`;
  insert(area, mark);
  let text = "";
  try {
    const answer = await fetch(uploads, {
      method: "POST",
      body: file,
      headers: {
        "Content-Type": file.type || "application/octet-stream",
        "X-CSRFToken": area.form.querySelector("[name=csrfmiddlewaretoken]").value,
      },
    });
    if (answer.ok && !answer.redirected) {
      text = markdown(file, (await answer.text()).trim());
      say(uploaded);
    } else {
      notify(answer.headers.get("X-Error-Message") || document.body.dataset.requestFailed);
    }
  } catch {
    notify(document.body.dataset.offline);
  }
  replace(area, mark, text);
};

const uploadAll = (area, files) => {
  for (const file of files) upload(area, file);
};

const areaOf = (event) => event.target.closest?.("textarea[data-uploads]");

document.addEventListener("paste", (event) => {
  const area = areaOf(event);
  const files = [...(event.clipboardData?.files ?? [])];
  if (!area || !files.length) return;
  event.preventDefault();
  uploadAll(area, files);
});

document.addEventListener("dragover", (event) => {
  if (areaOf(event) && event.dataTransfer.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const area = areaOf(event);
  if (!area || !event.dataTransfer.files.length) return;
  event.preventDefault();
  area.focus();
  uploadAll(area, [...event.dataTransfer.files]);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-attach]");
  const area = link?.closest("form")?.querySelector("textarea[data-uploads]");
  if (!area) return;
  event.preventDefault();
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.accept = link.dataset.attach;
  input.addEventListener("change", () => uploadAll(area, [...input.files]));
  input.click();
});

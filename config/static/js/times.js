// <time data-relative> keeps saying how long ago, in the page's language.
const STEPS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto" });

const phrase = (seconds) => {
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length);
  return step ? words.format(Math.trunc(seconds / step[1]), step[0]) : words.format(0, "second");
};

const refresh = (root = document) => {
  for (const element of root.querySelectorAll("time[data-relative]")) {
    const text = phrase((Date.parse(element.dateTime) - Date.now()) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
};

setInterval(refresh, 30000);

// [data-tip] shows its title on hover, focus and tap; without JavaScript the title itself remains.
const start = () => {
  new window.bootstrap.Tooltip(document.body, { selector: "[data-tip]", trigger: "hover focus", container: "body" });
};
if (window.bootstrap) start();
else window.addEventListener("load", () => window.bootstrap && start());

document.addEventListener("htmx:beforeSwap", () => {
  for (const tip of document.querySelectorAll(".tooltip")) tip.remove();
});

// Sets light or dark before the first paint: the reader's choice (cookie), else the system's.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const choice = () => (document.cookie.match(/(?:^|; )theme=(light|dark)/) || [])[1] || "auto";
  const apply = () => {
    const chosen = choice();
    root.dataset.bsTheme = chosen === "auto" ? (system.matches ? "dark" : "light") : chosen;
  };
  const choose = (value) => {
    const lifetime = value === "auto" ? 0 : 31536000;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${value}; path=/; max-age=${lifetime}; samesite=lax${secure}`;
    apply();
    document.dispatchEvent(new CustomEvent("themechange", { detail: root.dataset.bsTheme }));
  };
  apply();
  system.addEventListener("change", () => {
    apply();
    document.dispatchEvent(new CustomEvent("themechange", { detail: root.dataset.bsTheme }));
  });
  window.modelguildTheme = { choice, choose };
})();

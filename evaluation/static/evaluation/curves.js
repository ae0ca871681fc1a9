// Loss and metrics of a training over its steps: one plot each, drawn anew while the run goes on.
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const REFRESH_MS = 2000;

const axis = (name) => ({
  type: "value",
  scale: true,
  name,
  nameLocation: "middle",
  nameGap: 26,
  nameTextStyle: { color: token("--mg-muted") },
  axisLabel: { color: token("--mg-muted"), hideOverlap: true },
  splitLine: { lineStyle: { color: token("--mg-line") } },
});

const optionsOf = (box, series) => ({
  animation: false,
  color: [token("--mg-accent"), token("--mg-wait"), token("--mg-good"), token("--mg-bad")],
  textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: token("--mg-text") },
  grid: { left: 8, right: 16, top: 40, bottom: 34, outerBoundsMode: "same" },
  legend: { top: 0, left: 0, textStyle: { color: token("--mg-text") } },
  tooltip: {
    renderMode: "richText",
    trigger: "axis",
    backgroundColor: token("--mg-text"),
    borderWidth: 0,
    textStyle: { color: token("--mg-surface") },
    valueFormatter: (value) => (value === null || value === undefined ? "–" : value.toFixed(4)),
  },
  xAxis: { ...axis(box.dataset.steps), min: 0 },
  yAxis: axis(""),
  series: series.map(({ title, points }) => ({
    type: "line",
    name: title,
    data: points,
    showSymbol: points.length < 30,
    symbolSize: 6,
    lineStyle: { width: 2 },
  })),
});

const plot = (box, name) => {
  const place = box.querySelector(`[data-plot="${name}"]`);
  const chart = window.echarts.init(place, null, { renderer: "canvas" });
  let shown = [];
  const refresh = () => chart.setOption(optionsOf(box, shown), true);
  document.addEventListener("themechange", refresh);
  new ResizeObserver(() => chart.resize()).observe(place);
  return (series) => {
    shown = series;
    place.hidden = !series.some((one) => one.points.length);
    chart.resize();
    refresh();
  };
};

const follow = (box) => {
  const showLoss = plot(box, "loss");
  const showMetrics = plot(box, "metrics");
  const look = async () => {
    let isActive = true;
    try {
      const answer = await fetch(box.dataset.curves, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const found = await answer.json();
        const lines = found.series.filter((one) => one.name !== "learning_rate");
        const titled = lines.map((one) => ({
          ...one,
          isLoss: one.name === "loss",
          title: one.name === "loss" ? box.dataset[one.series] : one.name,
        }));
        showLoss(titled.filter((one) => one.isLoss));
        showMetrics(titled.filter((one) => !one.isLoss));
        box.hidden = lines.length === 0;
        isActive = found.is_active;
      }
    } catch { /* the site is away for a moment: the next look tells */ }
    if (isActive) setTimeout(look, REFRESH_MS);
  };
  look();
};

for (const box of document.querySelectorAll("[data-curves]")) follow(box);

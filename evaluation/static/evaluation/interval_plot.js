// Scores with their intervals on one axis: a dot and a line for each model.
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const nameWidth = (box) => Math.min(220, Math.max(110, box.clientWidth * 0.32));

const lineOf = (params, api) => {
  const low = api.coord([api.value(1), api.value(0)]);
  const high = api.coord([api.value(2), api.value(0)]);
  return {
    type: "line",
    shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] },
    style: { stroke: token("--mg-accent"), lineWidth: 5, opacity: 0.45, lineCap: "round" },
  };
};

const fixed = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

const optionsOf = (box, data) => {
  const rows = [...data.items, ...data.baselines.map((entry) => ({ ...entry, isBaseline: true }))];
  const intervals = rows.flatMap((row, at) =>
    row.low === null || row.low === undefined ? [] : [[at, row.low, row.high]]);
  const chance = data.chance === null ? undefined : {
    silent: true,
    symbol: "none",
    label: { formatter: box.dataset.chanceLabel, color: token("--mg-muted"), position: "end" },
    lineStyle: { color: token("--mg-muted"), type: "dashed" },
    data: [{ xAxis: data.chance }],
  };
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: token("--mg-text") },
    grid: { left: 8, right: 24, top: 24, bottom: 34, outerBoundsMode: "same" },
    tooltip: {
      renderMode: "richText",
      trigger: "item",
      backgroundColor: token("--mg-text"),
      borderWidth: 0,
      textStyle: { color: token("--mg-surface") },
      formatter: ({ dataIndex, seriesType, value }) => {
        const row = rows[seriesType === "custom" ? value[0] : dataIndex];
        const span = row.low === null || row.low === undefined ? "" : `\n${fixed(row.low)} – ${fixed(row.high)}`;
        return `${row.name}\n${box.dataset.axis} ${fixed(row.value)}${span}`;
      },
    },
    xAxis: {
      type: "value",
      scale: true,
      name: box.dataset.axis,
      nameLocation: "middle",
      nameGap: 24,
      nameTextStyle: { color: token("--mg-muted") },
      axisLabel: { color: token("--mg-muted"), hideOverlap: true },
      splitLine: { lineStyle: { color: token("--mg-line") } },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map((row) => row.name),
      axisTick: { show: false },
      axisLine: { show: false },
      axisLabel: { color: token("--mg-text"), width: nameWidth(box), overflow: "truncate", interval: 0 },
    },
    series: [
      { type: "custom", renderItem: lineOf, data: intervals, encode: { x: [1, 2], y: 0 }, z: 1 },
      {
        type: "scatter",
        symbolSize: 11,
        data: rows.map((row) => ({
          value: row.value,
          symbol: row.isBaseline ? "emptyDiamond" : "circle",
          itemStyle: { color: row.isBaseline ? token("--mg-muted") : token("--mg-accent") },
        })),
        markLine: chance,
        z: 2,
      },
    ],
  };
};

const draw = (box) => {
  const data = JSON.parse(document.getElementById(box.dataset.intervalPlot).textContent);
  const count = data.items.length + data.baselines.length;
  box.style.height = `${Math.max(12, 5 + count * 1.9)}rem`;
  const chart = window.echarts.init(box, null, { renderer: "canvas" });
  const refresh = () => chart.setOption(optionsOf(box, data), true);
  refresh();
  document.addEventListener("themechange", refresh);
  new ResizeObserver(() => {
    chart.resize();
    refresh();
  }).observe(box);
  chart.on("click", ({ dataIndex, seriesType }) => {
    const row = seriesType === "scatter" ? data.items[dataIndex] : undefined;
    if (row) window.location.assign(row.url);
  });
};

for (const box of document.querySelectorAll("[data-interval-plot]")) draw(box);

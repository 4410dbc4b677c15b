/**
 * The style sheet of the report. Series colours are Okabe and Ito's colour-blind-safe set, darkened
 * on white and lightened on black until lines reach a contrast of 3 : 1. It contains neither `<`
 * nor `&`, so that the page is well-formed XML too.
 */
const LIGHT = `
  color-scheme: light;
  --page: #ffffff; --card: #f6f7f9; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de;
  --grid: #dfe3e8; --notice: #fff4d6; --notice-rule: #b7791f; --mesh: rgb(255 255 255 / 0.35);
  --series-0: #0072b2; --series-1: #c24e00; --series-2: #00805c;
  --series-3: #a8457f; --series-4: #8a6d00; --series-5: #5b4bb5;`;

const DARK = `
  color-scheme: dark;
  --page: #14171c; --card: #1d2229; --ink: #e8eaed; --soft: #a9b2bd; --rule: #3a424d;
  --grid: #333b45; --notice: #3a2f12; --notice-rule: #e0a93b; --mesh: rgb(255 255 255 / 0.28);
  --series-0: #56b4e9; --series-1: #ff9347; --series-2: #2fd0a0;
  --series-3: #e894c4; --series-4: #e6c229; --series-5: #a99cff;`;

export const STYLE = `
:root {${LIGHT}
}
@media (prefers-color-scheme: dark) { :root {${DARK}
} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.25rem; margin: 40px 0 12px; }
p { margin: 0 0 12px; max-width: 75ch; }
.soft, figcaption p { color: var(--soft); font-size: 0.875rem; }
.notice { background: var(--notice); border-left: 4px solid var(--notice-rule);
  padding: 10px 14px; margin: 16px 0; max-width: 75ch; }
.findings { padding-left: 1.2em; max-width: 90ch; }
.findings li { margin-bottom: 6px; }
.scroll { overflow-x: auto; margin: 0 0 20px; }
.scroll:focus-visible { outline: 2px solid var(--series-0); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 6px; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody th { font-weight: 400; }
table.numeric td, table.numeric thead th + th { text-align: right; }
table.numeric td, .wide tbody th { white-space: nowrap; }
.wide th, .wide td { padding: 4px 6px; font-size: 0.8125rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 20px;
  font-size: 0.875rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.charts { display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }
.charts.pairs { grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
figure { margin: 0; padding: 14px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; min-width: 0; }
figcaption h3 { font-size: 1rem; margin: 0 0 2px; }
figcaption p { margin: 0 0 8px; }
figure > svg { display: block; width: 100%; max-width: 480px; height: auto; margin: 0 auto; }
figure { display: flex; flex-direction: column; }
.charts:not(.pairs) figure > svg { margin-top: auto; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0 0 6px;
  padding: 0; font-size: 0.875rem; }
.legend li { display: flex; align-items: center; gap: 6px; }
.legend svg { width: 34px; height: 14px; margin: 0; flex: none; }
svg text { fill: var(--soft); font-size: 11.5px; }
svg text.name { fill: var(--ink); }
svg text.strong { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--grid); fill: none; }
.axis { stroke: var(--soft); fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.band { fill-opacity: 0.18; stroke: none; }
.error { fill: none; stroke-width: 1.5; }
.marker { stroke: var(--card); stroke-width: 0.75; }
.bar { fill-opacity: 0.55; }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.seed { fill: var(--card); stroke: var(--ink); stroke-width: 1; }
.floor { fill: none; stroke: var(--soft); }
.cell { stroke: var(--mesh); stroke-width: 0.4; stroke-linejoin: round; }
.isoline { fill: none; stroke: #ffffff; stroke-width: 0.9; }
.isoline.under { stroke: #000000; stroke-opacity: 0.45; stroke-width: 2; }
.outline { fill: none; stroke: var(--soft); }
.origin { fill: none; stroke: #ffffff; stroke-width: 2; }
.origin.under { stroke: #000000; stroke-width: 4; }
@media (max-width: 480px) {
  main { padding: 16px 10px 48px; }
  figure { padding: 10px 8px; }
  th, td { padding: 4px 3px; }
  table, .facts { font-size: 0.75rem; line-height: 1.35; }
  .scroll:not(.wide) table.numeric td { white-space: normal; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: 6px; }
}
@media print {
  :root {${LIGHT}
  }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 2px 5px; }
  .wide table { font-size: 5.5pt; }
  .charts, .charts.pairs { grid-template-columns: 1fr 1fr; }
  figure, tr, .notice { break-inside: avoid; }
  h2, caption { break-after: avoid; }
  figure, .bar, .cell, rect, .notice { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;

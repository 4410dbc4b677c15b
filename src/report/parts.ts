/** The parts that reports are made of, for reports of another form: the paper's tables and figures. */

export { type Bar, type BarChart, barChart } from './charts/barChart.js';
export { type BandPoint, bandOverSeeds, bandPoint } from './charts/curves.js';
export { type ChartText, marker, seriesColour, seriesDash, WIDTH } from './charts/frame.js';
export { heatMap } from './charts/heatMap.js';
export { heightScale } from './charts/heightScale.js';
export { type LineChart, lineChart, type Series } from './charts/lineChart.js';
export * from './charts/sharpness.js';
export { surfaceChart } from './charts/surfaceChart.js';
export { type Format, formatMeasured, formatSigned, MISSING } from './format.js';
export { htmlDocument } from './html/frame.js';
export { htmlTable } from './html/page.js';
export { STYLE } from './html/style.js';
export { escapeMarkdown, markdownTable } from './markdown.js';
export { element, fragment, type Markup, styleSheet } from './markup.js';

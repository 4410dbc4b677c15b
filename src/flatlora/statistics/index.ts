/** What calibration data says about layers: gradients of their weights, covariances of their inputs. */
export * from './layerCovariances.js';
export * from './layerGradients.js';
export * from './layerStatistics.js';

/** Linear algebra of small matrices inside programs: eigenvalues, QR, SVD, linear equations. */
export * from './qr.js';
export * from './randomised.js';
export * from './svd.js';
export * from './symmetric.js';

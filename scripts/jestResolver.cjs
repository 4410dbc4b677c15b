/**
 * Our sources import './x.js' and mean './x.ts', as the compiler does. Only our own files are
 * treated so: a dependency's relative imports are left as they are.
 */
module.exports = (request, options) => {
  const ours = !options.basedir.split(/[\\/]/).includes('node_modules');
  if (ours && /^\.{1,2}\/.*\.js$/.test(request)) {
    try {
      return options.defaultResolver(request.replace(/\.js$/, '.ts'), options);
    } catch {
      // No such source: a real JavaScript file, found below.
    }
  }
  return options.defaultResolver(request, options);
};

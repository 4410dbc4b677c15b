/**
 * The import-direction rule of importRules.mjs, checked on every import of every file in src/:
 * static, type-only, re-export, dynamic and `import('…')` types. Specifiers are resolved, so
 * '../models/x.js' and '../../src/models/x.js' are the same to it. Exits 1 with file:line per
 * violation. Usage: node scripts/checkImports.mjs [SRC_FOLDER]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';
import { RULES } from './importRules.mjs';

const src = path.resolve(process.argv[2] ?? fileURLToPath(new URL('../src', import.meta.url)));

const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts') && !file.split(path.sep).includes('assembly'))
  .sort();

/** Every module specifier of a parsed file: `{ value, start }`, start being a byte offset. */
function specifiers(node, found = []) {
  if (Array.isArray(node)) {
    for (const child of node) specifiers(child, found);
  } else if (node !== null && typeof node === 'object') {
    const literal =
      node.type === 'CallExpression' && isLoader(node.callee)
        ? node.arguments[0]?.expression
        : node.type === 'TsImportType'
          ? node.argument
          : node.type === 'TsExternalModuleReference'
            ? node.expression
            : node.source;
    if (literal?.type === 'StringLiteral') {
      found.push({ value: literal.value, start: literal.span.start });
    }
    for (const child of Object.values(node)) specifiers(child, found);
  }
  return found;
}

const isLoader = (callee) =>
  callee.type === 'Import' || (callee.type === 'Identifier' && callee.value === 'require');

const packageOf = (specifier) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

const roomOf = (file) => (file.includes(path.sep) ? file.split(path.sep)[0] : '.');

/** Why `file` may not import `specifier`, or undefined. */
function complaint(file, specifier) {
  const room = roomOf(file);
  const rule = RULES[room];
  if (rule === undefined) return `unknown room "${room}": add it to scripts/importRules.mjs`;
  if (specifier.startsWith('.')) {
    const target = path.relative(src, path.resolve(src, path.dirname(file), specifier));
    if (target.startsWith('..')) return 'reaches outside src/';
    const other = roomOf(target);
    if (other === room || rule.rooms.includes(other)) return undefined;
    return `"${room}" must not import from "${other}"`;
  }
  if (isBuiltin(specifier)) {
    const named = path.basename(file).startsWith('node');
    if (rule.node === 'always' || (rule.node === 'node*.ts' && named)) return undefined;
    return `"${room}" must not import Node built-ins${rule.node === 'never' ? '' : ` outside ${rule.node}`}`;
  }
  const name = packageOf(specifier);
  return rule.packages.includes(name) ? undefined : `"${room}" must not import package "${name}"`;
}

let violations = 0;
for (const file of files) {
  const text = readFileSync(path.join(src, file), 'utf8');
  const bytes = Buffer.from(text);
  // swc numbers bytes through all files that it has parsed; an empty program tells where it is.
  const base = parseSync('', { syntax: 'typescript' }).span.end;
  for (const { value, start } of specifiers(
    parseSync(text, { syntax: 'typescript', target: 'es2022' }),
  )) {
    const why = complaint(file, value);
    if (why === undefined) continue;
    violations += 1;
    const line = bytes
      .subarray(0, Math.max(0, start - base))
      .toString()
      .split('\n').length;
    console.error(`src/${file.split(path.sep).join('/')}:${line}: '${value}': ${why}`);
  }
}
if (violations > 0) {
  console.error(`${violations} import(s) against the direction rule (scripts/importRules.mjs)`);
  process.exit(1);
}
console.log(`import directions: ${files.length} files, no violation`);

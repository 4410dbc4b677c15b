/**
 * Runs a command with WebGPU on SwiftShader, the software adapter that Debian's `chromium` package
 * ships (it needs `libvulkan1` as well), and asks the tests to fail where WebGPU is missing.
 * Usage: node scripts/withSwiftShader.mjs COMMAND [ARGUMENT…]
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';

const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';
const [command, ...args] = process.argv.slice(2);
if (command === undefined || !existsSync(driver)) {
  console.error(
    command === undefined
      ? 'usage: node scripts/withSwiftShader.mjs COMMAND [ARGUMENT…]'
      : `${driver} is missing: apt-get install chromium libvulkan1`,
  );
  process.exit(2);
}

// The Vulkan loader and Dawn want a runtime folder; containers often have none.
const own = process.env.XDG_RUNTIME_DIR ? undefined : mkdtempSync(path.join(tmpdir(), 'runtime-'));
const child = spawn(command, args, {
  stdio: 'inherit',
  env: {
    XDG_RUNTIME_DIR: own,
    ...process.env,
    VK_ICD_FILENAMES: driver,
    VK_DRIVER_FILES: driver,
    FLATLORA_REQUIRE_WEBGPU: '1',
  },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));

const finish = (code) => {
  if (own !== undefined) rmSync(own, { recursive: true, force: true });
  process.exit(code);
};
child.on('error', (error) => {
  console.error(`${command}: ${error.message}`);
  finish(127);
});
child.on('close', (code, signal) => finish(code ?? 128 + (constants.signals[signal] ?? 0)));

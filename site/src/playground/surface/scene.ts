/** Two surfaces in one three.js scene. It is drawn when something changes, never in a loop. */
import {
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  Color,
  DirectionalLight,
  DoubleSide,
  Group,
  HemisphereLight,
  LineBasicMaterial,
  LineSegments,
  Mesh,
  MeshLambertMaterial,
  PerspectiveCamera,
  Sprite,
  SpriteMaterial,
  Scene as ThreeScene,
  WebGLRenderer,
} from 'three';
import { heightScale, rangeOf } from './HeatMaps.js';
import type { Grid } from './Surface.js';

export interface Scene {
  /** @param together both over the same ground, else side by side. */
  readonly show: (grids: readonly Grid[], together: boolean) => void;
  /** Turns or zooms. @returns whether the key is one of its own. */
  readonly key: (key: string) => boolean;
  readonly dispose: () => void;
}

const HEIGHT = 0.7;
const FRAME = 340;

/** What a CSS variable is here and now. */
function cssColour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const made = getComputedStyle(probe).color;
  probe.remove();
  return made;
}

/** A surface over [−½, ½]², and a wire on every other row. */
function meshOf({ losses, colour }: Grid, height: (loss: number) => number, together: boolean) {
  const n = losses.length;
  const positions = new Float32Array(3 * n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      positions.set(
        [i / (n - 1) - 0.5, HEIGHT * height(losses[i]?.[j] as number), j / (n - 1) - 0.5],
        3 * (i * n + j),
      );
    }
  }
  const faces: number[] = [];
  const wires: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const at = i * n + j;
      if (i + 1 < n) wires.push(at, at + n);
      if (j + 1 < n) wires.push(at, at + 1);
      if (i + 1 < n && j + 1 < n) faces.push(at, at + 1, at + n, at + 1, at + n + 1, at + n);
    }
  }
  const surface = new BufferGeometry();
  surface.setAttribute('position', new BufferAttribute(positions, 3));
  surface.setIndex(faces);
  surface.computeVertexNormals();
  const lines = new BufferGeometry();
  lines.setAttribute('position', new BufferAttribute(positions, 3));
  lines.setIndex(wires);
  const tint = new Color(cssColour(`--${colour}`));
  const group = new Group();
  group.add(
    new Mesh(
      surface,
      new MeshLambertMaterial({
        color: tint,
        side: DoubleSide,
        transparent: together,
        opacity: together ? 0.65 : 1,
        polygonOffset: true,
        polygonOffsetFactor: 1,
      }),
    ),
    new LineSegments(
      lines,
      new LineBasicMaterial({
        color: tint.clone().multiplyScalar(0.55),
        transparent: true,
        opacity: 0.7,
      }),
    ),
  );
  return group;
}

/** A frame around a surface: the ground, and a pole for the height. */
function frame(): LineSegments {
  const [a, b] = [-0.5, 0.5];
  const points = [
    [a, 0, a, b, 0, a],
    [b, 0, a, b, 0, b],
    [b, 0, b, a, 0, b],
    [a, 0, b, a, 0, a],
    [a, 0, a, a, HEIGHT, a],
  ].flat();
  const geometry = new BufferGeometry();
  geometry.setAttribute('position', new BufferAttribute(new Float32Array(points), 3));
  return new LineSegments(
    geometry,
    new LineBasicMaterial({ color: new Color(cssColour('--quiet')) }),
  );
}

/** A text that always faces the reader. */
function sign(text: string, [x, y, z]: readonly [number, number, number]): Sprite {
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d') as CanvasRenderingContext2D;
  const font = '36px system-ui, sans-serif';
  pen.font = font;
  canvas.width = Math.ceil(pen.measureText(text).width) + 8;
  canvas.height = 48;
  pen.font = font;
  pen.fillStyle = cssColour('--ink');
  pen.fillText(text, 4, 36);
  const made = new Sprite(new SpriteMaterial({ map: new CanvasTexture(canvas), depthTest: false }));
  const size = 0.085;
  made.scale.set((size * canvas.width) / canvas.height, size, 1);
  made.position.set(x, y, z);
  return made;
}

/** @throws Error where WebGL2 does not work. */
export function createScene(place: HTMLElement): Scene {
  const renderer = new WebGLRenderer({ antialias: true, alpha: true });
  place.append(renderer.domElement);
  const scene = new ThreeScene();
  const camera = new PerspectiveCamera(32, 1, 0.1, 20);
  const sun = new DirectionalLight(0xffffff, 2);
  sun.position.set(1, 2, 1.5);
  scene.add(new HemisphereLight(0xffffff, 0x777777, 1.8), sun);
  let [turn, tilt, distance] = [0.75, 0.5, 2.9];
  let shown = new Group();
  let isDue = false;
  const draw = (): void => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      camera.position.set(
        distance * Math.cos(tilt) * Math.sin(turn),
        distance * Math.sin(tilt) + 0.2,
        distance * Math.cos(tilt) * Math.cos(turn),
      );
      camera.lookAt(0, 0.25, 0);
      renderer.render(scene, camera);
    });
  };
  const fit = (): void => {
    const width = place.clientWidth;
    if (width === 0) return;
    const height = Math.min(FRAME, Math.max(220, width * 0.6));
    renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    renderer.setSize(width, height);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    draw();
  };
  const observer = new ResizeObserver(fit);
  observer.observe(place);
  const moveBy = (x: number, y: number): void => {
    turn += x;
    tilt = Math.min(1.45, Math.max(0.05, tilt + y));
    draw();
  };
  const onMove = (event: PointerEvent): void => {
    if (event.buttons !== 0) moveBy(-event.movementX / 150, event.movementY / 150);
  };
  renderer.domElement.addEventListener('pointermove', onMove);
  renderer.domElement.style.touchAction = 'pan-y';

  const clear = (): void => {
    scene.remove(shown);
    shown.traverse((object) => {
      const { geometry, material } = object as Partial<Mesh>;
      geometry?.dispose();
      for (const one of material === undefined ? [] : [material].flat()) {
        (one as { map?: { dispose(): void } | null }).map?.dispose();
        one.dispose();
      }
    });
  };
  const show = (grids: readonly Grid[], together: boolean): void => {
    clear();
    shown = new Group();
    const [low, high] = rangeOf(grids);
    const height = heightScale([low, high]);
    const spread = together || grids.length < 2 ? 0 : 0.62;
    for (const [k, grid] of grids.entries()) {
      const one = new Group();
      one.add(meshOf(grid, height, together));
      if (!together || k === 0) {
        one.add(frame());
        one.add(sign(low.toPrecision(2), [-0.58, 0, -0.5]));
        one.add(sign(high.toPrecision(2), [-0.58, HEIGHT, -0.5]));
      }
      one.add(sign(grid.name, [0, together ? HEIGHT + 0.12 + 0.1 * k : HEIGHT + 0.12, -0.5]));
      one.position.x = spread * (2 * k - 1);
      shown.add(one);
    }
    // Side by side they are wide: seen from the front, and from further away.
    shown.rotation.y = spread === 0 ? 0 : turn;
    scene.add(shown);
    draw();
  };
  fit();
  return {
    show,
    key: (name) => {
      const moves: Readonly<Record<string, () => void>> = {
        ArrowLeft: () => moveBy(-0.15, 0),
        ArrowRight: () => moveBy(0.15, 0),
        ArrowUp: () => moveBy(0, 0.1),
        ArrowDown: () => moveBy(0, -0.1),
        '+': () => {
          distance = Math.max(1.4, distance * 0.9);
          draw();
        },
        '-': () => {
          distance = Math.min(6, distance / 0.9);
          draw();
        },
      };
      const move = Object.hasOwn(moves, name) ? moves[name] : undefined;
      move?.();
      return move !== undefined;
    },
    dispose: () => {
      observer.disconnect();
      clear();
      renderer.dispose();
      renderer.domElement.remove();
    },
  };
}

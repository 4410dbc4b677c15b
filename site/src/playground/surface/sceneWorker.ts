/** Draws two surfaces with three.js, in a Worker; when something changes, never in a loop. */
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
import { heightScale, rangeOf } from './heights.js';
import type { Grid } from './Surface.js';
import type { Colours, FromScene, ToScene } from './sceneProtocol.js';

const HEIGHT = 0.7;

/** A surface over [−½, ½]², and a wire on every other row. */
function meshOf(
  { losses, colour }: Grid,
  height: (loss: number) => number,
  together: boolean,
  colours: Colours,
) {
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
  const tint = new Color(colours[colour]);
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
function frame({ quiet }: Colours): LineSegments {
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
  return new LineSegments(geometry, new LineBasicMaterial({ color: new Color(quiet) }));
}

/** A text that always faces the reader. */
function sign(
  text: string,
  [x, y, z]: readonly [number, number, number],
  { ink }: Colours,
): Sprite {
  const canvas = new OffscreenCanvas(1, 1);
  const pen = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  const font = '36px system-ui, sans-serif';
  pen.font = font;
  canvas.width = Math.ceil(pen.measureText(text).width) + 8;
  canvas.height = 48;
  pen.font = font;
  pen.fillStyle = ink;
  pen.fillText(text, 4, 36);
  const made = new Sprite(new SpriteMaterial({ map: new CanvasTexture(canvas), depthTest: false }));
  const size = 0.085;
  made.scale.set((size * canvas.width) / canvas.height, size, 1);
  made.position.set(x, y, z);
  return made;
}

type Move = Extract<ToScene, { kind: 'move' }>;
type Size = Extract<ToScene, { kind: 'size' }>;
type Show = Extract<ToScene, { kind: 'show' }>;

/** @throws Error where WebGL2 does not work. */
function openScene(canvas: OffscreenCanvas) {
  const renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
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
  return {
    size: ({ width, height, ratio }: Size): void => {
      renderer.setPixelRatio(ratio);
      renderer.setSize(width, height, false);
      camera.aspect = width / height;
      camera.updateProjectionMatrix();
      draw();
    },
    move: (by: Move): void => {
      turn += by.turn;
      tilt = Math.min(1.45, Math.max(0.05, tilt + by.tilt));
      distance = Math.min(6, Math.max(1.4, distance * by.zoom));
      draw();
    },
    show: ({ grids, together, colours }: Show): void => {
      clear();
      shown = new Group();
      const [low, high] = rangeOf(grids);
      const height = heightScale([low, high]);
      const spread = together || grids.length < 2 ? 0 : 0.62;
      for (const [k, grid] of grids.entries()) {
        const one = new Group();
        one.add(meshOf(grid, height, together, colours));
        if (!together || k === 0) {
          one.add(frame(colours));
          one.add(sign(low.toPrecision(2), [-0.58, 0, -0.5], colours));
          one.add(sign(high.toPrecision(2), [-0.58, HEIGHT, -0.5], colours));
        }
        const top = HEIGHT + 0.12 + (together ? 0.1 * k : 0);
        one.add(sign(grid.name, [0, top, -0.5], colours));
        one.position.x = spread * (2 * k - 1);
        shown.add(one);
      }
      // Side by side they are wide: seen from the front, and from further away.
      shown.rotation.y = spread === 0 ? 0 : turn;
      scene.add(shown);
      draw();
    },
  };
}

let scene: ReturnType<typeof openScene> | undefined;
addEventListener('message', ({ data }: MessageEvent<ToScene>): void => {
  switch (data.kind) {
    case 'open':
      try {
        scene = openScene(data.canvas);
      } catch {
        postMessage({ kind: 'failed' } satisfies FromScene);
      }
      return;
    case 'size':
      scene?.size(data);
      return;
    case 'move':
      scene?.move(data);
      return;
    case 'show':
      scene?.show(data);
      return;
  }
});

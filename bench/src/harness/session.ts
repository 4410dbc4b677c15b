/** Engines’ processes over the works of a run. */
import type { Absent, Catalogue, Peer } from '../peers/catalogue.js';
import type { Contestant, Missing } from './compare.js';
import type { EngineInfo } from './job.js';
import { type EngineProcess, lastingEngine } from './process.js';

export interface Session {
  readonly subject: Contestant;
  readonly peers: readonly Contestant[];
  readonly engines: readonly EngineInfo[];
  readonly absent: readonly Absent[];
  readonly end: () => void;
}

interface Started {
  readonly info: EngineInfo;
  readonly contestant: Contestant;
}

/** Starts every engine; those that do not start are absent with the reason. */
export async function openSession({ subject, peers, absent }: Catalogue): Promise<Session> {
  const running: EngineProcess[] = [];
  const start = async ({ launch, name }: Peer): Promise<Started | Absent> => {
    const process = lastingEngine(launch);
    try {
      const info = await process.hello();
      running.push(process);
      return { info, contestant: { name: info.name, epsilon: info.epsilon, process } };
    } catch (cause) {
      process.end();
      return { name, reason: (cause as Error).message };
    }
  };
  const own = await start(subject);
  if ('reason' in own) throw new Error(`flatlora does not start: ${own.reason}`);
  // One after another: an engine may measure the machine while it starts.
  const others: (Started | Absent)[] = [];
  for (const peer of peers) others.push(await start(peer));
  const started = others.flatMap((other) => ('info' in other ? [other] : []));
  const failed = others.flatMap((other) => ('reason' in other ? [other] : []));
  return {
    subject: own.contestant,
    peers: started.map(({ contestant }) => contestant),
    engines: [own.info, ...started.map(({ info }) => info)],
    absent: [...absent, ...failed],
    end: () => {
      for (const process of running) process.end();
    },
  };
}

/** Absent engines as missing rows of every work. */
export const missingEverywhere = (absent: readonly Absent[]): readonly Missing[] =>
  absent.map(({ name, reason }) => ({ work: 'all', peer: name, reason }));

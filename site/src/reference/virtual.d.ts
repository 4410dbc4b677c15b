declare module 'virtual:exports' {
  export interface Export {
    readonly name: string;
    readonly kind: 'function' | 'value' | 'type';
    readonly signature: string;
    readonly summary: string;
    readonly file: string;
    readonly line: number;
  }
  /** Whether the whole reference lies in api/. */
  export const hasApi: boolean;
  export const rooms: readonly { readonly room: string; readonly exports: readonly Export[] }[];
}

declare module 'virtual:book' {
  export interface Chapter {
    readonly id: string;
    readonly title: string;
    readonly load: () => Promise<{ readonly html: string }>;
  }
  export const parts: readonly {
    readonly title: string;
    readonly chapters: readonly Chapter[];
  }[];
}

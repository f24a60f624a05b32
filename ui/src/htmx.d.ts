// htmx ships this build without types; pages use only these.
declare module "htmx.org/dist/htmx.esm.js" {
  const htmx: {
    config: Record<string, unknown>;
    process(element: Element): void;
    ajax(verb: string, path: string, context?: unknown): Promise<void>;
    trigger(element: Element, name: string, detail?: unknown): void;
    swap(...given: unknown[]): unknown;
    on(name: string, listener: (event: CustomEvent) => void): void;
    [name: string]: unknown;
  };
  export default htmx;
}

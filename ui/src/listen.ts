// One EventSource a page for all that moves on it. Each event is the whole state of a topic, so nothing is lost with a
// connection. Where no stream comes through, listeners are asked to look by themselves, ever more slowly.
// A hidden page listens to nothing: it is told the full state when it is looked at again.
export type Heard = (state: unknown) => void; // undefined: nobody tells, look yourself

const heard = new Map<string, Set<Heard>>();
let source: EventSource | null = null;
let joined = "";
let failures = 0;
let timer = 0;
let pause = 2000;

export function listen(topic: string, fn: Heard): () => void {
  const fns = heard.get(topic) ?? new Set<Heard>();
  fns.add(fn);
  heard.set(topic, fns);
  queueMicrotask(connect);
  return () => {
    fns.delete(fn);
    if (!fns.size) heard.delete(topic);
    queueMicrotask(connect);
  };
}

function stop(): void {
  source?.close();
  source = null;
  joined = "";
  clearTimeout(timer);
  timer = 0;
}

function connect(): void {
  const topics = [...heard.keys()].sort().slice(0, 8);
  if (document.hidden || !topics.length) return stop();
  const wanted = topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&");
  if (source && wanted === joined && source.readyState !== EventSource.CLOSED) return;
  stop();
  joined = wanted;
  source = new EventSource(`/events?${wanted}`);
  source.onmessage = (event) => {
    failures = 0;
    pause = 2000;
    clearTimeout(timer);
    timer = 0;
    const { topic, state } = JSON.parse(event.data) as { topic: string; state: unknown };
    if (state !== null) for (const fn of [...(heard.get(topic) ?? [])]) fn(state);
  };
  source.onerror = () => {
    failures += 1;
    if (source?.readyState === EventSource.CLOSED || failures > 2) look();
  };
}

// 2 s, 3 s, … 10 s; each time at 10 s the stream is tried again.
function look(): void {
  if (timer || document.hidden) return;
  timer = window.setTimeout(() => {
    timer = 0;
    if (document.hidden) return;
    for (const fns of [...heard.values()]) for (const fn of [...fns]) fn(undefined);
    if (pause >= 10_000) {
      stop();
      connect();
    }
    pause = Math.min(pause * 1.5, 10_000);
    look();
  }, pause);
}

document.addEventListener("visibilitychange", connect);

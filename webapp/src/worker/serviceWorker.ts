/** Keeps the page's files in a cache named by the hash of them all, and answers from it. `cxr web build` puts a line
 * before this script that lists them: a new model makes a new script, which is how browsers notice.
 *
 * Message to it: `{ used: [URL, ...] }` with a port, from a page that has loaded these files; it keeps those that are
 * kept on demand only, and answers "kept" through the port. */
declare const self: ServiceWorkerGlobalScope & { readonly CXR_KEPT: Kept };
export {};

interface Kept {
  /** Hash of all files: another build is another cache. */
  readonly version: string;
  readonly files: readonly string[];
  /** Those of them that are kept when a page has used them: engines for other machines. */
  readonly on_demand: readonly string[];
}

interface Used {
  readonly used: readonly string[];
}

const PREFIX = `cxr:${self.registration.scope}:`;
const CURRENT = PREFIX + self.CXR_KEPT.version;

/** What decides which model a visit is about: asked of the network first, and of the cache when there is none. */
const FRESH = ["index.html", "page.json"];
const PATIENCE_MS = 4_000;
/** Names change with their content: what the browser has of these, from the page's own loading, needs no question. */
const HASHED = "assets/";

async function install(): Promise<void> {
  const cache = await caches.open(CURRENT);
  const { files, on_demand: onDemand } = self.CXR_KEPT;
  await Promise.all(files.filter((path) => !onDemand.includes(path)).map((path) => keep(cache, path)));
  await self.skipWaiting();
}

/** Keep a file as an answer of our own: one that was redirected (index.html to /, say) would not do for a navigation. */
async function keep(cache: Cache, path: string): Promise<void> {
  const answer = await fetch(new Request(path, { cache: path.startsWith(HASHED) ? "default" : "no-cache" }));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const kind = answer.headers.get("Content-Type") ?? "application/octet-stream";
  await cache.put(path, new Response(await answer.blob(), { headers: { "Content-Type": kind } }));
}

async function keepUsed(used: readonly string[]): Promise<void> {
  const asked = self.CXR_KEPT.on_demand.filter((path) => used.includes(new URL(path, self.registration.scope).href));
  if (asked.length === 0) return;
  const cache = await caches.open(CURRENT);
  await Promise.all(asked.map(async (path) => (await cache.match(path)) ?? keep(cache, path)));
}

async function activate(): Promise<void> {
  const stale = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CURRENT);
  await Promise.all(stale.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  const address = new URL(request.url);
  if (address.pathname.endsWith("/")) address.pathname += "index.html";
  // Not caches.open: that would make the cache anew which a newer version has deleted.
  const kept = await caches.match(address.href, { cacheName: CURRENT, ignoreSearch: true });
  if (kept === undefined) return fetch(request);
  if (!FRESH.some((name) => address.pathname.endsWith(`/${name}`))) return kept;
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok ? answer : kept;
  } catch {
    return kept;
  }
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  const { used } = event.data as Used;
  event.waitUntil(keepUsed(used).then(() => event.ports[0]?.postMessage("kept")));
});
self.addEventListener("fetch", (event) => {
  const ours = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (ours) event.respondWith(answer(event.request));
});

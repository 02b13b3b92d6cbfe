/** Keeps the page's files in a cache named by the hash of them all, and answers from it. `cxr web build` puts a line
 * before this script that lists them: a new model makes a new script, which is how browsers notice. */
declare const self: ServiceWorkerGlobalScope & { readonly CXR_KEPT: Kept };
export {};

interface Kept {
  /** Hash of all files: another build is another cache. */
  readonly version: string;
  readonly files: readonly string[];
}

const PREFIX = `cxr:${self.registration.scope}:`;
const CURRENT = PREFIX + self.CXR_KEPT.version;

/** What decides which model a visit is about: asked of the network first, and of the cache when there is none. */
const FRESH = ["index.html", "page.json"];
const PATIENCE_MS = 4_000;

async function install(): Promise<void> {
  const cache = await caches.open(CURRENT);
  await Promise.all(self.CXR_KEPT.files.map((path) => keep(cache, path)));
  await self.skipWaiting();
}

/** Keep a file as an answer of our own: one that was redirected (index.html to /, say) would not do for a navigation. */
async function keep(cache: Cache, path: string): Promise<void> {
  const answer = await fetch(new Request(path, { cache: "no-cache" }));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const kind = answer.headers.get("Content-Type") ?? "application/octet-stream";
  await cache.put(path, new Response(await answer.blob(), { headers: { "Content-Type": kind } }));
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
self.addEventListener("fetch", (event) => {
  const ours = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (ours) event.respondWith(answer(event.request));
});

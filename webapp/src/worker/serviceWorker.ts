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

async function install(): Promise<void> {
  const cache = await caches.open(CURRENT);
  await cache.addAll(self.CXR_KEPT.files.map((path) => new Request(path, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function activate(): Promise<void> {
  const stale = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CURRENT);
  await Promise.all(stale.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  const address = new URL(request.url);
  if (address.pathname.endsWith("/")) address.pathname += "index.html";
  const cache = await caches.open(CURRENT);
  return (await cache.match(address.href, { ignoreSearch: true })) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const ours = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (ours) event.respondWith(answer(event.request));
});

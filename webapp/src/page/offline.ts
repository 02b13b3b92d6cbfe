/** The service worker keeps the files of the page, so that it opens again without a network: those that every visit
 * needs, and those that this visit has used. */

interface Told {
  /** All files that it takes here are kept. */
  readonly kept: () => void;
  /** Another version of the page has been kept in the place of this one, by another tab, say. */
  readonly outdated: () => void;
}

/** Register it. Browsers allow it on https and on localhost only. `description` is the text of this page's page.json. */
export function keepOffline(description: string, { kept, outdated }: Told): void {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    keepUsed(navigator.serviceWorker.controller, kept); // a new worker has a cache of its own
    void activated(navigator.serviceWorker.controller)
      .then(() => isOutdated(description))
      .then((is) => is && outdated());
  });
  navigator.serviceWorker
    .register("service-worker.js")
    .then(() => navigator.serviceWorker.ready)
    .then(({ active }) => keepUsed(active, kept))
    .catch(() => undefined); // the page works without, as long as the network does
}

/** Tell the worker what has been loaded; `kept` when it has kept what it did not have. */
function keepUsed(worker: ServiceWorker | null, kept: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    kept();
  };
  const used = performance.getEntriesByType("resource").map(({ name }) => name);
  worker?.postMessage({ used }, [port2]);
}

/** A worker takes its pages over before it has deleted what an older one kept. */
function activated(worker: ServiceWorker | null): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (worker === null || !["installing", "installed", "activating"].includes(worker.state)) resolve();
    };
    worker?.addEventListener("statechange", look);
    look();
  });
}

/** Whether what is kept now is another model or another script than this page's. Asks the cache, not the network. */
async function isOutdated(description: string): Promise<boolean> {
  const script = document.querySelector("script[type=module]")?.getAttribute("src") ?? "";
  const [described, index] = await Promise.all(["page.json", "index.html"].map(keptText));
  return described !== undefined && index !== undefined && (described !== description || !index.includes(script));
}

async function keptText(name: string): Promise<string | undefined> {
  return (await caches.match(new URL(name, document.baseURI).href))?.text();
}

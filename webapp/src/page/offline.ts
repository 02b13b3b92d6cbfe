/** The service worker keeps every file of the page, so that it opens again without a network. */

/** Register it, and say when all files are kept. Browsers allow it on https and on localhost only. */
export function keepOffline(kept: () => void): void {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker
    .register("service-worker.js")
    .then(() => navigator.serviceWorker.ready)
    .then(kept)
    .catch(() => undefined); // the page works without, as long as the network does
}

// Runs before a page's own scripts, the same on every page. The page sets `data-state=ready` on <html>, takes files by
// #files and says in #status when they are scored. Times are milliseconds since the navigation began.
(() => {
  const over = /probability|scored/;
  const seen = (window.seen = { ready: null, first: null, began: null, ended: null, error: null });
  window.addEventListener("error", (event) => (seen.error ??= String(event.message)));
  window.addEventListener("unhandledrejection", (event) => (seen.error ??= String(event.reason)));

  /** Hand over the first image as soon as the page takes one. */
  const giveFirst = () => {
    const bytes = Uint8Array.from(atob("%FIRST%"), (letter) => letter.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File([bytes], "first.jpeg", { type: "image/jpeg" }));
    const files = document.getElementById("files");
    files.files = given.files;
    files.dispatchEvent(new Event("change", { bubbles: true }));
  };

  document.addEventListener(
    "change",
    () => Object.assign(seen, { began: performance.now(), ended: null }),
    true,
  );
  document.addEventListener("DOMContentLoaded", () => {
    const status = document.getElementById("status");
    new MutationObserver(() => {
      if (seen.began === null || seen.ended !== null || !over.test(status.textContent)) return;
      seen.ended = performance.now();
      seen.first ??= seen.ended;
    }).observe(status, { childList: true, characterData: true, subtree: true });
  });
  const waiting = new MutationObserver(() => {
    if (document.documentElement?.dataset.state !== "ready") return;
    waiting.disconnect();
    seen.ready = performance.now();
    giveFirst();
  });
  waiting.observe(document, { attributes: true, attributeFilter: ["data-state"], subtree: true });
})();

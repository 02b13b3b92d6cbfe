/** The ways in: drop, paste, pick, photograph. Each hands over files, in the order in which they came. */
import { byId } from "./dom.js";

type Take = (files: readonly File[]) => void;

/** `failed`: something was dropped that the browser cannot read. */
export function listen(take: Take, failed: () => void): void {
  pickers(take);
  dragging(take, failed);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) {
      event.preventDefault();
      take(files);
    }
  });
}

/** Files can be taken from now on: the buttons wake up. */
export function ready(): void {
  for (const id of ["choose", "photograph"]) byId(id, HTMLButtonElement).disabled = false;
}

function pickers(take: Take): void {
  for (const [button, input] of [
    ["choose", "files"],
    ["photograph", "camera"],
  ] as const) {
    const field = byId(input, HTMLInputElement);
    byId(button, HTMLButtonElement).addEventListener("click", () => field.click());
    field.addEventListener("change", () => {
      const files = [...(field.files ?? [])];
      field.value = ""; // the same file may be chosen again
      if (files.length > 0) take(files);
    });
  }
}

function dragging(take: Take, failed: () => void): void {
  let depth = 0; // enter and leave come for every element on the way
  const mark = (): void => {
    document.body.classList.toggle("dragging", depth > 0);
  };
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    mark();
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    mark();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    void filesOf(event.dataTransfer).then(take, failed);
  });
}

/** The files of a drop; of a dropped folder, all files below it, by name. */
async function filesOf(dropped: DataTransfer | null): Promise<File[]> {
  if (dropped === null) return [];
  // Entries must be taken before the first await: the list is emptied when the event is over.
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...dropped.files];
  const found = await Promise.all(entries.map(below));
  return found.flat();
}

async function below(entry: FileSystemEntry): Promise<File[]> {
  if (isFile(entry)) return [await new Promise<File>((resolve, reject) => entry.file(resolve, reject))];
  if (!isFolder(entry)) return [];
  const reader = entry.createReader();
  const entries: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break; // a reader gives a hundred at a time
    entries.push(...some);
  }
  entries.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return (await Promise.all(entries.map(below))).flat();
}

// Chromium has no names for the classes of entries: `instanceof` would fail there.
function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

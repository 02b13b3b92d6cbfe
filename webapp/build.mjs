/**
 * Builds the web sources.
 *
 *   node build.mjs            into ../src/cxr/webapp/static: verify/, page/, wasm/ (of all of them), verify-node.mjs,
 *                             build.json with the sizes of all files, as `engine` the scripts that are loaded
 *                             before a first image is scored, as `page_wasm` where a page has the folder wasm/, as `page_on_demand`
 *                             the page's files that few machines need (and its licences.txt), as `sources` the digest of what all was built from
 *                             (hatch_build.py packs no page that is not of the sources beside it)
 *   node build.mjs --tests    the tests into build/tests, for `node --test`
 *
 * The folder is made beside its final place and renamed: a build that fails leaves the old one.
 */
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const STATIC = join(HERE, "..", "src", "cxr", "webapp", "static");
/** What the built files are made of; hatch_build.py has the same list and the same digest. */
const SOURCES = ["webapp/build.mjs", "webapp/package-lock.json", "webapp/tsconfig.json", "src/cxr/webapp/headers.json"];
const WASM = join(HERE, "node_modules", "@tensorflow", "tfjs-backend-wasm", "dist");
const LICENCES = "licences.txt";
const WASM_FILES = ["tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm"];

/** For each folder, what is loaded before the first image is scored: the entry, the WebAssembly backend and theirs. */
const engineFiles = {};
/** The packages whose code is in what was built. */
const bundled = new Set();
let pageOnDemand = [];

/** TF.js without what the page never runs: optimizers and gradients, the threaded WebAssembly and its worker. */
const slim = {
  name: "slim",
  setup(plugin) {
    const core = join(HERE, "node_modules", "@tensorflow", "tfjs-core", "dist");
    plugin.onResolve({ filter: /^@tensorflow\/tfjs-core$/ }, () => ({ path: "core", namespace: "slim" }));
    plugin.onLoad({ filter: /^core$/, namespace: "slim" }, () => ({
      contents: `import "${core}/base_side_effects.js"; export * from "${core}/base.js";`,
      resolveDir: core,
    }));
    plugin.onResolve({ filter: /tfjs-backend-wasm-threaded-simd/ }, () => ({ path: "threads", namespace: "slim" }));
    plugin.onLoad({ filter: /^threads$/, namespace: "slim" }, () => ({
      contents: "export default null; export const wasmWorkerContents = '';",
    }));
  },
};

const shared = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
  plugins: [slim],
  mainFields: ["module", "main"],
  define: { "process.env.NODE_ENV": '"production"' },
};

/** In Node there is no graphics hardware, and `fetch` is its own. */
const forNode = {
  name: "for-node",
  setup(plugin) {
    plugin.onResolve({ filter: /^node-fetch$/ }, () => ({ path: "fetch", namespace: "slim" }));
    plugin.onLoad({ filter: /^fetch$/, namespace: "slim" }, () => ({ contents: "module.exports = globalThis.fetch;" }));
    plugin.onResolve({ filter: /tfjs-backend-web(gl|gpu)$/ }, () => ({ path: "graphics", namespace: "slim" }));
    plugin.onLoad({ filter: /^graphics$/, namespace: "slim" }, () => ({ contents: "export default null;" }));
  },
};

const node = {
  ...shared,
  plugins: [slim, forNode],
  platform: "node",
  // Emscripten's glue asks for Node's modules in the old way.
  banner: { js: 'import { createRequire as cxrRequire } from "node:module"; const require = cxrRequire(import.meta.url), __filename = new globalThis.URL(import.meta.url).pathname, __dirname = new globalThis.URL(".", import.meta.url).pathname;' },
};

const browser = {
  ...shared,
  platform: "browser",
  mainFields: ["browser", "module", "main"],
  splitting: true,
  chunkNames: "[name]-[hash]",
};

async function buildStatic() {
  const made = `${STATIC}.part`;
  await rm(made, { recursive: true, force: true });
  await mkdir(join(made, "wasm"), { recursive: true });
  for (const name of WASM_FILES) await cp(join(WASM, name), join(made, "wasm", name));
  await buildFolder(made, "verify", "verify.ts", ["verify.html"]);
  await buildPage(made);
  const verifier = { entryPoints: [join(HERE, "src/verify/verifyNode.ts")], outfile: join(made, "verify-node.mjs") };
  noteBundled(await build({ ...node, ...verifier, absWorkingDir: HERE, metafile: true }));
  await writeFile(join(made, "page", LICENCES), await licences());
  await writeFile(join(made, "build.json"), `${JSON.stringify(await summary(made), null, 2)}\n`);
  await rm(STATIC, { recursive: true, force: true });
  await rename(made, STATIC);
}

function noteBundled({ metafile }) {
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
      if (found && bytesInOutput > 0) bundled.add(found[1]);
    }
  }
}

/** The licences of all packages whose code is in the built files: they go wherever those go. */
async function licences() {
  const texts = new Map();
  for (const name of [...bundled].sort()) {
    const folder = join(HERE, "node_modules", name);
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const text = (await licenceText(folder, about)).trim();
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${about.version} (${about.license})`]);
  }
  const parts = [...texts].map(([text, names]) => `${names.join("\n")}\n\n${text}\n`);
  return `The page's scripts hold code of these packages.\n\n${parts.join(`\n${"-".repeat(72)}\n\n`)}`;
}

/** From its file, else from its README below a heading; Apache-2.0, which TensorFlow.js only names, is this project's own. */
async function licenceText(folder, { name, license }) {
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
  if (file) return readFile(join(folder, file), "utf8");
  const readme = join(folder, "README.md");
  const told = existsSync(readme) ? /^#*\s*LICENSE\b[^\n]*\n-*\n+(?<text>[^]*Copyright[^]*)$/m.exec(await readFile(readme, "utf8")) : null;
  if (told) return told.groups.text;
  if (license === "Apache-2.0") return readFile(join(HERE, "..", "LICENSE"), "utf8");
  throw new Error(`${name} has no text of its licence (${license})`);
}

async function buildFolder(made, name, entry, copied) {
  const source = join(HERE, "src", name);
  const { metafile } = await build({
    ...browser,
    absWorkingDir: HERE,
    entryPoints: [join(source, entry)],
    outdir: join(made, name),
    metafile: true,
  });
  noteBundled({ metafile });
  engineFiles[name] = filesOfEngine(metafile.outputs, name);
  for (const file of copied) await cp(join(source, file), join(made, name, file), { recursive: true });
}

/** Where a page has the WebAssembly engine: named by its content, so that no script meets that of another version. */
async function pageWasm() {
  const hash = createHash("sha256");
  for (const name of WASM_FILES) hash.update(await readFile(join(WASM, name)));
  return `assets/wasm-${hash.digest("hex").slice(0, 8)}/`;
}

/** The page: scripts and style named by their content, index.html with their names and the security policy. */
async function buildPage(made) {
  const [source, target] = [join(HERE, "src", "page"), join(made, "page")];
  const { metafile } = await build({
    ...browser,
    entryPoints: [join(source, "page.ts"), join(source, "style.css")],
    absWorkingDir: HERE,
    outdir: join(target, "assets"),
    entryNames: "[name]-[hash]",
    define: { ...browser.define, CXR_PAGE_WASM: JSON.stringify(await pageWasm()) },
    metafile: true,
  });
  noteBundled({ metafile });
  engineFiles.page = filesOfEngine(metafile.outputs, "page/assets");
  pageOnDemand = await onDemand(metafile.outputs);
  const names = Object.entries(metafile.outputs).flatMap(([path, { entryPoint }]) => (entryPoint ? [[entryPoint, path]] : []));
  const built = (name) => `assets/${basename(names.find(([entry, path]) => entry.endsWith(name))[1])}`;
  const html = (await readFile(join(source, "index.html"), "utf8"))
    .replace("%SCRIPT%", built("page.ts"))
    .replace("%STYLE%", built("style.css"))
    .replace("%CSP%", await policy());
  await writeFile(join(target, "index.html"), html);
  for (const name of ["icon.svg", "app.webmanifest"]) await cp(join(source, name), join(target, name));
  const worker = join(HERE, "src", "worker", "serviceWorker.ts");
  await build({ ...browser, splitting: false, format: "iife", entryPoints: [worker], outfile: join(target, "service-worker.js") });
}

/** What of the security policy a page can say by itself. */
async function policy() {
  const table = JSON.parse(await readFile(join(HERE, "..", "src", "cxr", "webapp", "headers.json"), "utf8"));
  return Object.entries(table.content_security_policy)
    .map(([name, sources]) => `${name} ${sources.join(" ")}`)
    .join("; ");
}

/** The scripts that a page loads before its first image: its entries, and what they import at once. */
function filesOfEngine(outputs, folder) {
  const found = new Set();
  const add = (path) => {
    if (found.has(path)) return;
    found.add(path);
    for (const { path: next, kind } of outputs[path].imports) if (kind === "import-statement") add(next);
  };
  for (const [path, { entryPoint }] of Object.entries(outputs)) {
    if (entryPoint && /src\/(page|verify)\/|core\/wasmBackend/.test(entryPoint)) add(path);
  }
  return [...found].map((path) => `${folder}/${basename(path)}`).sort();
}

/** The page's files that a machine needs only where WebAssembly (with SIMD) is not what runs the model. */
async function onDemand(outputs) {
  const engines = Object.entries(outputs).filter(([, { entryPoint }]) => /tfjs-backend-(cpu|webgl|webgpu)\//.test(entryPoint ?? ""));
  return [...engines.map(([path]) => `assets/${basename(path)}`), `${await pageWasm()}${WASM_FILES[0]}`, LICENCES].sort();
}

/** SHA-256 over the sources: for each, in the order of their paths, `path NUL sha256 LF`. */
async function digestOfSources() {
  const entries = await readdir(join(HERE, "src"), { recursive: true, withFileTypes: true });
  const below = entries.filter((entry) => entry.isFile()).map((entry) => relative(join(HERE, ".."), join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
  const hash = createHash("sha256");
  for (const path of [...SOURCES, ...below].sort()) {
    const content = createHash("sha256").update(await readFile(join(HERE, "..", path))).digest("hex");
    hash.update(`${path}\0${content}\n`);
  }
  return hash.digest("hex");
}

async function summary(folder) {
  const files = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const data = await readFile(path);
    files[relative(folder, path).replaceAll("\\", "/")] = { bytes: data.length, gzipped: gzipSync(data).length };
  }
  const tfjs = createRequire(import.meta.url)("@tensorflow/tfjs-core/package.json").version;
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
  const sources = await digestOfSources();
  return { schema_version: 1, sources, versions: { tfjs }, engine: engineFiles, page_wasm: await pageWasm(), page_on_demand: pageOnDemand, files: sorted };
}

async function buildTests() {
  const outdir = join(HERE, "build", "tests");
  await rm(outdir, { recursive: true, force: true });
  const names = (await readdir(join(HERE, "tests"))).filter((name) => name.endsWith(".ts"));
  await build({
    ...node,
    minify: false,
    splitting: true,
    entryPoints: names.map((name) => join(HERE, "tests", name)),
    outdir,
    outExtension: { ".js": ".mjs" },
  });
}

await (process.argv.includes("--tests") ? buildTests() : buildStatic());

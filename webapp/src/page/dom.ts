/** Small helpers over the document: typed lookups and elements made of data, never of HTML strings. */

/** The element with this id. Throws where the page lacks it: the page and its script are built together. */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

type Child = Node | string | null;

/** An element with attributes and children; null children are left out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child): child is Node | string => child !== null));
  return made;
}

/** An SVG element with attributes. Sizes as attributes: inline styles are forbidden by the page's policy. */
export function drawing(tag: string, attributes: Readonly<Record<string, string>>, ...children: readonly Node[]): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Fill every element that names its text by `data-text`. */
export function fillTexts(texts: Readonly<Record<string, unknown>>): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-text]")) {
    const text = texts[place.dataset["text"] ?? ""];
    if (typeof text !== "string") throw new Error(`there is no text ${place.dataset["text"]}`);
    place.textContent = text;
  }
}

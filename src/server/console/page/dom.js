/** @typedef {Node | string} Child */

/**
 * Makes an element. Text always becomes a text node, so that no name or message is ever read as HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Readonly<Record<string, string | boolean>>} [attributes] `true` sets an empty attribute, `false` none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children);
  return made;
}

/**
 * @param {Element} target
 * @param {string} name
 * @param {string | boolean} value
 */
export function setAttribute(target, name, value) {
  if (value === false) target.removeAttribute(name);
  else if (value === true) target.setAttribute(name, "");
  else if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/**
 * Sets a text only where it differs, so that a screen reader hears what is new and nothing else.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * The element with this id in `index.html`.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no element "${id}".`);
  return found;
}

/**
 * Brings the children of `parent` in line with `items`: known ones are updated in place, so that what is
 * focused or folded out stays so. `create` runs once for each key: what changes has to be in the items.
 * @template T
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => { node: HTMLElement, update: (item: T) => void }} create
 */
export function keyed(parent, items, keyOf, create) {
  /** @type {Map<string, { node: HTMLElement, update: (item: T) => void }>} */
  const known = knownIn(parent);
  const wanted = new Set(items.map(keyOf));
  for (const [key, { node }] of known) {
    if (wanted.has(key)) continue;
    node.remove();
    known.delete(key);
  }
  for (const [index, item] of items.entries()) {
    const key = keyOf(item);
    const part = known.get(key) ?? create(item);
    known.set(key, part);
    part.update(item);
    if (parent.children[index] !== part.node) {
      parent.insertBefore(part.node, parent.children[index] ?? null);
    }
  }
}

/** @type {WeakMap<Element, Map<string, any>>} */
const lists = new WeakMap();

/** @param {Element} parent */
function knownIn(parent) {
  const known = lists.get(parent) ?? new Map();
  lists.set(parent, known);
  return known;
}

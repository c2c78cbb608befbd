// Small helpers for building the page. Text reaches it only through textContent and attributes.

const ICONS = {
  brush: "M13.5 3.5l3 3-7 7-3-3zM6.5 10.5c-2 .3-2.6 1.8-2.7 3.3-.1 1-.6 1.7-1.3 2.2 2.5.8 6.3.2 6.9-2.6",
  eraser: "M7 16.5h9.5M3.6 12.4l8-8a1.3 1.3 0 0 1 1.9 0l3 3a1.3 1.3 0 0 1 0 1.9l-7.2 7.2H7.2l-3.6-3.6a.4.4 0 0 1 0-.5zM8 8l4.8 4.8",
  fill: "M9.5 3l6.5 6.5-6 6a1.5 1.5 0 0 1-2.1 0l-4.4-4.4a1.5 1.5 0 0 1 0-2.1zM3.3 10.3h12M17.3 13.2c.9 1.2 1.3 1.9 1.3 2.5a1.3 1.3 0 0 1-2.6 0c0-.6.4-1.3 1.3-2.5z",
  lasso: "M10 3.5c4 0 7 1.9 7 4.5s-3 4.5-7 4.5S3 10.6 3 8s3-4.5 7-4.5zM6 11.8c-1.2.6-1.4 2.2 0 2.7 1.3.5 2.3-.8 1.6-2M6.5 14.5c.6 1 .2 2-.8 2.5",
  pick: "M11.5 5.5l3 3M13.3 2.8a1.7 1.7 0 0 1 2.4 0l1.5 1.5a1.7 1.7 0 0 1 0 2.4l-2.2 2.2-3.9-3.9zM12 7.5l-7 7-2 .5-.5 2.5 2.5-.5.5-2 7-7",
  undo: "M7 5L3.5 8.5 7 12M4 8.5h8a4 4 0 0 1 0 8H8.5",
  redo: "M13 5l3.5 3.5L13 12M16 8.5H8a4 4 0 0 0 0 8h3.5",
  hide: "M3 10c2-3.3 4.3-5 7-5s5 1.7 7 5c-2 3.3-4.3 5-7 5s-5-1.7-7-5zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4zM4 16L16 4",
  eye: "M3 10c2-3.3 4.3-5 7-5s5 1.7 7 5c-2 3.3-4.3 5-7 5s-5-1.7-7-5zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z",
  shape: "M4.5 13.5C2.5 9 5 4 9.5 4.5S17 8 16 12s-4 3.5-6 3-4.5.5-5.5-1.5zM10 7.5v5M7.5 10h5",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  fit: "M4 8V4h4M16 8V4h-4M4 12v4h4M16 12v4h-4",
  replace: "M3.5 5.5h13v9.5h-13zM3.5 12.5l3.5-3.5 3 3 2.5-2.5 4 4M13 7.8v.1",
  camera: "M3 6.5h3l1.3-2h5.4l1.3 2h3v9H3zM10 8.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4z",
  menu: "M5 10v.1M10 10v.1M15 10v.1",
  upload: "M10 13V4M6.5 7.5L10 4l3.5 3.5M4 13v3h12v-3",
  clear: "M5 6h10M8 6V4h4v2M6.5 6l.7 10h5.6l.7-10",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "sp-icon");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Words that change with the `texts` prop: each binding is set again when it does. */
class Words {
  constructor(texts) {
    this.texts = texts;
    this.bindings = [];
  }

  get(key, values = {}) {
    const text = String(this.texts[key] ?? key);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  /** Call `set` now and after every change of the texts. */
  bind(set) {
    this.bindings.push(set);
    set();
  }

  text(node, key, values) {
    this.bind(() => { node.textContent = this.get(key, values ? values() : {}); });
    return node;
  }

  attribute(node, name, key, values) {
    this.bind(() => node.setAttribute(name, this.get(key, values ? values() : {})));
    return node;
  }

  replace(texts) {
    this.texts = texts;
    for (const set of this.bindings) set();
  }
}

/** A button with an icon, its words (hidden where `compact`) and a tooltip; `key` is its keyboard shortcut. */
function button(words, name, iconName, { className = "", key = null, hint = null, compact = false, onClick } = {}) {
  const node = el("button", `sp-button ${compact ? "sp-compact" : ""} ${className}`, { type: "button" });
  if (iconName) node.append(icon(iconName));
  const label = el("span", compact ? "sp-hidden" : "sp-word");
  words.text(label, name);
  node.append(label);
  words.bind(() => {
    const base = words.get(hint ?? name);
    node.title = key ? words.get("key_hint", { name: base, key }) : base;
  });
  if (key) node.setAttribute("aria-keyshortcuts", key);
  if (onClick) node.addEventListener("click", onClick);
  return node;
}

/**
 * A button that opens a list of actions: [[key, action, {stay, key}], …]; one with `stay` leaves the list open, to be
 * used again. `note` gives a line of text above them. Esc and a click elsewhere close it.
 */
function menuButton(words, opener, items, note = null) {
  const box = el("div", "sp-menu");
  const list = el("div", "sp-menu-list", { role: "menu" });
  list.hidden = true;
  opener.setAttribute("aria-haspopup", "menu");
  opener.setAttribute("aria-expanded", "false");
  const heading = note ? el("p", "sp-menu-note", { role: "presentation" }) : null;
  if (heading) list.append(heading);
  const show = (open) => {
    if (open && heading) heading.textContent = note();
    list.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) { // upwards where there is no room below and some above
      box.classList.remove("sp-menu-up");
      const { top, bottom, height } = list.getBoundingClientRect();
      box.classList.toggle("sp-menu-up", bottom > window.innerHeight && top > height + 60);
    }
    if (open) list.querySelector("button:not([hidden])")?.focus();
  };
  opener.addEventListener("click", () => show(list.hidden));
  for (const [key, action, { stay = false, key: shortcut = null } = {}] of items) {
    const item = el("button", "sp-menu-item", { type: "button", role: "menuitem" }, words.text(el("span", ""), key));
    if (shortcut) {
      item.append(el("kbd", "sp-menu-key", { "aria-hidden": "true" }, shortcut));
      item.setAttribute("aria-keyshortcuts", shortcut);
    }
    item.dataset.action = key;
    item.addEventListener("click", () => {
      if (!stay) {
        show(false);
        opener.focus();
      }
      action();
    });
    list.append(item);
  }
  box.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("button")].filter((item) => item.offsetParent);
    const at = all.indexOf(document.activeElement);
    if (event.key === "Escape" && !list.hidden) {
      show(false);
      opener.focus();
    } else if (event.key === "ArrowDown" && !list.hidden) all[(at + 1) % all.length].focus();
    else if (event.key === "ArrowUp" && !list.hidden) all[(at + all.length - 1) % all.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget)) show(false);
  });
  box.append(opener, list);
  return box;
}

function download(bytes, name, type = "image/png") {
  const url = URL.createObjectURL(bytes instanceof Blob ? bytes : new Blob([bytes], { type }));
  const link = el("a", "", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

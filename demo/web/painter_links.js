// The links: which style regions feed which content region. A link acts without repainting a map.

const AS_IT_IS = -1; // in place of a style id: the content region keeps its own pixels
const THUMB = 44; // CSS pixels

class LinksTable {
  constructor(app) {
    this.app = app;
    this.place = "legend";
    this.rows = new Map(); // content id -> the button that opens its choices
    this.picking = null; // content id whose choices are shown
    this.suggested = {}; // content id -> style ids, until confirmed or used
    this.thumbs = new Map();
    const { words } = app;
    this.root = el("details", "sp-links");
    this.count = el("span", "sp-links-count");
    this.root.append(el("summary", "sp-links-summary", {}, words.text(el("h2", "sp-title"), "links"), this.count));
    this.list = el("div", "sp-links-list", { role: "list" });
    words.attribute(this.list, "aria-label", "links");
    this.spare = el("p", "sp-links-spare");
    this.suggestButton = button(words, "links_suggest", null, { className: "sp-quiet", hint: "links_suggest_hint", onClick: () => this.ask() });
    this.resetButton = button(words, "links_reset", null, { className: "sp-quiet", hint: "links_reset_hint", onClick: () => this.change({}) });
    this.root.append(words.text(el("p", "sp-hint"), "links_hint"), this.list, this.spare,
      el("div", "sp-group", {}, this.suggestButton, this.resetButton));
    this.root.addEventListener("toggle", () => this.refresh());
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.picking === null) return;
      const id = this.picking;
      this.pick(null);
      this.rows.get(id)?.focus();
      event.preventDefault();
      event.stopPropagation();
    });
    words.bind(() => { if (app.toolbar) this.refresh(); });
  }

  // ------------------------------------------------------------ what is linked

  present(name) {
    const counts = this.app.counts()[name];
    return this.app.regions.filter((region) => counts[region.id] > 0);
  }

  /** Where a content region takes from now: {kind: "as_it_is" | "whole" | "regions", ids, fallback}. */
  state(id, style) {
    const given = this.app.links[id] ?? [id];
    if (given.includes(AS_IT_IS)) return { kind: "as_it_is", ids: [] };
    const ids = given.filter((target) => style.some((region) => region.id === target));
    if (ids.length > 0) return { kind: "regions", ids };
    return { kind: "whole", ids, fallback: this.app.links[id]?.length !== 0 };
  }

  /** Set the links of one region; null: those of its own id. */
  set(id, targets) {
    const links = { ...this.app.links };
    if (targets === null || (targets.length === 1 && targets[0] === id)) delete links[id];
    else links[id] = targets;
    this.change(links);
  }

  change(links) {
    if (JSON.stringify(links) === JSON.stringify(this.app.links)) return;
    this.app.editLegend("links", { links });
    this.app.say(this.app.words.get("said_done", { step: this.app.words.get("step_links") }));
  }

  // ------------------------------------------------------------ suggestions

  ask() {
    this.suggestButton.setAttribute("aria-busy", "true");
    this.app.send("suggest", { v: this.app.v });
  }

  /** An answer from Python: {v, links: {content id: [style ids]}}. */
  receive(answer) {
    this.suggestButton.removeAttribute("aria-busy");
    const content = this.present("content"), style = this.present("style");
    this.suggested = {};
    for (const [key, ids] of Object.entries(answer?.links ?? {})) {
      const fitting = (ids ?? []).filter((id) => style.some((region) => region.id === id));
      if (fitting.length > 0 && content.some((region) => region.id === Number(key))) this.suggested[key] = fitting;
    }
    const open = this.open();
    this.refresh();
    this.app.say(this.app.words.get(open > 0 ? "said_suggested" : "said_nothing_suggested", { n: open }));
  }

  /** Suggestions that differ from what acts. */
  open() {
    const style = this.present("style");
    return Object.keys(this.suggested).filter((id) => this.fresh(Number(id), style)).length;
  }

  fresh(id, style) {
    const ids = this.suggested[id];
    return ids && String([...ids].sort()) !== String([...this.state(id, style).ids].sort()) ? ids : null;
  }

  // ------------------------------------------------------------ the table

  pick(id) {
    this.picking = id;
    this.refresh();
  }

  refresh() {
    const { app } = this;
    const { words } = app;
    const ready = app.panes.every((pane) => pane.filled);
    const content = ready ? this.present("content") : [], style = ready ? this.present("style") : [];
    this.root.hidden = !ready || content.length + style.length < 3; // nothing to choose between
    const made = content.filter((region) => app.links[region.id] !== undefined).length;
    this.count.textContent = made > 0 ? words.get("links_count", { n: made }) : "";
    if (!this.root.open || this.root.hidden) return;
    if (!content.some((region) => region.id === this.picking)) this.picking = null;
    const focus = document.activeElement?.closest?.("[data-focus]")?.dataset.focus ?? null;
    const within = this.list.contains(document.activeElement);
    this.list.replaceChildren(...content.map((region) => this.row(region, style)));
    if (within && focus) this.list.querySelector(`[data-focus="${focus}"]`)?.focus();
    const used = new Set(content.flatMap((region) => this.state(region.id, style).ids));
    const spare = style.filter((region) => !used.has(region.id)).map((region) => app.nameOf(region.id));
    this.spare.textContent = spare.length > 0 ? words.get("links_spare", { names: spare.join(", ") }) : "";
    this.resetButton.disabled = Object.keys(app.links).length === 0;
  }

  row(region, style) {
    const { app } = this;
    const { words } = app;
    const found = this.state(region.id, style);
    const target = el("span", "sp-link-target");
    if (found.kind === "regions") {
      for (const id of found.ids) target.append(this.chip("style", id));
    } else target.append(el("span", "sp-link-word", {}, words.get(found.kind === "as_it_is" ? "links_as_it_is" : "links_whole")));
    const said = found.kind === "regions" ? found.ids.map((id) => app.nameOf(id)).join(", ")
      : words.get(found.kind === "as_it_is" ? "links_as_it_is" : "links_whole");
    const cell = el("button", "sp-link-cell", {
      type: "button", "aria-expanded": String(this.picking === region.id), "data-focus": `cell-${region.id}`,
      "aria-label": words.get("links_cell_label", { name: app.nameOf(region.id), targets: said }),
    }, target, el("span", "sp-link-caret", { "aria-hidden": "true" }, "▾"));
    cell.addEventListener("click", () => this.pick(this.picking === region.id ? null : region.id));
    const node = el("div", "sp-link-row", { role: "listitem", "data-region": region.id },
      this.chip("content", region.id), el("span", "sp-link-arrow", { "aria-hidden": "true" }, "→"), cell);
    const proposal = this.fresh(region.id, style);
    if (proposal) {
      const names = proposal.map((id) => app.nameOf(id)).join(", ");
      const use = el("button", "sp-button sp-link-use", {
        type: "button", "data-focus": `use-${region.id}`, "aria-label": words.get("links_use_label", { name: app.nameOf(region.id), targets: names }),
      }, ...proposal.map((id) => this.chip("style", id)), el("span", "sp-word", {}, words.get("links_use")));
      use.addEventListener("click", () => this.set(region.id, proposal));
      node.append(use);
    }
    if (found.fallback) node.append(el("span", "sp-link-note", {}, words.get("links_fallback", { name: app.nameOf(region.id) })));
    if (this.picking === region.id) node.append(this.choices(region, style, found));
    node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") app.setHover(region.id); });
    node.addEventListener("pointerleave", () => app.setHover(null));
    this.rows.set(region.id, cell);
    return node;
  }

  /** What a row may take from: every style region (this one, or this one as well), the whole style, nothing. */
  choices(region, style, found) {
    const { app } = this;
    const { words } = app;
    const box = el("div", "sp-link-choices", { role: "group", "aria-label": words.get("links_choices", { name: app.nameOf(region.id) }) });
    for (const other of style) {
      const on = found.ids.includes(other.id);
      const only = el("button", "sp-link-choice", {
        type: "button", "aria-pressed": String(on), "data-focus": `only-${other.id}`, "data-style": other.id,
        "aria-label": words.get("links_only_label", { name: app.nameOf(region.id), target: app.nameOf(other.id) }),
      }, this.chip("style", other.id));
      only.addEventListener("click", () => this.set(region.id, [other.id]));
      only.addEventListener("focus", () => app.setHover(other.id));
      only.addEventListener("blur", () => app.setHover(null));
      const last = on && found.ids.length === 1;
      const also = el("button", "sp-button sp-compact sp-link-also", {
        type: "button", "data-focus": `also-${other.id}`, "data-also": other.id,
        "aria-label": words.get(on ? "links_without_label" : "links_also_label", { name: app.nameOf(region.id), target: app.nameOf(other.id) }),
      }, on ? "−" : "+");
      also.title = also.getAttribute("aria-label");
      also.disabled = last || found.ids.length === 0;
      also.addEventListener("click", () => {
        this.set(region.id, on ? found.ids.filter((id) => id !== other.id) : [...found.ids, other.id]);
      });
      box.append(el("span", "sp-link-option", {}, only, also));
    }
    const plain = (key, pressed, targets) => {
      const node = el("button", "sp-button", { type: "button", "aria-pressed": String(pressed), "data-focus": key, "data-action": key }, words.get(key));
      node.addEventListener("click", () => this.set(region.id, targets));
      box.append(node);
    };
    plain("links_whole", found.kind === "whole" && !found.fallback, []);
    plain("links_as_it_is", found.kind === "as_it_is", [AS_IT_IS]);
    return box;
  }

  /** Picture and name of a region. */
  chip(name, id) {
    return el("span", "sp-link-chip", {}, this.thumb(name, id), el("span", "sp-name", {}, this.app.nameOf(id)));
  }

  /** The region cut from its picture: what is not part of it is faded to the surround. */
  thumb(name, id) {
    const side = this.app.sides[name];
    const scale = Math.min(2, window.devicePixelRatio || 1), size = Math.round(THUMB * scale);
    const canvas = el("canvas", "sp-link-thumb", { width: size, height: size, "aria-hidden": "true" });
    const key = `${name} ${id} ${size}`;
    const kept = this.thumbs.get(key);
    let image = kept?.of === side.committed && kept.rgba === side.rgba && side.rgba ? kept.image : null;
    if (!image) {
      image = this.crop(side, id, size);
      this.thumbs.set(key, { of: side.committed, rgba: side.rgba, image });
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  crop(side, id, size) {
    const { w, h, ids } = side;
    const image = new ImageData(size, size);
    let box = null;
    for (let y = 0; y < h; y++) {
      const row = y * w;
      let first = 0;
      while (first < w && ids[row + first] !== id) first++;
      if (first === w) continue;
      let last = w - 1;
      while (ids[row + last] !== id) last--;
      box = unionBox(box, { x0: first, y0: y, x1: last + 1, y1: y + 1 });
    }
    if (!box || !side.image) return image;
    const rgba = this.app.pixelsOf(side);
    const span = Math.max(box.x1 - box.x0, box.y1 - box.y0);
    const left = (box.x0 + box.x1 - span) / 2, top = (box.y0 + box.y1 - span) / 2;
    for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
      const u = Math.floor(left + ((x + 0.5) * span) / size), v = Math.floor(top + ((y + 0.5) * span) / size);
      const to = (y * size + x) * 4;
      if (u < 0 || v < 0 || u >= w || v >= h) continue;
      const from = (v * w + u) * 4, inside = ids[v * w + u] === id;
      for (let c = 0; c < 3; c++) image.data[to + c] = inside ? rgba[from + c] : 128 + (rgba[from + c] - 128) * 0.2;
      image.data[to + 3] = inside ? 255 : 90;
    }
    return image;
  }
}

HELPERS.push((app) => {
  const table = new LinksTable(app);
  app.watch("suggested", () => table.receive(app.props.suggested));
  return table;
});

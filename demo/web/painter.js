// The painter: state, edits and views. What it exchanges with Python is in painter_exchange.js.

const SIDES = ["content", "style"];
const DEFAULT_SIZES = { brush: 48, eraser: 48 };
const TOOLS = [["brush", "B"], ["eraser", "E"], ["fill", "F"], ["lasso", "L"], ["pick", "Alt"]];

/** One picture and its map. Replaced as a whole when the picture changes, so that undo can bring it back. */
function newSide(fields = {}) {
  return { picture: null, image: null, w: 0, h: 0, ids: null, counts: null, committed: null, encoded: null, ...fields };
}

class Painter {
  constructor(element, { props, trigger, upload, watch }) {
    this.props = props;
    this.trigger = trigger;
    this.watch = watch;
    this.words = new Words(props.texts ?? {});
    this.sides = { content: newSide(), style: newSide() };
    this.waiting = { content: null, style: null };
    this.regions = [{ id: 0, name: this.words.get("rest"), colour: PALETTE[0] }];
    this.links = {};
    this.incoming = null;
    this.v = 0;
    this.by = "load";
    this.tool = "brush";
    this.sizes = { ...DEFAULT_SIZES };
    this.region = 1;
    this.opacity = 0.55;
    this.hover = this.solo = null;
    this.hidden = false;
    this.edges = { on: false, tolerance: 30 };
    this.stack = new UndoStack();
    this.events = [];
    this.turn = 0;
    this.helpers = []; // what stands beside the painter and lives in a file of its own: {root, refresh, draw, reset, …}

    this.gestures = new Gestures(this);
    this.files = new Files(this, upload);
    this.panes = SIDES.map((name) => new Pane(this, name));
    this.active = this.panes[0];
    this.lookUp = lookUp(this.regions, this.opacity, null);
    this.legend = new Legend(this);
    this.helpers = HELPERS.map((make) => make(this));
    this.build(element);
    for (const pane of this.panes) this.gestures.listen(pane);
    this.listen();
    watch("value", () => this.receive(props.value));
    watch("texts", () => this.words.replace(props.texts ?? {}));
    this.receive(props.value, true);
  }

  build(element) {
    const { words } = this;
    this.root = element.querySelector(".sp-root");
    this.root.dataset.show = "content";
    this.switch = el("div", "sp-switch", { role: "group" });
    words.attribute(this.switch, "aria-label", "show_pane");
    this.switchButtons = this.panes.map((pane) => {
      const node = words.text(el("button", "sp-switch-button", { type: "button" }), pane.name);
      node.addEventListener("click", () => this.activate(pane));
      this.switch.append(node);
      return node;
    });
    this.toolbar = buildToolbar(this);
    this.live = el("div", "sp-hidden sp-live", { role: "status", "aria-live": "polite" });
    this.offer = el("div", "sp-ask sp-offer", { role: "group" });
    this.offer.hidden = true;
    const panes = el("div", "sp-panes", {}, ...this.panes.map((pane) => pane.root));
    const placed = (place) => this.helpers.filter((each) => each.place === place).map((each) => each.root);
    this.root.replaceChildren(...placed("top"), this.switch, panes, this.toolbar.root, ...placed("tools"), this.offer, this.legend.root,
      ...placed("legend"), this.live);
    new ResizeObserver(() => this.layout()).observe(panes);
    this.activate(this.active);
    this.refresh();
  }

  /** Both stages share one height when side by side, half-way between what a wide and a tall picture want. */
  layout() {
    const shown = this.panes.filter((pane) => pane.root.offsetParent !== null);
    if (shown.length === 0) return;
    const limit = Math.min(640, Math.max(300, window.innerHeight * 0.62));
    const wanted = shown.filter((pane) => pane.filled).map((pane) => pane.wantedHeight(pane.stage.clientWidth));
    const middle = wanted.reduce((sum, each) => sum + Math.min(limit, each), 0) / (wanted.length || 1);
    const height = wanted.length === 0 ? 260 : Math.max(170, middle);
    for (const pane of shown) pane.resize(height);
  }

  activate(pane) {
    this.active = pane;
    const switched = this.root.dataset.show !== pane.name;
    this.root.dataset.show = pane.name;
    this.switchButtons?.forEach((node, i) => node.setAttribute("aria-pressed", String(this.panes[i] === pane)));
    for (const each of this.panes) each.root.classList.toggle("sp-active", each === pane);
    if (switched) this.layout();
  }

  // ------------------------------------------------------------ reading the state

  get size() { return this.sizes[this.tool] ?? 1; }
  paneOf(name) { return this.panes[SIDES.indexOf(name)]; }
  /** The helper that handles the pointer with the chosen tool, or null. */
  handler(tool = this.tool) { return this.helpers.find((each) => each.tool === tool) ?? null; }
  regionOf(id) { return this.regions.find((region) => region.id === id) ?? null; }
  nameOf(id) { return this.regionOf(id)?.name ?? String(id); }
  colourOf(id) { return this.regionOf(id)?.colour ?? PALETTE[0]; }

  counts() {
    const result = {};
    for (const name of SIDES) result[name] = this.sides[name].counts ??= countIds(this.sides[name].ids);
    return result;
  }

  // ------------------------------------------------------------ edits

  /** Remember a step. */
  record(entry) {
    this.stack.push(entry);
  }

  /** A finished edit: count it, redraw, tell Python. */
  changed(by) {
    this.v++;
    this.refresh();
    this.send("edited", { by }, by);
  }

  refresh() {
    if (!this.regionOf(this.region)) this.region = this.regions[Math.min(1, this.regions.length - 1)].id;
    if (this.solo !== null && !this.regionOf(this.solo)) this.solo = null;
    this.relight();
    this.legend.refresh();
    this.toolbar.refresh();
    for (const each of this.helpers) each.refresh?.();
  }

  relight() {
    const lit = this.hover ?? this.solo;
    this.lookUp = lookUp(this.regions, this.hidden ? 0 : this.opacity, this.hidden ? null : lit);
    for (const pane of this.panes) pane.invalidate();
  }

  /** A map's ids were changed in place: forget what was derived from them. */
  touch(name) {
    const side = this.sides[name];
    side.counts = side.encoded = null;
    side.committed = side.ids ? side.ids.slice() : null;
  }

  /** Finish an edit of maps: `befores` is [[side, ids before], …]. False when nothing changed. */
  commitIds(by, befores, extra = []) {
    const parts = befores.map(([name, before]) => {
      const { w, h, ids } = this.sides[name];
      return idsPart(name, w, h, before, ids);
    }).filter(Boolean).concat(extra);
    if (parts.length === 0) return false;
    this.record({ by, parts });
    for (const part of parts) if (part.kind === "ids") this.touch(part.side);
    this.changed(by);
    return true;
  }

  /** Replace one id by another in both maps, together with a change of the legend. */
  relabel(by, from, to, legend = null) {
    const befores = [];
    for (const name of SIDES) {
      const { ids } = this.sides[name];
      if (!ids) continue;
      befores.push([name, ids.slice()]);
      for (let i = 0; i < ids.length; i++) if (ids[i] === from) ids[i] = to;
    }
    const extra = legend ? [this.legendPart(legend)] : [];
    this.commitIds(by, befores, extra);
  }

  /** Set regions and links, as part of a step. */
  legendPart({ regions = this.regions, links = this.links }) {
    const part = { kind: "legend", before: { regions: this.regions, links: this.links }, after: { regions, links } };
    this.regions = regions;
    this.links = links;
    return part;
  }

  editLegend(by, change) {
    this.record({ by, parts: [this.legendPart(change)] });
    this.changed(by);
  }

  setSide(name, side) {
    this.sides[name] = side;
    if (side.ids) this.touch(name);
    this.paneOf(name).adopt();
    this.layout();
    this.refresh();
  }

  fillAt(pane, point) {
    const { side } = pane;
    const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
    if (x < 0 || y < 0 || x >= side.w || y >= side.h || side.ids[y * side.w + x] === this.region) return;
    const edges = this.edges.on && side.image ? { rgba: this.pixelsOf(side), tolerance: this.edges.tolerance } : null;
    const mask = floodMask(side.ids, side.w, side.h, x, y, edges);
    const before = side.ids.slice();
    for (let i = 0; i < mask.length; i++) if (mask[i]) side.ids[i] = this.region;
    this.commitIds("fill", [[pane.name, before]]);
    this.say(this.words.get("said_done", { step: this.words.get("step_fill") }));
  }

  /** The picture's colours at the map's size (the picture may be read back; labels never are). */
  pixelsOf(side) {
    if (!side.rgba) {
      const canvas = new OffscreenCanvas(side.w, side.h);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingQuality = "high";
      context.drawImage(side.image, 0, 0, side.w, side.h);
      side.rgba = context.getImageData(0, 0, side.w, side.h).data;
    }
    return side.rgba;
  }

  pick(pane, point) {
    const { w, h, ids } = pane.side;
    const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
    if (x < 0 || y < 0 || x >= w || y >= h) return;
    this.selectRegion(ids[y * w + x]);
    if (this.tool === "pick") this.setTool("brush");
  }

  clearMaps(names) {
    const befores = names.filter((name) => this.sides[name].ids).map((name) => [name, this.sides[name].ids.slice()]);
    for (const [name] of befores) this.sides[name].ids.fill(0);
    this.commitIds("clear", befores);
  }

  swap() {
    const [content, style] = [this.sides.content, this.sides.style];
    const links = {}; // links point from content to style: turned around
    for (const [id, targets] of Object.entries(this.links)) {
      for (const target of targets) if (target >= 0) (links[target] ??= []).push(Number(id));
    }
    this.record({ by: "swap", parts: [
      { kind: "side", side: "content", before: content, after: style }, { kind: "side", side: "style", before: style, after: content },
      this.legendPart({ links }),
    ] });
    this.setSide("content", style);
    this.setSide("style", content);
    this.changed("swap");
  }

  addRegion() {
    const id = freeId(this.regions);
    if (id === null) return this.say(this.words.get("full_legend"));
    const region = { id, name: this.words.get("region_n", { n: id }), colour: paletteColour(id) };
    this.region = id;
    this.editLegend("region", { regions: [...this.regions, region].sort((a, b) => a.id - b.id) });
  }

  renameRegion(id, name) {
    this.editLegend("rename", { regions: this.regions.map((region) => (region.id === id ? { ...region, name } : region)) });
  }

  recolour(id, colour) {
    if (colour === this.colourOf(id)) return;
    this.editLegend("colour", { regions: this.regions.map((region) => (region.id === id ? { ...region, colour } : region)) });
  }

  clearRegion(id) {
    if (id !== 0) this.relabel("clear", id, 0);
  }

  deleteRegion(id) {
    if (id !== 0) this.relabel("region", id, 0, this.without(id));
  }

  mergeRegion(id, into) {
    if (id === 0 || id === into) return;
    this.relabel("merge", id, into, this.without(id));
    this.selectRegion(into);
  }

  without(id) {
    const links = {};
    for (const [key, targets] of Object.entries(this.links)) {
      const rest = targets.filter((target) => target !== id);
      if (Number(key) !== id && (rest.length > 0 || targets.length === 0)) links[key] = rest;
    }
    return { regions: this.regions.filter((region) => region.id !== id), links };
  }

  // ------------------------------------------------------------ undo

  step(entry) {
    return this.words.get(`step_${entry.by}` in this.words.texts ? `step_${entry.by}` : "step_change");
  }

  undo() {
    this.gestures.cancel();
    const entry = this.stack.undo();
    if (entry) this.replay(entry, "before", "undo");
    else this.say(this.words.get("nothing_to_undo"));
  }

  redo() {
    this.gestures.cancel();
    const entry = this.stack.redo();
    if (entry) this.replay(entry, "after", "redo");
    else this.say(this.words.get("nothing_to_redo"));
  }

  replay(entry, which, by) {
    const parts = which === "before" ? [...entry.parts].reverse() : entry.parts;
    for (const part of parts) {
      if (part.kind === "ids") {
        const { x0, y0, x1, y1 } = part.box;
        const side = this.sides[part.side];
        pasteIds(side.ids, side.w, part.box, unpackRuns(part[which], (x1 - x0) * (y1 - y0)));
        this.touch(part.side);
      } else if (part.kind === "side") this.setSide(part.side, part[which]);
      else ({ regions: this.regions, links: this.links } = part[which]);
    }
    for (const pane of this.panes) pane.ask.hidden = true;
    this.changed(by);
    this.say(this.words.get(by === "undo" ? "said_undo" : "said_redo", { step: this.step(entry) }));
  }

  // ------------------------------------------------------------ selection and view

  setTool(tool) {
    if (this.tool !== tool) {
      this.gestures.dropLasso();
      for (const each of this.helpers) each.reset?.();
    }
    this.tool = tool;
    this.toolbar.refresh();
    this.gestures.showRing();
    for (const pane of this.panes) pane.showCrosshair();
    this.say(this.words.get("said_tool", { name: this.words.get(tool) }));
  }

  setSize(size) {
    if (this.tool in this.sizes) this.sizes[this.tool] = Math.min(200, Math.max(1, Math.round(size)));
    this.toolbar.refresh();
    this.gestures.showRing();
    for (const pane of this.panes) pane.showCrosshair();
  }

  selectRegion(id) {
    if (!this.regionOf(id)) return;
    this.region = id;
    if (this.tool === "eraser" && id !== 0) this.setTool("brush");
    if (this.solo !== null) this.solo = id;
    this.refresh();
    this.gestures.showRing();
    this.say(this.words.get("said_region", { name: this.nameOf(id) }));
  }

  setHover(id) {
    if (this.hover === id) return;
    this.hover = id;
    this.relight();
  }

  setSolo(id) {
    this.solo = id;
    this.refresh();
  }

  setHidden(hidden) {
    if (this.hidden === hidden) return;
    this.hidden = hidden;
    this.relight();
    this.toolbar.refresh();
    this.say(this.words.get(hidden ? "said_map_hidden" : "said_map_shown"));
  }

  pointerRing() { this.gestures.showRing(); }

  say(text) { this.live.textContent = text; }

  /** Speak once the keys rest, not at every step of the crosshair. */
  saySoon(text) {
    clearTimeout(this.sayTimer);
    this.sayTimer = setTimeout(() => this.say(text()), 350);
  }

  // ------------------------------------------------------------ listening

  listen() {
    this.root.addEventListener("keydown", (event) => onKey(this, event));
    this.root.addEventListener("keyup", (event) => onKeyUp(this, event));
    this.root.addEventListener("focusout", (event) => {
      if (!this.root.contains(event.relatedTarget)) releaseKeys(this);
    });
    let hovered = null;
    for (const pane of this.panes) {
      pane.root.addEventListener("pointerenter", () => { hovered = pane; });
      pane.root.addEventListener("pointerleave", () => { hovered = null; });
    }
    this.files.listenToPaste(() => hovered);
    window.addEventListener("resize", () => this.layout());
  }
}

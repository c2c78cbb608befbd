// The painter: state, edits and views. What it exchanges with Python is in painter_exchange.js.
//
// For files that add to it (HELPERS in painter_state.js): every edit goes through `commitIds` (maps changed in place,
// given what was before), `editLegend` (regions or links) or `record` with parts of both, and is one step of the undo
// stack, named by the word `step_<by>`. `setHover(id)` lights a region up in both pictures. `gestures.rest()` waits for
// the pointer. Read `sides[name]` ({picture, image, w, h, ids}), `regions`, `order`, `links`, `region`, `active`.

const SIDES = ["content", "style"];
const DEFAULT_SIZES = { brush: 48, eraser: 48 };
const TOOLS = [["brush", "B"], ["eraser", "E"], ["fill", "F"], ["lasso", "L"], ["pick", "Alt"]];
/** What can be done to a region's shape in one picture: (ids, w, h, id) → pixels changed. */
const SHAPES = { grow: growRegion, shrink: shrinkRegion, smooth: smoothRegion, holes: fillHoles };

/** One picture and its map. Replaced as a whole when the picture changes, so that undo can bring it back. */
function newSide(fields = {}) {
  return { picture: null, image: null, w: 0, h: 0, ids: null, counts: null, committed: null, encoded: null, ...fields };
}

class Painter {
  constructor(element, { props, trigger, upload, watch }) {
    this.props = props;
    this.trigger = trigger;
    this.watch = watch;
    this.words = new Words(textsOf(props));
    this.sides = { content: newSide(), style: newSide() };
    this.waiting = { content: null, style: null };
    this.receiving = this.found = null;
    this.regions = firstRegions().slice(0, 1);
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
    this.penSeen = this.penOnly = false;
    this.pressure = true;
    this.stack = new UndoStack();
    this.events = [];
    this.turn = 0;
    this.helpers = []; // what stands beside the painter and lives in a file of its own: {root, refresh, draw, reset, …}

    this.gestures = new Gestures(this);
    this.files = new Files(this, upload);
    this.panes = SIDES.map((name) => new Pane(this, name));
    this.active = this.panes[0];
    this.order = [0];
    this.lookUps = {};
    this.relook();
    this.legend = new Legend(this);
    this.helpers = HELPERS.map((make) => make(this));
    this.build(element);
    for (const pane of this.panes) this.gestures.listen(pane);
    this.listen();
    watch("value", () => this.receive(props.value));
    watch("texts", () => this.words.replace(textsOf(props)));
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
    this.notice = el("div", "sp-ask sp-notice", { role: "group" });
    this.notice.hidden = true;
    const panes = el("div", "sp-panes", {}, ...this.panes.map((pane) => pane.root));
    const placed = (place) => this.helpers.filter((each) => each.place === place).map((each) => each.root);
    this.root.replaceChildren(...placed("top"), this.switch, panes, this.toolbar.root, ...placed("tools"), this.notice, this.offer, this.legend.root,
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
  /** A region's name as it is shown: one that came with the page is said in its language. */
  nameOf(id) { return regionName(this.regionOf(id)?.name ?? String(id), this.words.texts); }
  colourOf(id) { return this.regionOf(id)?.colour ?? PALETTE[0]; }

  counts() {
    const result = {};
    for (const name of SIDES) result[name] = this.sides[name].counts ??= countIds(this.sides[name].ids);
    return result;
  }

  // ------------------------------------------------------------ edits

  /** Remember a step. */
  record(entry) {
    this.notice.hidden = true;
    this.stack.push(entry);
    this.stack.lighten(SIDES.map((name) => this.sides[name].image).filter(Boolean));
  }

  /** Undo the newest step as if it had never been: it cannot be done again. */
  takeBack() {
    const undone = [...this.stack.undone];
    this.undo();
    this.stack.undone = undone;
    this.toolbar.refresh();
  }

  /** A finished edit: count it, redraw, tell Python. */
  changed(by) {
    this.v++;
    this.refresh();
    this.send("edited", { by }, by);
  }

  /**
   * Regions by the area they have in both pictures, Rest first. Keys follow this order, so it changes when regions
   * come or go or a map is taken over, not under the brush.
   */
  sort(always = false) {
    const known = this.regions.map((region) => region.id);
    if (!always && known.length === this.order.length && known.every((id) => this.order.includes(id))) return;
    const counts = this.counts();
    const share = (id) => SIDES.reduce((sum, name) => sum + counts[name][id] / (this.sides[name].ids?.length || 1), 0);
    this.order = known.sort((a, b) => (a === 0 ? -1 : b === 0 ? 1 : share(b) - share(a) || a - b));
  }

  refresh() {
    this.sort();
    if (!this.regionOf(this.region)) this.region = this.regions[Math.min(1, this.regions.length - 1)].id;
    if (this.solo !== null && !this.regionOf(this.solo)) this.solo = null;
    this.relight();
    this.legend.refresh();
    this.toolbar.refresh();
    for (const each of this.helpers) each.refresh?.();
    this.tellShown();
  }

  /** Whoever shows where pictures came from, as the row of examples, hears which ones are here now. */
  tellShown() {
    const [content, style] = SIDES.map((name) => this.sides[name].picture?.path ?? null);
    document.dispatchEvent(new CustomEvent("scsa-shown", { detail: { content, style } }));
  }

  /** Colours of the overlay. A region that is pointed at stands out in both pictures, with what it is linked to. */
  relook() {
    const lit = this.hidden ? null : this.hover ?? this.solo;
    const opacity = this.hidden ? 0 : this.opacity;
    const linked = lit === null ? [] : (this.links[lit] ?? []).filter((id) => id >= 0);
    this.lookUps.content = lookUp(this.regions, opacity, lit === null ? null : [lit]);
    this.lookUps.style = lookUp(this.regions, opacity, lit === null ? null : [lit, ...linked]);
  }

  relight() {
    this.relook();
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

  /** New pictures took the last painted region with them: what its legend becomes, as parts of that step. */
  freshLegend() {
    if (SIDES.some((name) => this.counts()[name].some((n, id) => id !== 0 && n > 0))) return [];
    const part = this.legendPart({ regions: firstRegions(), links: {} });
    this.region = 1;
    this.refresh();
    return [part];
  }

  editLegend(by, change) {
    this.record({ by, parts: [this.legendPart(change)] });
    this.changed(by);
  }

  setSide(name, side) {
    this.sides[name].rgba = null; // can be made again
    this.sides[name] = side;
    if (!side.image && side.picture?.url) this.fetchAgain(name, side);
    if (side.ids) this.touch(name);
    this.paneOf(name).adopt();
    this.layout();
    this.refresh();
  }

  /** The undo stack let go of a decoded picture: it comes from the server again. */
  async fetchAgain(name, side) {
    side.image = await this.files.fetch(side.picture).catch(() => null);
    if (side.image && this.sides[name] === side) this.paneOf(name).adopt();
  }

  fillAt(pane, point) {
    if (this.gestures.fill.begin(pane, point)) this.gestures.keepFill();
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
    const region = firstRegion(id);
    this.region = id;
    this.editLegend("add", { regions: [...this.regions, region].sort((a, b) => a.id - b.id) });
  }

  renameRegion(id, name) {
    this.editLegend("rename", { regions: this.regions.map((region) => (region.id === id ? { ...region, name } : region)) });
  }

  recolour(id, colour) {
    if (colour === this.colourOf(id)) return;
    this.editLegend("colour", { regions: this.regions.map((region) => (region.id === id ? { ...region, colour } : region)) });
  }

  clearRegion(id) {
    if (id !== 0) this.relabel("clear_region", id, 0);
  }

  deleteRegion(id) {
    if (id !== 0) this.relabel("delete", id, 0, this.without(id));
  }

  /** Make one region of two: `id` goes, its area and its links become those of `into`. */
  mergeRegion(id, into) {
    if (id === 0 || id === into || !this.regionOf(into)) return;
    if (into === 0) return this.deleteRegion(id);
    const fresh = this.counts().content[into] === 0;
    this.relabel("merge", id, into, {
      regions: this.regions.filter((region) => region.id !== id), links: mergedLinks(this.links, id, into, fresh),
    });
    this.selectRegion(into);
  }

  /** The side on which the selected region's shape is changed: the active picture, or the other where only that has it. */
  shapeSide(id = this.region) {
    const counts = this.counts();
    const { name } = this.active;
    const other = SIDES.find((each) => each !== name);
    return counts[name][id] === 0 && counts[other][id] > 0 ? other : name;
  }

  /** Grow, shrink, smooth or fill the holes of a region in one picture. */
  reshape(by, id = this.region) {
    this.gestures.cancel();
    const name = this.shapeSide(id);
    const { ids, w, h } = this.sides[name];
    if (!ids || id === 0) return;
    const before = ids.slice();
    SHAPES[by](ids, w, h, id);
    if (this.commitIds(by, [[name, before]])) this.say(this.words.get("said_done", { step: this.words.get(`step_${by}`) }));
    else this.say(this.words.get("said_no_change"));
  }

  /** Part a region of one picture into its connected parts: each becomes a region, linked as the whole was. */
  splitRegion(id = this.region) {
    this.gestures.cancel();
    const name = this.shapeSide(id);
    const { ids, w, h } = this.sides[name];
    if (!ids || id === 0) return;
    const before = ids.slice();
    const free = freeIds(this.regions);
    const made = splitParts(ids, w, h, id, free);
    if (made.length === 0) return this.say(this.words.get(free.length === 0 ? "full_legend" : "said_one_part"));
    const used = new Set(this.regions.map((region) => region.name));
    const regions = made.map((each, k) => ({ id: each, name: partName(this.nameOf(id), k + 2, used), colour: paletteColour(each) }));
    this.commitIds("split", [[name, before]], [this.legendPart({
      regions: [...this.regions, ...regions].sort((a, b) => a.id - b.id), links: splitLinks(this.links, name, id, made),
    })]);
    this.say(this.words.get("said_split", { n: made.length + 1 }));
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
    if (this.gestures.lasso && this.gestures.mode === null) return this.gestures.forgetCorner();
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

  /** Put one part of a step back ("before") or in place ("after"). */
  putPart(part, which) {
    if (part.kind === "ids") {
      const { x0, y0, x1, y1 } = part.box;
      const side = this.sides[part.side];
      pasteIds(side.ids, side.w, part.box, unpackRuns(part[which], (x1 - x0) * (y1 - y0)));
      this.touch(part.side);
    } else if (part.kind === "side") this.setSide(part.side, part[which]);
    else ({ regions: this.regions, links: this.links } = part[which]);
  }

  replay(entry, which, by) {
    const parts = which === "before" ? [...entry.parts].reverse() : entry.parts;
    for (const part of parts) this.putPart(part, which);
    for (const pane of this.panes) pane.ask.hidden = true;
    this.notice.hidden = true;
    this.changed(by);
    this.say(this.words.get(by === "undo" ? "said_undo" : "said_redo", { step: this.step(entry) }));
  }

  // ------------------------------------------------------------ selection and view

  setTool(tool) {
    if (this.tool !== tool) {
      this.gestures.dropLasso();
      this.gestures.dropFill();
      for (const each of this.helpers) each.reset?.();
    }
    this.tool = tool;
    this.toolbar.refresh();
    for (const each of this.helpers) each.refresh?.();
    this.gestures.showRing();
    for (const pane of this.panes) pane.showCrosshair();
    this.say(this.words.get("said_tool", { name: this.words.get(tool) }));
  }

  setSize(size) {
    if (this.tool in this.sizes) this.sizes[this.tool] = Math.min(200, Math.max(1, Math.round(size)));
    this.toolbar.refresh();
    this.gestures.flashRing();
    this.gestures.showRing();
    for (const pane of this.panes) pane.showCrosshair();
  }

  setTolerance(tolerance) {
    this.edges.tolerance = Math.min(100, Math.max(1, Math.round(tolerance) || 1));
    this.toolbar.refresh();
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

  pointerRing() { this.gestures.follow(); }

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

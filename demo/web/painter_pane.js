// One picture with its map: layout, zoom and pan, drawing, the upload zone, messages. Editing is in painter_tools.js.

const MAX_ZOOM = 16;

class Pane {
  constructor(app, name) {
    this.app = app;
    this.name = name;
    this.zoom = 1;
    this.centre = { x: 0, y: 0 };
    this.crosshair = null;
    this.frame = 0;
    this.dirty = null; // device pixels to redraw, or "all"
    this.pictureStale = true;
    this.build();
  }

  get side() { return this.app.sides[this.name]; }
  get filled() { return this.side.ids !== null; }

  build() {
    const { words, name } = { words: this.app.words, name: this.name };
    const side = () => ({ side: words.get(name) });
    this.root = el("section", "sp-pane", { "data-side": name });
    words.attribute(this.root, "aria-label", name);

    const title = words.text(el("h2", "sp-title"), name);
    this.replaceButton = button(words, "replace", "replace", { onClick: () => this.fileInput.click() });
    words.attribute(this.replaceButton, "aria-label", "replace_for", side);
    const opener = button(words, "menu", "menu", { compact: true });
    words.attribute(opener, "aria-label", "menu_for", side);
    this.menu = menuButton(words, opener, [
      ["camera", () => this.cameraInput.click()],
      ["load_map", () => this.mapInput.click()],
      ["save_index", () => this.app.files.save(name, "index")],
      ["save_colour", () => this.app.files.save(name, "colour")],
      ["save_legend", () => this.app.files.save(name, "legend")],
      ["save_overlay", () => this.app.files.save(name, "overlay")],
      ["clear_map", () => this.app.clearMaps([name])],
      ["swap", () => this.app.swap()],
    ]);
    this.head = el("header", "sp-head", {}, title, this.buildZoom(), this.replaceButton, this.menu);

    this.fileInput = this.hiddenInput({ accept: "image/*,.tif,.tiff,.json", multiple: "" }, "choose_for", (files) => this.app.files.take(name, files));
    this.cameraInput = this.hiddenInput({ accept: "image/*", capture: "environment" }, "camera", (files) => this.app.files.picture(name, files[0]));
    this.mapInput = this.hiddenInput({ accept: "image/png,image/*,.json", multiple: "" }, "load_map", (files) => this.app.files.maps(name, files));

    this.stage = el("div", "sp-stage");
    this.pictureCanvas = el("canvas", "sp-picture", { "aria-hidden": "true" });
    this.canvas = el("canvas", "sp-map", { tabindex: "0", role: "application" });
    words.attribute(this.canvas, "aria-label", "canvas_label", side);
    this.ring = el("div", "sp-ring", { "aria-hidden": "true" });
    this.cross = el("div", "sp-cross", { "aria-hidden": "true" });
    this.ring.hidden = this.cross.hidden = true;
    this.outline = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.outline.setAttribute("class", "sp-outline");
    this.outline.setAttribute("aria-hidden", "true");
    for (const kind of ["sp-outline-dark", "sp-outline-light"]) {
      const line = document.createElementNS(this.outline.namespaceURI, "polyline");
      line.setAttribute("class", kind);
      this.outline.append(line);
    }
    const start = document.createElementNS(this.outline.namespaceURI, "circle");
    start.setAttribute("class", "sp-outline-start");
    start.setAttribute("r", "6");
    this.outlineStart = start;
    this.outline.append(start);
    this.tag = el("div", "sp-tag", { "aria-hidden": "true" });
    this.tag.hidden = true;
    this.busy = el("div", "sp-busy");
    this.busy.hidden = true;
    this.dropHint = words.text(el("div", "sp-drop-hint"), "drop_to_replace");
    this.stage.append(this.pictureCanvas, this.canvas, this.outline, this.ring, this.cross, this.tag, this.buildZone(), this.dropHint, this.busy);

    this.alert = el("div", "sp-alert", { role: "alert" });
    this.alert.hidden = true;
    this.ask = el("div", "sp-ask", { role: "group" });
    this.ask.hidden = true;
    this.root.append(this.head, this.stage, this.ask, this.alert, this.fileInput, this.cameraInput, this.mapInput);
    this.listenToDrops();
  }

  hiddenInput(attributes, labelKey, take) {
    const input = el("input", "sp-hidden", { type: "file", tabindex: "-1", ...attributes });
    this.app.words.attribute(input, "aria-label", labelKey, () => ({ side: this.app.words.get(this.name) }));
    input.addEventListener("change", () => {
      if (input.files.length > 0) take([...input.files]);
      input.value = "";
    });
    return input;
  }

  buildZone() {
    const { words } = this.app;
    const choose = button(words, "choose", "upload", { className: "sp-primary", onClick: () => this.fileInput.click() });
    words.attribute(choose, "aria-label", "choose_for", () => ({ side: words.get(this.name) }));
    this.zone = el("div", "sp-zone", {},
      words.text(el("p", "sp-zone-title"), "drop_title"),
      words.text(el("p", "sp-zone-hint"), "drop_hint"),
      el("div", "sp-zone-buttons", {}, choose,
        button(words, "camera", "camera", { className: "sp-camera", onClick: () => this.cameraInput.click() })),
      words.text(el("p", "sp-zone-kinds"), "drop_kinds"));
    // The whole zone is a target; its buttons are the way in for keyboards.
    this.zone.addEventListener("click", (event) => { if (!event.target.closest("button")) this.fileInput.click(); });
    return this.zone;
  }

  buildZoom() {
    const { words } = this.app;
    const at = () => ({ x: this.width / 2, y: this.height / 2 });
    this.zoomBar = el("div", "sp-zoom", { role: "group" },
      button(words, "zoom_out", "minus", { compact: true, key: "Ctrl+-", onClick: () => this.zoomBy(1 / 1.5, at()) }),
      this.fitButton = button(words, "zoom_fit", "fit", { compact: true, key: "Ctrl+0", onClick: () => this.fit() }),
      button(words, "zoom_in", "plus", { compact: true, key: "Ctrl++", onClick: () => this.zoomBy(1.5, at()) }));
    words.attribute(this.zoomBar, "aria-label", "zoom");
    return this.zoomBar;
  }

  listenToDrops() {
    const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    let depth = 0;
    const hover = (on) => this.root.classList.toggle("sp-dropping", on);
    this.root.addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth++; hover(true); } });
    this.root.addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (depth === 0) hover(false); });
    this.root.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
    this.root.addEventListener("drop", (event) => {
      depth = 0;
      hover(false);
      if (!carriesFiles(event) || event.dataTransfer.files.length === 0) return;
      event.preventDefault();
      event.stopPropagation();
      this.app.files.take(this.name, [...event.dataTransfer.files]);
    });
  }

  // ------------------------------------------------------------ messages

  /** Show an error beside the picture it is about; null takes it away. */
  showAlert(text) {
    this.alert.replaceChildren();
    this.alert.hidden = !text;
    if (!text) return;
    this.alert.append(el("span", "", {}, text), this.closer(() => this.showAlert(null)));
  }

  closer(onClick) {
    const node = this.app.words.text(el("button", "sp-link", { type: "button" }), "dismiss");
    node.addEventListener("click", onClick);
    return node;
  }

  /** Ask inline: a question and [[key, action], …]; the first is the safe one. */
  question(key, answers) {
    const { words } = this.app;
    this.ask.replaceChildren(el("span", "", {}, words.get(key)));
    for (const [name, action] of answers) {
      const node = el("button", "sp-button", { type: "button" }, words.get(name));
      node.dataset.action = name;
      node.addEventListener("click", () => { this.ask.hidden = true; action(); });
      this.ask.append(node);
    }
    this.ask.hidden = false;
  }

  setBusy(key) {
    this.busy.hidden = key === null;
    this.busy.textContent = key === null ? "" : this.app.words.get(key);
    this.stage.setAttribute("aria-busy", String(key !== null));
  }

  // ------------------------------------------------------------ layout and view

  /** A new picture or map: show it whole. */
  adopt() {
    this.root.classList.toggle("sp-filled", this.filled);
    this.crosshair = null;
    this.zoom = 1;
    this.pictureStale = true;
    if (this.filled) this.centre = { x: this.side.w / 2, y: this.side.h / 2 };
    this.invalidate();
  }

  /** Height that shows the picture without bars, for a width in CSS pixels. */
  wantedHeight(width) {
    return this.filled ? (width * this.side.h) / this.side.w : 0;
  }

  resize(height) {
    this.stage.style.height = `${Math.round(height)}px`;
    this.width = this.stage.clientWidth;
    this.height = this.stage.clientHeight;
    if (this.width === 0) return;
    // Two device pixels per CSS pixel are enough for the eye; three cost twice as much to fill.
    this.dpr = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(this.width * this.dpr), Math.round(this.height * this.dpr)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      for (const canvas of [this.canvas, this.pictureCanvas]) [canvas.width, canvas.height] = [w, h];
      this.image = new ImageData(w, h);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.hatch = hatchTiles(this.dpr);
    }
    this.clampCentre();
    this.pictureStale = true; // a canvas of another size is empty, and the scale is another
    this.invalidate();
  }

  /** CSS pixels per map pixel. */
  get scale() {
    return Math.min(this.width / this.side.w, this.height / this.side.h) * this.zoom;
  }

  /** Where the map's corner lies in the stage, CSS pixels. */
  get origin() {
    return { x: this.width / 2 - this.centre.x * this.scale, y: this.height / 2 - this.centre.y * this.scale };
  }

  clampCentre() {
    if (!this.filled || !this.width) return;
    for (const [axis, size, room] of [["x", this.side.w, this.width], ["y", this.side.h, this.height]]) {
      const half = room / this.scale / 2;
      this.centre[axis] = half * 2 >= size ? size / 2 : Math.min(size - half, Math.max(half, this.centre[axis]));
    }
  }

  /** Map coordinates of a point of the page. */
  toMap(point) {
    const rect = this.canvas.getBoundingClientRect();
    const origin = this.origin;
    return { x: (point.clientX - rect.left - origin.x) / this.scale, y: (point.clientY - rect.top - origin.y) / this.scale };
  }

  /** Zoom about `at` (CSS pixels in the stage). False when nothing changed. */
  zoomBy(factor, at) {
    if (!this.filled) return false;
    const zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    if (zoom === this.zoom) return false;
    const origin = this.origin;
    const fixed = { x: (at.x - origin.x) / this.scale, y: (at.y - origin.y) / this.scale };
    this.zoom = zoom;
    this.centre = { x: fixed.x + (this.width / 2 - at.x) / this.scale, y: fixed.y + (this.height / 2 - at.y) / this.scale };
    this.viewChanged();
    return true;
  }

  panBy(dx, dy) {
    if (!this.filled) return;
    this.centre = { x: this.centre.x - dx / this.scale, y: this.centre.y - dy / this.scale };
    this.viewChanged();
  }

  fit() {
    if (!this.filled) return;
    this.zoom = 1;
    this.centre = { x: this.side.w / 2, y: this.side.h / 2 };
    this.viewChanged();
  }

  viewChanged() {
    this.clampCentre();
    this.pictureStale = true;
    this.invalidate();
    this.app.pointerRing();
  }

  // ------------------------------------------------------------ drawing

  /** Redraw soon: a box of the map, or all of it. */
  invalidate(box = null) {
    if (box === null || this.dirty === "all") this.dirty = "all";
    else this.dirty = unionBox(this.dirty, box);
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const dirty = this.dirty;
    this.dirty = null;
    if (!this.width || !this.image || !dirty) return;
    this.showCrosshair();
    const context = this.canvas.getContext("2d");
    if (!this.filled) {
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.pictureCanvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
      return;
    }
    if (this.pictureStale) this.drawPicture();
    const origin = this.origin;
    const view = { scale: this.scale * this.dpr, x: origin.x * this.dpr, y: origin.y * this.dpr };
    const [W, H] = [this.canvas.width, this.canvas.height];
    let rect = { x0: 0, y0: 0, x1: W, y1: H };
    if (dirty !== "all") {
      rect = {
        x0: Math.max(0, Math.floor(dirty.x0 * view.scale + view.x) - 1), y0: Math.max(0, Math.floor(dirty.y0 * view.scale + view.y) - 1),
        x1: Math.min(W, Math.ceil(dirty.x1 * view.scale + view.x) + 2), y1: Math.min(H, Math.ceil(dirty.y1 * view.scale + view.y) + 2),
      };
      if (rect.x0 >= rect.x1 || rect.y0 >= rect.y1) return;
    }
    drawOverlay(this.pixels, W, rect, this.side, view, this.app.lookUps[this.name], this.hatch);
    context.putImageData(this.image, 0, 0, rect.x0, rect.y0, rect.x1 - rect.x0, rect.y1 - rect.y0);
    if (dirty === "all") for (const each of this.app.helpers) each.draw?.(this);
  }

  drawPicture() {
    this.pictureStale = false;
    const context = this.pictureCanvas.getContext("2d");
    context.clearRect(0, 0, this.pictureCanvas.width, this.pictureCanvas.height);
    if (!this.side.image) return;
    const origin = this.origin;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.side.image, origin.x * this.dpr, origin.y * this.dpr,
      this.side.w * this.scale * this.dpr, this.side.h * this.scale * this.dpr);
  }

  /** The brush's size at a place of the page, or nothing. */
  showRing(point, diameter, colour) {
    this.ring.hidden = !point;
    if (!point) return;
    const rect = this.stage.getBoundingClientRect();
    const size = Math.max(3, diameter * this.scale);
    this.ring.style.width = this.ring.style.height = `${size}px`;
    this.ring.style.transform = `translate(${point.clientX - rect.left - size / 2}px, ${point.clientY - rect.top - size / 2}px)`;
    this.ring.style.setProperty("--sp-ring", colour);
  }

  showCrosshair() {
    this.cross.hidden = !this.crosshair || !this.filled || document.activeElement !== this.canvas;
    if (this.cross.hidden) return;
    const origin = this.origin;
    this.cross.style.transform =
      `translate(${origin.x + (this.crosshair.x + 0.5) * this.scale}px, ${origin.y + (this.crosshair.y + 0.5) * this.scale}px)`;
    const size = this.app.tool === "brush" || this.app.tool === "eraser" ? Math.max(8, this.app.size * this.scale) : 8;
    this.cross.style.setProperty("--sp-size", `${size}px`);
  }

  /** The lasso so far, in map coordinates; `closable`: its start is marked as the place to close it. */
  showOutline(points, closable = false) {
    const origin = this.origin;
    const shown = points.map((p) => [p.x * this.scale + origin.x, p.y * this.scale + origin.y]);
    const text = shown.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    for (const line of this.outline.querySelectorAll("polyline")) line.setAttribute("points", text);
    this.outlineStart.style.display = closable ? "inline" : "none";
    if (!closable) return;
    const [start, tip] = [shown[0], shown[shown.length - 1]];
    this.outlineStart.setAttribute("cx", start[0].toFixed(1));
    this.outlineStart.setAttribute("cy", start[1].toFixed(1));
    const near = shown.length > 3 && Math.hypot(start[0] - tip[0], start[1] - tip[1]) < TAP_SLACK * 1.5;
    this.outlineStart.classList.toggle("sp-near", near);
  }

  /** A few words above a place of the page, or nothing. */
  showTag(text, point = null) {
    this.tag.hidden = !text;
    if (!text) return;
    this.tag.textContent = text;
    const rect = this.stage.getBoundingClientRect();
    const x = Math.min(rect.width - 60, Math.max(60, point.clientX - rect.left));
    const y = point.clientY - rect.top;
    this.tag.style.transform = `translate(-50%, -50%) translate(${x}px, ${y < 60 ? y + 40 : y - 40}px)`;
  }
}

// Files in and out: pictures by click, drop, paste and camera; maps loaded and saved.

const MAX_PICTURE_SIDE = 2048; // of the copy that is shown; Python works on the file itself
const ANSWER_TIME = 60_000; // ms

class Files {
  constructor(app, upload) {
    this.app = app;
    this.upload = upload;
    this.latest = { content: 0, style: 0 }; // counts pictures, so that a slow one never replaces a newer one
    this.sources = new WeakMap(); // decoded picture -> the file it came from
    this.added = { content: null, style: null }; // undo entry of a picture that Python may still refuse
  }

  refuse(name, reason, key) {
    const pane = this.app.paneOf(name);
    const kept = pane.filled ? ` ${this.app.words.get("kept_previous")}` : "";
    pane.setBusy(null);
    pane.showAlert(this.app.words.get(key) + kept);
    this.app.send("invalid", { side: name, reason });
  }

  /** Files dropped on, or chosen for, a side: pictures and their maps are told apart by name, and the sides too. */
  async take(name, files) {
    const { pictures, maps } = sortFiles(name, files);
    const before = { ...this.app.sides };
    await Promise.all(Object.entries(pictures).map(([side, file]) => this.picture(side, file)));
    if (maps.length === 0) return;
    const waited = Object.keys(pictures).filter((side) => this.app.waiting[side] !== null);
    await this.answered(waited);
    if (waited.some((side) => this.app.sides[side] === before[side])) return; // refused, and what is said of it stands there
    await this.maps(name, maps);
  }

  /** Until Python has answered about pictures that only it can read, or seems gone. */
  async answered(names) {
    const end = Date.now() + ANSWER_TIME;
    while (names.some((name) => this.app.waiting[name] !== null) && Date.now() < end) await new Promise((done) => setTimeout(done, 100));
  }

  /** A new picture for a side: shown at once where the browser can decode it, uploaded, then announced. */
  async picture(name, file) {
    const { app } = this;
    const pane = app.paneOf(name);
    const turn = ++this.latest[name];
    this.added[name] = null; // what an earlier file brought stays, whatever becomes of this one
    pane.showAlert(null);
    pane.ask.hidden = true;
    if (file.type === "image/svg+xml" || /\.svgz?$/i.test(file.name)) return this.refuse(name, "svg", "bad_svg");
    const typed = file.type && file.type !== "application/octet-stream";
    if (typed && !file.type.startsWith("image/")) return this.refuse(name, "type", "bad_type");
    pane.setBusy("reading");
    const image = await this.decode(file);
    if (turn !== this.latest[name]) return;
    const side = image ? this.show(name, image) : null;
    let record;
    try {
      record = fileRecord(file, await this.upload(file));
    } catch {
      if (turn !== this.latest[name]) return;
      this.takeBack(name);
      return this.refuse(name, "upload", "upload_failed");
    }
    // The picture itself, wherever an undo, a swap or a newer picture has put it meanwhile.
    if (side) side.picture = record;
    if (turn !== this.latest[name]) return;
    let shown = name;
    if (side) {
      pane.setBusy(null);
      shown = SIDES.find((each) => app.sides[each] === side);
      if (!shown) return;
      app.tellShown();
    } else {
      app.waiting[name] = record; // only Python can read it: it answers with a picture or with an error
    }
    app.v++;
    app.send("picture", { side: shown }, "picture");
  }

  /** Decoded, upright and at most MAX_PICTURE_SIDE, or null. */
  async decode(blob) {
    const image = await this.bitmap(blob);
    if (image) this.sources.set(image, blob);
    return image;
  }

  async bitmap(blob) {
    try {
      const full = await createImageBitmap(blob, { imageOrientation: "from-image" });
      const scale = Math.min(1, MAX_PICTURE_SIDE / Math.max(full.width, full.height));
      if (scale === 1) return full;
      const small = await createImageBitmap(full, {
        resizeWidth: Math.max(1, Math.round(full.width * scale)), resizeHeight: Math.max(1, Math.round(full.height * scale)), resizeQuality: "high",
      });
      full.close();
      return small;
    } catch {
      return null;
    }
  }

  /** Fetch and decode a picture that Python names. */
  async fetch(picture) {
    if (!picture?.url) return null;
    const response = await fetch(picture.url);
    return response.ok ? this.decode(await response.blob()) : null;
  }

  /** Put a new picture in place as one undoable step; a map of the same shape stays until the person decides. Returns its side. */
  show(name, image) {
    const { app } = this;
    const old = app.sides[name];
    const size = mapSize(image.width, image.height);
    const painted = old.ids !== null && old.ids.some((id) => id !== 0);
    const keep = painted && sameAspect(old, size);
    const ids = keep ? resizeIds(old.ids, old.w, old.h, size.w, size.h) : new Uint8Array(size.w * size.h);
    const side = newSide({ ...size, ids, image });
    const entry = { by: "picture", parts: [{ kind: "side", side: name, before: old, after: side }] };
    app.record(entry);
    this.added[name] = entry;
    app.setSide(name, side);
    if (painted && !keep) entry.parts.push(...app.freshLegend());
    app.say(app.words.get("said_picture", { side: app.words.get(name) }));
    if (keep) app.paneOf(name).question("ask_keep_map", [["keep_map", () => {}], ["reset_map", () => app.clearMaps([name])]]);
    return side;
  }

  /** What a dropped file brought is taken further by Python's answer: parts of one step, where nothing came between. */
  joined(parts) {
    const { stack } = this.app;
    const entry = SIDES.map((name) => this.added[name]).find((each) => each && each === stack.nextUndo);
    this.added = { content: null, style: null };
    if (!entry) return parts;
    stack.undo();
    return [...entry.parts, ...parts];
  }

  /** The picture could not be kept: the one before comes back, as if the new one had never been. */
  takeBack(name) {
    const { app } = this;
    const entry = this.added[name];
    this.added[name] = null;
    if (!entry) return;
    if (app.stack.undone.includes(entry)) app.stack.undone = []; // undone already: it must not come again
    const from = app.stack.done.indexOf(entry);
    if (from < 0) return;
    const touches = (each) => each.parts.some((part) => part.side === name);
    app.stack.done = app.stack.done.filter((each, i) => i < from || !touches(each));
    app.stack.undone = [];
    for (const part of [...entry.parts].reverse()) app.putPart(part, "before");
    app.paneOf(name).ask.hidden = true;
  }

  /** Map files chosen for a side: uploaded and handed to Python, which answers with a new value. */
  async maps(name, files) {
    const { app } = this;
    const pane = app.paneOf(name);
    pane.showAlert(null);
    if (!pane.filled) return pane.showAlert(app.words.get("no_picture"));
    pane.setBusy("importing");
    try {
      const records = [];
      for (const file of files.slice(0, 4)) records.push(fileRecord(file, await this.upload(file)));
      app.incoming = { side: name, files: records };
      app.send("import", { side: name });
    } catch {
      pane.setBusy(null);
      pane.showAlert(app.words.get("map_upload_failed"));
    }
  }

  async save(name, kind) {
    const side = this.app.sides[name];
    if (!side.ids) return this.app.paneOf(name).showAlert(this.app.words.get("no_picture"));
    const legend = legendJson(this.app.regions, this.app.links);
    if (kind === "index") download(await indexPng(side, legend), `${name}_labels.png`);
    else if (kind === "colour") download(await colourPng(side, this.app.regions, legend), `${name}_map.png`);
    else if (kind === "legend") download(legend, "regions.json", "application/json");
    else download(await this.overlayPng(side), `${name}_overlay.png`);
  }

  /** The picture under its map, at the size of the copy that is shown. */
  overlayPng(side) {
    const w = side.image?.width ?? side.w, h = side.image?.height ?? side.h;
    const canvas = new OffscreenCanvas(w, h), map = new OffscreenCanvas(w, h);
    const context = canvas.getContext("2d");
    if (side.image) context.drawImage(side.image, 0, 0);
    const pixels = new ImageData(w, h);
    const colours = lookUp(this.app.regions, Math.max(0.3, this.app.opacity), null);
    const view = { scale: w / side.w, x: 0, y: 0 };
    drawOverlay(new Uint32Array(pixels.data.buffer), w, { x0: 0, y0: 0, x1: w, y1: h }, side, view, colours, hatchTiles(Math.max(1, w / 700)));
    map.getContext("2d").putImageData(pixels, 0, 0);
    context.drawImage(map, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  /** Paste: into the pane that is focused or under the pointer, else into the empty one. */
  listenToPaste(hovered) {
    const onPaste = (event) => {
      const { app } = this;
      if (!app.root.isConnected) return document.removeEventListener("paste", onPaste);
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      if (!file || app.root.offsetParent === null) return;
      const focused = app.panes.find((pane) => pane.root.contains(document.activeElement));
      const target = focused ?? hovered() ?? app.panes.find((pane) => !pane.filled)
        ?? (app.root.contains(document.activeElement) ? app.active : null);
      if (!target) return;
      event.preventDefault();
      this.picture(target.name, file);
    };
    document.addEventListener("paste", onPaste);
  }
}

// Browsers number a second file of a name: "content_map (1).png", "content_map(1).png", "content_map-2.png".
const MAP_NAME = /[_-](sem|map|maps|labels|colours|colors|seg)(\s?\(\d+\)|-\d+)?\.(png|bmp|gif|tiff?)$/i;
const STYLE_NAME = /style|paint/i;

/** Which of some files is whose picture, and which are maps; `name` is the side they were given to. */
function sortFiles(name, files) {
  const isMap = (file) => MAP_NAME.test(file.name) || /\.json$/i.test(file.name);
  const [maps, rest] = [files.filter(isMap), files.filter((file) => !isMap(file))];
  const pictures = {};
  if (rest.length === 1) pictures[name] = rest[0];
  else if (rest.length > 1) {
    const style = rest.find((file) => STYLE_NAME.test(file.name)) ?? rest[1];
    pictures.style = style;
    pictures.content = rest.find((file) => file !== style);
  }
  return { pictures, maps };
}

if (typeof module !== "undefined") module.exports = { sortFiles };

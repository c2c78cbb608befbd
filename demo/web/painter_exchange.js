// The exchange with Python: the component's value out after every edit, and in as one undoable step.

const Exchange = {
  /** Queue an event. The newest state goes with it; edits that pile up while it is packed become one. */
  send(name, data, by = null) {
    if (by !== null) this.by = by;
    if (name === "edited") this.events = this.events.filter((event) => event.name !== "edited");
    this.events.push({ name, data });
    this.flush();
  },

  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    try {
      while (this.events.length > 0) {
        for (const each of this.helpers) await each.beforeSend?.();
        const events = this.events;
        this.events = [];
        this.write(await this.pack());
        this.incoming = null;
        for (const { name, data } of events) {
          // Spelled out: Gradio lets Python listen to event names it finds quoted in the script.
          if (name === "edited") this.trigger("edited", data);
          else if (name === "picture") this.trigger("picture", data);
          else if (name === "import") this.trigger("import", data);
          else if (name === "invalid") this.trigger("invalid", data);
          else if (name === "render_now") this.trigger("render_now", data);
          else if (name === "cancel_now") this.trigger("cancel_now", data);
          else if (name === "suggest") this.trigger("suggest", data);
          else if (name === "resume") this.trigger("resume", data);
        }
      }
    } finally {
      this.flushing = false;
    }
  },

  /** The value that describes the state now. */
  async pack() {
    const value = {
      v: this.v, regions: this.regions, links: this.links, by: this.by, error: null, incoming: this.incoming,
    };
    if (this.incoming) this.handed = Object.fromEntries(SIDES.map((name) => [name, this.sides[name].committed]));
    const sides = SIDES.map((name) => [name, this.sides[name], this.waiting[name]]);
    for (const [name, side, waiting] of sides) {
      if (waiting) {
        value[name] = { picture: waiting, w: 0, h: 0, map: null };
        continue;
      }
      if (side.committed && side.encoded === null) {
        const ids = side.committed;
        const text = toBase64(await deflate(ids));
        if (side.committed === ids) side.encoded = text;
        value[name] = { picture: side.picture, w: side.w, h: side.h, map: text };
      } else value[name] = { picture: side.picture, w: side.w, h: side.h, map: side.encoded };
    }
    return structuredClone(value);
  },

  write(value) {
    this.written = JSON.stringify(value);
    this.props.value = value;
  },

  // ------------------------------------------------------------ from Python

  /** A value came in. Gradio may tell the same one again: while it is being taken over that is no newer one, and Auto's never is. */
  async receive(raw, first = false) {
    if (!raw || typeof raw !== "object") return;
    const text = JSON.stringify(raw);
    if (!first && (text === this.written || text === this.receiving || text === this.found)) return;
    this.receiving = text;
    if (raw.by === "auto") this.found = text;
    try {
      await this.understand(JSON.parse(text), first);
    } finally {
      if (this.receiving === text) this.receiving = null;
    }
  },

  async understand(value, first) {
    await this.gestures.rest();
    for (const pane of this.panes) pane.setBusy(null);
    if (value.error) return this.refused(value);
    if (!first && value.by === "auto" && value.v < this.v) {
      const stale = SIDES.some((name) => value[name]?.picture?.path !== this.sides[name].picture?.path);
      // What moved on may only be Python's own answer about a new picture: then the maps are of this state.
      if (!stale && this.by === "picture") return this.adopt(value, first);
      if (!stale) return this.offerLater(value); // maps of pictures that are gone help nobody
      return this.pack().then((packed) => this.write(packed));
    }
    await this.adopt(value, first);
  },

  /** Python could not use a file: say why beside it; the picture and map before come back. */
  refused(value) {
    for (const name of SIDES) {
      const text = value.error[name];
      if (!text) continue;
      const pane = this.paneOf(name);
      // A refused map leaves the picture in the answer; a refused picture takes it out.
      if (!value[name]?.picture) {
        this.files.takeBack(name);
        this.waiting[name] = null;
      }
      pane.showAlert(pane.filled && !value[name]?.picture ? `${text} ${this.words.get("kept_previous")}` : text);
    }
    this.refresh();
    this.pack().then((packed) => this.write(packed));
  },

  offerLater(value) {
    const { words } = this;
    const answer = (key, action) => {
      const node = el("button", "sp-button", { type: "button" }, words.get(key));
      node.dataset.action = key;
      node.addEventListener("click", () => { this.offer.hidden = true; action(); });
      return node;
    };
    this.offer.replaceChildren(el("span", "", {}, words.get("offer_auto")),
      answer("apply", async () => { if (await this.adopt(value, false)) this.send("edited", { by: "auto" }, "auto"); }), answer("dismiss", () => {}));
    this.offer.hidden = false;
    this.pack().then((packed) => this.write(packed));
  },

  /** Take over a state from Python as one undoable step (the first one is no step). True when done. */
  async adopt(value, first) {
    const turn = ++this.turn;
    // An answer about a picture must not undo what was painted since: it only brings pictures.
    const picturesOnly = value.by === "picture" && !first;
    const handed = value.by === "import" && !first ? this.handed : null;
    const parts = [], kept = [];
    const next = {};
    try {
      await Promise.all(SIDES.map(async (name) => {
        next[name] = picturesOnly && !this.concerns(value, name) ? null : await this.readSide(name, value[name] ?? {}, picturesOnly);
      }));
    } catch {
      if (turn === this.turn) this.panes[0].showAlert(this.words.get("bad_state"));
      return false;
    }
    await this.gestures.rest();
    if (turn !== this.turn) return false;
    for (const name of SIDES) {
      const side = next[name];
      if (picturesOnly && !this.concerns(value, name)) continue;
      if (picturesOnly) this.files.added[name] = null; // it is kept
      const waited = this.waiting[name] !== null;
      this.waiting[name] = null;
      if (side === null) continue;
      if (side.ids && handed?.[name]?.length === side.ids.length && changedBox(handed[name], side.ids, side.w, side.h) === null) {
        kept.push(name); // the files were for the other picture: what was painted on this one meanwhile stays
        continue;
      }
      if (waited) this.paneOf(name).showAlert(null);
      parts.push({ kind: "side", side: name, before: this.sides[name], after: side });
    }
    if (!picturesOnly) {
      const regions = readRegions([...(value.regions ?? []), ...this.regions.filter(({ id }) => (
        kept.some((name) => this.counts()[name][id] > 0) && !(value.regions ?? []).some((region) => region.id === id)))]);
      const links = value.links ?? {};
      if (JSON.stringify([regions, links]) !== JSON.stringify([this.regions, this.links])) {
        parts.push(this.legendPart({ regions, links }));
      }
    }
    // Rest is what one paints away with: a fresh legend starts with its first real region.
    if (this.region === 0 || !this.regionOf(this.region)) this.region = this.regions[1]?.id ?? 0;
    this.by = value.by ?? "load";
    const painted = SIDES.some((name) => this.counts()[name].some((n, id) => id !== 0 && n > 0));
    for (const part of parts) if (part.kind === "side") this.setSide(part.side, part.after);
    if (picturesOnly && painted) parts.push(...this.freshLegend());
    this.sort(!picturesOnly);
    if (first) this.v = value.v ?? 0;
    else if (parts.length > 0) {
      this.record({ by: this.by, parts: this.by === "restore" ? this.files.joined(parts) : parts });
      this.v = Math.max(this.v, value.v ?? 0) + 1;
    }
    for (const pane of this.panes) if (parts.length > 0) pane.ask.hidden = true;
    this.refresh();
    if (parts.length > 0 && !first) this.say(this.words.get("said_done", { step: this.step({ by: this.by }) }));
    if (this.by === "import" && !first) this.noteImport(parts.length > 0);
    this.write(await this.pack());
    if (first) for (const each of this.helpers) each.begin?.();
    return true;
  },

  /** Maps came from files: say what they hold, with the way back beside it. */
  noteImport(changed) {
    const { words } = this;
    const counts = this.counts();
    const held = SIDES.map((name) => this.regions.map((region) => region.id).filter((id) => id !== 0 && counts[name][id] > 0));
    const shared = held[0].filter((id) => held[1].includes(id)).length;
    const n = new Set(held.flat()).size;
    const both = SIDES.every((name) => this.sides[name].ids);
    const text = words.get("import_holds", { regions: n, shared }) + (both && n > 0 && shared === 0 ? ` ${words.get("import_none_shared")}` : "");
    const answer = (key, action) => {
      const node = el("button", "sp-button", { type: "button" }, words.get(key));
      node.dataset.action = key;
      node.addEventListener("click", () => { this.notice.hidden = true; action(); });
      return node;
    };
    this.notice.replaceChildren(el("span", "", {}, changed ? text : words.get("import_same")),
      ...(changed ? [answer("import_keep", () => {}), answer("import_undo", () => this.undo())] : [answer("dismiss", () => {})]));
    this.notice.hidden = false;
    this.say(text);
  },

  /** Whether an answer about pictures is about the one that a side holds now: a newer upload may have overtaken it. */
  concerns(value, name) {
    if (SIDES.every((each) => !value[each]?.of)) return true;
    return value[name]?.of === (this.waiting[name] ?? this.sides[name].picture)?.path;
  },

  /** A side as Python describes it, or null where it says nothing new. Throws on a damaged map. */
  async readSide(name, fields, picturesOnly) {
    const now = this.sides[name];
    const samePicture = (fields.picture?.path ?? null) === (now.picture?.path ?? null);
    if (picturesOnly) {
      if (samePicture || !fields.picture) return null;
      const image = await this.files.fetch(fields.picture);
      if (!image) return null;
      const size = mapSize(image.width, image.height);
      if (this.waiting[name] === null && now.ids && sameAspect(now, size)) {
        now.picture = fields.picture; // the same picture, as Python keeps it
        return null;
      }
      return newSide({ ...size, ids: new Uint8Array(size.w * size.h), image, picture: fields.picture });
    }
    const image = samePicture && now.image ? now.image : await this.files.fetch(fields.picture);
    let { w, h } = fields;
    if (!(w > 0 && h > 0)) {
      if (!image) return now.ids === null && !fields.picture ? null : newSide({ picture: fields.picture ?? null });
      ({ w, h } = mapSize(image.width, image.height));
    }
    const ids = fields.map ? await inflate(fromBase64(fields.map), w * h) : new Uint8Array(w * h);
    const sameIds = now.ids && now.w === w && now.h === h && changedBox(now.ids, ids, w, h) === null;
    if (samePicture && sameIds) return null;
    return newSide({ w, h, ids, image, picture: fields.picture ?? null });
  },
};

/** The legend of a value: Rest first, known colours, clean names. */
function readRegions(records) {
  const regions = (records ?? []).map(({ id, name, colour }) => ({
    id, name: cleanName(name) || firstRegion(id).name, colour: /^#[0-9a-f]{6}$/i.test(colour) ? colour.toLowerCase() : paletteColour(id),
  })).sort((a, b) => a.id - b.id);
  if (regions[0]?.id !== 0) regions.unshift(firstRegion(0));
  return regions;
}

Object.assign(Painter.prototype, Exchange);
new Painter(element, { props, trigger, upload, watch });

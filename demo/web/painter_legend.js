// The shared legend: one chip per region, and what can be done to the selected one.

const DRAG_SLACK = 6; // CSS pixels
const HOLD_MS = 350; // a finger held on a chip lifts it; moved before that, it scrolls

class Legend {
  constructor(app) {
    this.app = app;
    this.chips = new Map();
    this.drag = null; // a chip on its way to another: {id, ghost, target, …}
    this.dropped = false;
    const { words } = app;
    this.root = el("section", "sp-legend");
    words.attribute(this.root, "aria-label", "regions");
    this.addButton = button(words, "add_region", "plus", { className: "sp-quiet", onClick: () => app.addRegion() });
    const head = el("header", "sp-head", {}, words.text(el("h2", "sp-title"), "regions"),
      words.text(el("span", "sp-hint"), "regions_hint"), this.addButton);
    this.list = el("div", "sp-chips", { role: "group" });
    words.attribute(this.list, "aria-label", "regions");
    this.buildBar();
    this.note = el("p", "sp-note");
    this.root.append(head, this.list, this.bar, this.note);
    // Once a chip is lifted the finger moves it, and scrolls nothing.
    this.list.addEventListener("touchmove", (event) => { if (this.drag?.ghost) event.preventDefault(); }, { passive: false });
    this.list.addEventListener("contextmenu", (event) => { if (this.drag) event.preventDefault(); });
    words.bind(() => this.refresh());
  }

  buildBar() {
    const { app } = this;
    const { words } = app;
    const named = () => ({ name: app.nameOf(app.region) });
    this.barSwatch = el("canvas", "sp-swatch", { "aria-hidden": "true" });
    this.barName = el("strong", "sp-bar-name");
    this.renameButton = button(words, "rename", null, { key: "F2", onClick: () => this.rename(app.region) });
    this.colourInput = el("input", "sp-colour", { type: "color" });
    words.attribute(this.colourInput, "aria-label", "colour_label", named);
    this.colourInput.addEventListener("change", () => app.recolour(app.region, this.colourInput.value));
    this.shapeButton = button(words, "shape", "shape", { hint: "shape_hint" });
    this.shapeMenu = menuButton(words, this.shapeButton, [
      ["grow", () => app.reshape("grow"), { stay: true, key: "." }],
      ["shrink", () => app.reshape("shrink"), { stay: true, key: "," }],
      ["smooth", () => app.reshape("smooth"), { stay: true }],
      ["holes", () => app.reshape("holes")],
      ["split", () => app.splitRegion()],
    ], () => words.get("shape_where", { name: app.nameOf(app.region), side: words.get(app.shapeSide()) }));
    this.shapeMenu.classList.add("sp-menu-left");
    this.clearButton = button(words, "clear_region", null, { hint: "clear_region_hint", onClick: () => app.clearRegion(app.region) });
    this.mergeSelect = el("select", "sp-select");
    words.attribute(this.mergeSelect, "aria-label", "merge_into");
    this.mergeSelect.addEventListener("change", () => {
      const target = this.mergeSelect.value;
      this.mergeSelect.value = "";
      if (target !== "") app.mergeRegion(app.region, Number(target));
    });
    this.deleteButton = button(words, "delete_region", null, { className: "sp-danger", hint: "delete_region_hint", onClick: () => app.deleteRegion(app.region) });
    const colourWord = el("label", "sp-button sp-colour-label", {}, this.colourInput, words.text(el("span", "sp-word"), "colour"));
    this.bar = el("div", "sp-bar", { role: "group" }, this.barSwatch, this.barName, this.renameButton, colourWord,
      this.shapeMenu, this.mergeSelect, this.clearButton, this.deleteButton);
  }

  buildChip(region) {
    const { app } = this;
    const swatch = el("canvas", "sp-swatch", { "aria-hidden": "true" });
    const key = el("span", "sp-key"), name = el("span", "sp-name"), share = el("span", "sp-share");
    const main = el("button", "sp-chip-main", { type: "button", "aria-pressed": "false" }, swatch, key, name, share);
    const warning = el("span", "sp-warning", { role: "img" }, "⚠");
    const eye = el("button", "sp-eye", { type: "button" }, icon("eye"));
    const node = el("div", "sp-chip", { "data-region": region.id }, main, warning, eye);
    main.addEventListener("click", () => { if (!this.dropped) app.selectRegion(region.id); });
    main.addEventListener("dblclick", () => this.rename(region.id));
    main.addEventListener("pointerdown", (event) => this.press(region.id, event));
    eye.addEventListener("click", () => app.setSolo(app.solo === region.id ? null : region.id));
    warning.addEventListener("click", () => app.selectRegion(region.id));
    node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") app.setHover(region.id); });
    node.addEventListener("pointerleave", () => app.setHover(null));
    main.addEventListener("focus", () => { if (main.matches(":focus-visible")) app.setHover(region.id); });
    main.addEventListener("blur", () => app.setHover(null));
    return { node, main, swatch, key, name, share, warning, eye, look: "" };
  }

  /** Bring chips, shares and the bar up to date with the app's state. */
  refresh() {
    const { app } = this;
    const { words } = app;
    const counts = app.counts();
    const share = (name, id) => (app.sides[name].ids ? counts[name][id] / app.sides[name].ids.length : null);
    for (const [id, chip] of this.chips) {
      if (!app.regions.some((region) => region.id === id)) {
        chip.node.remove();
        this.chips.delete(id);
      }
    }
    app.order.forEach((id, position) => {
      const region = app.regionOf(id);
      const chip = this.chips.get(region.id) ?? this.buildChip(region);
      this.chips.set(region.id, chip);
      if (this.list.children[position] !== chip.node) this.list.insertBefore(chip.node, this.list.children[position] ?? null);
      const look = `${region.colour} ${window.devicePixelRatio}`;
      if (chip.look !== look) drawSwatch(chip.swatch, region, Math.min(2, window.devicePixelRatio || 1));
      chip.look = look;
      const [content, style] = [share("content", region.id), share("style", region.id)];
      chip.key.textContent = position <= 9 ? String(position) : "";
      const shown = app.nameOf(id);
      chip.name.textContent = shown;
      chip.share.textContent = `${percent(content)} | ${percent(style)} %`;
      const values = { name: shown, key: position, content: `${percent(content)} %`, style: `${percent(style)} %` };
      chip.main.setAttribute("aria-label", words.get(position <= 9 ? "chip_label" : "chip_label_no_key", values));
      chip.main.setAttribute("aria-pressed", String(region.id === app.region));
      chip.node.classList.toggle("sp-selected", region.id === app.region);
      chip.node.classList.toggle("sp-solo", region.id === app.solo);
      chip.eye.setAttribute("aria-pressed", String(region.id === app.solo));
      chip.eye.title = words.get("solo_for", { name: shown });
      chip.eye.setAttribute("aria-label", chip.eye.title);
      this.warn(chip, region, content, style);
    });
    this.refreshBar();
  }

  warn(chip, region, content, style) {
    const { app } = this;
    const linked = (app.links[region.id] ?? []).length > 0;
    const used = Object.entries(app.links).some(([id, targets]) => targets.includes(region.id) && app.counts().content[id] > 0);
    let key = null;
    if (content !== null && style !== null) {
      if (content > 0 && style === 0 && !linked) key = "only_content";
      else if (style > 0 && content === 0 && !used) key = "only_style";
    }
    chip.warning.hidden = key === null;
    chip.said = key === null ? "" : app.words.get(key);
    chip.warning.title = chip.said;
    chip.warning.setAttribute("aria-label", chip.said);
  }

  refreshBar() {
    const { app } = this;
    const region = app.regionOf(app.region);
    if (!region) return;
    drawSwatch(this.barSwatch, region, Math.min(2, window.devicePixelRatio || 1));
    this.barName.textContent = app.nameOf(region.id);
    this.colourInput.value = region.colour;
    this.colourInput.setAttribute("aria-label", app.words.get("colour_label", { name: app.nameOf(region.id) }));
    const { said } = this.chips.get(region.id) ?? {};
    this.note.textContent = said ? `⚠ ${said}` : "";
    this.note.hidden = !said;
    this.deleteButton.disabled = this.clearButton.disabled = this.mergeSelect.disabled = this.shapeButton.disabled = region.id === 0;
    this.addButton.disabled = freeId(app.regions) === null;
    const options = [el("option", "", { value: "" }, app.words.get("merge_into"))];
    for (const other of app.order.map((id) => app.regionOf(id))) {
      if (other.id !== region.id) options.push(el("option", "", { value: String(other.id) }, app.nameOf(other.id)));
    }
    this.mergeSelect.replaceChildren(...options);
  }

  // ------------------------------------------------------------ merging by drag

  /** A press on a chip may become a drag: a mouse by moving, a finger by resting first. Rest stays where it is. */
  press(id, event) {
    if (event.button !== 0 || id === 0 || this.drag) return;
    const drag = { id, pointer: event.pointerId, x: event.clientX, y: event.clientY, ghost: null, target: null };
    this.drag = drag;
    this.dropped = false;
    const touch = event.pointerType === "touch";
    if (touch) drag.timer = setTimeout(() => this.lift(drag), HOLD_MS);
    const far = (each) => Math.hypot(each.clientX - drag.x, each.clientY - drag.y) > DRAG_SLACK;
    const listeners = {
      pointermove: (each) => {
        if (each.pointerId !== drag.pointer) return;
        if (!drag.ghost && far(each)) {
          if (touch) return this.cancelDrag(); // it scrolls the list
          this.lift(drag);
        }
        if (drag.ghost) this.carry(each.clientX, each.clientY);
      },
      pointerup: (each) => { if (each.pointerId === drag.pointer) this.drop(); },
      pointercancel: (each) => { if (each.pointerId === drag.pointer) this.cancelDrag(); },
    };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
    drag.stop = () => {
      clearTimeout(drag.timer);
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
    };
  }

  lift(drag) {
    const { app } = this;
    const chip = this.chips.get(drag.id);
    const region = app.regionOf(drag.id);
    if (this.drag !== drag || !chip || !region) return;
    drag.ghost = el("div", "sp-chip sp-ghost", { "aria-hidden": "true" }, el("canvas", "sp-swatch"), el("span", "sp-name", {}, app.nameOf(region.id)));
    drawSwatch(drag.ghost.firstChild, region, Math.min(2, window.devicePixelRatio || 1));
    app.root.append(drag.ghost);
    chip.node.classList.add("sp-lifted");
    this.carry(drag.x, drag.y);
    app.say(app.words.get("said_lifted", { name: app.nameOf(region.id) }));
  }

  carry(x, y) {
    const { app, drag } = this;
    const rect = app.root.getBoundingClientRect();
    drag.ghost.style.transform = `translate(${x - rect.left + 8}px, ${y - rect.top + 12}px)`;
    const over = document.elementFromPoint(x, y)?.closest(".sp-chip");
    const target = over && this.list.contains(over) && Number(over.dataset.region) !== drag.id ? over : null;
    if (target !== drag.target) {
      drag.target?.classList.remove("sp-target");
      target?.classList.add("sp-target");
      app.setHover(target ? Number(target.dataset.region) : drag.id);
      drag.target = target;
    }
    const list = this.list.getBoundingClientRect();
    if (y > list.top && y < list.bottom) this.list.scrollLeft += x < list.left + 30 ? -8 : x > list.right - 30 ? 8 : 0;
  }

  drop() {
    const { app, drag } = this;
    const into = drag.target ? Number(drag.target.dataset.region) : null;
    this.dropped = drag.ghost !== null;
    setTimeout(() => { this.dropped = false; });
    this.cancelDrag();
    if (into !== null) app.mergeRegion(drag.id, into);
  }

  /** Put a lifted chip back. True when there was one. */
  cancelDrag() {
    const { drag } = this;
    this.drag = null;
    if (!drag) return false;
    drag.stop();
    drag.target?.classList.remove("sp-target");
    this.chips.get(drag.id)?.node.classList.remove("sp-lifted");
    if (!drag.ghost) return false;
    drag.ghost.remove();
    this.app.setHover(null);
    return true;
  }

  /** Edit a name in its chip; Enter or leaving keeps it, Esc does not. */
  rename(id) {
    const chip = this.chips.get(id);
    const region = this.app.regionOf(id);
    if (!chip || !region || chip.node.querySelector("input")) return;
    const input = el("input", "sp-rename", { type: "text", maxlength: String(MAX_NAME) });
    const shown = this.app.nameOf(id);
    input.setAttribute("aria-label", this.app.words.get("rename_label", { name: shown }));
    input.value = shown;
    let over = false;
    const finish = (keep, refocus) => {
      if (over) return;
      over = true;
      input.remove();
      chip.main.hidden = false;
      if (refocus) chip.main.focus();
      const name = cleanName(input.value);
      if (keep && name && name !== shown) this.app.renameRegion(id, name);
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.isComposing) return; // Enter picks a word of the input method
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        finish(event.key === "Enter", true);
      }
    });
    input.addEventListener("blur", () => finish(true, false));
    chip.main.hidden = true;
    this.cancelDrag();
    chip.node.prepend(input);
    input.focus();
    input.select();
  }
}

/** "34", "0", "<1", or "–" without a picture. */
function percent(share) {
  if (share === null) return "–";
  const value = Math.round(share * 100);
  return value === 0 && share > 0 ? "<1" : String(value);
}

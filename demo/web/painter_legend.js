// The shared legend: one chip per region, and what can be done to the selected one.

class Legend {
  constructor(app) {
    this.app = app;
    this.chips = new Map();
    const { words } = app;
    this.root = el("section", "sp-legend");
    words.attribute(this.root, "aria-label", "regions");
    this.addButton = button(words, "add_region", "plus", { className: "sp-quiet", onClick: () => app.addRegion() });
    const head = el("header", "sp-head", {}, words.text(el("h3", "sp-title"), "regions"),
      words.text(el("span", "sp-hint"), "regions_hint"), this.addButton);
    this.list = el("div", "sp-chips", { role: "group" });
    words.attribute(this.list, "aria-label", "regions");
    this.buildBar();
    this.root.append(head, this.list, this.bar);
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
    this.soloButton = button(words, "solo", "eye", { onClick: () => app.setSolo(app.solo === app.region ? null : app.region) });
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
      this.soloButton, this.clearButton, this.mergeSelect, this.deleteButton);
  }

  buildChip(region) {
    const { app } = this;
    const swatch = el("canvas", "sp-swatch", { "aria-hidden": "true" });
    const key = el("span", "sp-key"), name = el("span", "sp-name"), share = el("span", "sp-share");
    const main = el("button", "sp-chip-main", { type: "button", "aria-pressed": "false" }, swatch, key, name, share);
    const warning = el("span", "sp-warning", { role: "img" }, "⚠");
    const node = el("div", "sp-chip", { "data-region": region.id }, main, warning);
    main.addEventListener("click", () => app.selectRegion(region.id));
    main.addEventListener("dblclick", () => this.rename(region.id));
    node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") app.setHover(region.id); });
    node.addEventListener("pointerleave", () => app.setHover(null));
    main.addEventListener("focus", () => { if (main.matches(":focus-visible")) app.setHover(region.id); });
    main.addEventListener("blur", () => app.setHover(null));
    return { node, main, swatch, key, name, share, warning, look: "" };
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
    app.regions.forEach((region, position) => {
      const chip = this.chips.get(region.id) ?? this.buildChip(region);
      this.chips.set(region.id, chip);
      if (this.list.children[position] !== chip.node) this.list.insertBefore(chip.node, this.list.children[position] ?? null);
      const look = `${region.colour} ${window.devicePixelRatio}`;
      if (chip.look !== look) drawSwatch(chip.swatch, region, Math.min(2, window.devicePixelRatio || 1));
      chip.look = look;
      const [content, style] = [share("content", region.id), share("style", region.id)];
      chip.key.textContent = position <= 9 ? String(position) : "";
      chip.name.textContent = region.name;
      chip.share.textContent = `${percent(content)} | ${percent(style)} %`;
      const values = { name: region.name, key: position, content: `${percent(content)} %`, style: `${percent(style)} %` };
      chip.main.setAttribute("aria-label", words.get(position <= 9 ? "chip_label" : "chip_label_no_key", values));
      chip.main.setAttribute("aria-pressed", String(region.id === app.region));
      chip.node.classList.toggle("sp-selected", region.id === app.region);
      chip.node.classList.toggle("sp-solo", region.id === app.solo);
      this.warn(chip, region, content, style);
    });
    this.refreshBar();
  }

  warn(chip, region, content, style) {
    const { app } = this;
    const linked = (app.links[region.id] ?? []).length > 0;
    const used = Object.values(app.links).some((ids) => ids.includes(region.id));
    let key = null;
    if (content !== null && style !== null) {
      if (content > 0 && style === 0 && !linked) key = "only_content";
      else if (style > 0 && content === 0 && !used) key = "only_style";
    }
    chip.warning.hidden = key === null;
    if (key === null) return;
    chip.warning.title = app.words.get(key);
    chip.warning.setAttribute("aria-label", chip.warning.title);
  }

  refreshBar() {
    const { app } = this;
    const region = app.regionOf(app.region);
    if (!region) return;
    drawSwatch(this.barSwatch, region, Math.min(2, window.devicePixelRatio || 1));
    this.barName.textContent = region.name;
    this.colourInput.value = region.colour;
    this.colourInput.setAttribute("aria-label", app.words.get("colour_label", { name: region.name }));
    this.soloButton.setAttribute("aria-pressed", String(app.solo === region.id));
    this.deleteButton.disabled = this.clearButton.disabled = this.mergeSelect.disabled = region.id === 0;
    this.addButton.disabled = freeId(app.regions) === null;
    const options = [el("option", "", { value: "" }, app.words.get("merge_into"))];
    for (const other of app.regions) {
      if (other.id !== region.id) options.push(el("option", "", { value: String(other.id) }, other.name));
    }
    this.mergeSelect.replaceChildren(...options);
  }

  /** Edit a name in its chip; Enter or leaving keeps it, Esc does not. */
  rename(id) {
    const chip = this.chips.get(id);
    const region = this.app.regionOf(id);
    if (!chip || !region || chip.node.querySelector("input")) return;
    const input = el("input", "sp-rename", { type: "text", maxlength: String(MAX_NAME) });
    input.setAttribute("aria-label", this.app.words.get("rename_label", { name: region.name }));
    input.value = region.name;
    let over = false;
    const finish = (keep, refocus) => {
      if (over) return;
      over = true;
      input.remove();
      chip.main.hidden = false;
      if (refocus) chip.main.focus();
      const name = cleanName(input.value);
      if (keep && name && name !== region.name) this.app.renameRegion(id, name);
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        finish(event.key === "Enter", true);
      }
    });
    input.addEventListener("blur", () => finish(true, false));
    chip.main.hidden = true;
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

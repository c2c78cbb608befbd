// The last results of this browser: a strip of pictures; one of them chosen, with what can be done with it.
// Text reaches the page only through textContent and attributes.

const SETTLE_MS = 1200; // a slider on its way passes through results that nobody stopped at
const THUMB = 224; // pixels, long side
const UNDO_MS = 12000;

class History {
  constructor() {
    this.shelf = new Shelf();
    this.items = [];
    this.chosen = null; // id
    this.urls = new Map(); // id -> address of its small picture
    this.busy = false;
    this.said = "";
    this.build();
    this.channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("scsa-history");
    if (this.channel) this.channel.onmessage = () => this.reload();
    watch("value", () => this.receive());
    watch("linked", () => this.receiveLink());
    watch("texts", () => this.refresh());
    this.reload();
  }

  word(key, values = {}) {
    const text = String(textsOf(props)[key] ?? key);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  button(key, act, className = "hs-button") {
    const node = el("button", className, { type: "button", "data-action": key });
    node.addEventListener("click", act);
    return node;
  }

  build() {
    this.heading = el("h2", "hs-heading");
    this.line = el("p", "hs-line");
    this.status = el("span", "hs-status", { role: "status" });
    this.undo = this.button("undo", () => this.bringBack(), "hs-link");
    this.clear = this.button("clear", () => this.askClear());
    this.ask = el("div", "hs-ask", { role: "group" });
    this.ask.hidden = true;
    this.list = el("ul", "hs-strip", { role: "listbox", "aria-orientation": "horizontal" });
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.words = el("p", "hs-words");
    this.restoreButton = this.button("restore", () => this.bring("restore"), "hs-button hs-primary");
    this.compareButton = this.button("compare", () => this.compare());
    this.linkButton = this.button("link", () => this.link());
    this.deleteButton = this.button("delete", () => this.remove());
    this.detail = el("div", "hs-detail", { role: "group" }, this.words,
      el("div", "hs-actions", {}, this.restoreButton, this.compareButton, this.linkButton, this.deleteButton));
    this.root = element.querySelector(".hs-root");
    this.root.replaceChildren(el("div", "hs-head", {}, this.heading, this.line, this.status, this.undo, this.clear), this.ask, this.list, this.detail);
  }

  // ------------------------------------------------------------ new results

  /** A result was painted: kept once it has stood for a moment. */
  receive() {
    const value = props.value;
    if (!value?.result?.url || !value.facts?.settings) return;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => { this.keeping = (this.keeping ?? Promise.resolve()).then(() => this.keep(value)); }, SETTLE_MS);
  }

  async keep(value) {
    try {
      const result = await this.fetch(value.result.url);
      const pictures = {};
      for (const side of ["content", "style"]) {
        const id = value.facts[side];
        if (await this.shelf.picture(id)) continue;
        const asked = { path: value[side].path, file: null };
        document.dispatchEvent(new CustomEvent("scsa-picture", { detail: asked }));
        pictures[id] = asked.file ?? await this.fetch(value[side].url);
      }
      const old = this.items.find((each) => each.id === value.mark);
      await this.shelf.add({
        id: value.mark, at: Date.now(), facts: value.facts, recipe: value.recipe, result, thumb: await this.small(result), link: old?.link ?? null,
      }, pictures);
      this.forget(value.mark); // its picture may be another one now
      await this.reload(true);
    } catch { /* the server is gone: what it painted last cannot be fetched any more */ }
  }

  async fetch(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error("not there");
    return answer.blob();
  }

  /** A small copy of a picture, or null where the browser makes none. */
  async small(blob) {
    try {
      const full = await createImageBitmap(blob);
      const scale = Math.min(1, THUMB / Math.max(full.width, full.height));
      const canvas = new OffscreenCanvas(Math.max(1, Math.round(full.width * scale)), Math.max(1, Math.round(full.height * scale)));
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(full, 0, 0, canvas.width, canvas.height);
      full.close();
      return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.86 });
    } catch {
      return null;
    }
  }

  receiveLink() {
    const { mark, path, until } = props.linked ?? {};
    this.setBusy(false);
    const item = this.items.find((each) => each.id === mark);
    if (!item || !path) return;
    item.link = { path, until };
    this.shelf.change(item).then(() => this.changed());
    if (this.linking === mark) this.copy();
    this.linking = null;
    this.refresh();
  }

  // ------------------------------------------------------------ what can be done

  get item() { return this.items.find((each) => each.id === this.chosen) ?? null; }

  say(key) {
    this.said = key;
    this.status.textContent = key ? this.word(`history.${key}`) : "";
  }

  setBusy(busy) {
    this.busy = busy;
    this.refreshDetail();
    if (busy) this.say("busy");
    else if (this.said === "busy") this.say("");
  }

  /** Hand a result's files to Python. */
  async bring(what) {
    const item = this.item;
    if (!item || this.busy) return;
    this.setBusy(true);
    try {
      const files = { result: new File([item.result], "result.png", { type: "image/png" }) };
      for (const side of ["content", "style"]) {
        const file = await this.shelf.picture(item.facts[side]);
        if (!file) throw new Error("not here");
        files[side] = file instanceof File ? file : new File([file], `${side}.png`, { type: file.type || "image/png" });
      }
      const value = { mark: item.id, facts: {}, recipe: item.recipe ?? "" };
      for (const [name, file] of Object.entries(files)) value[name] = fileRecord(file, await upload(file));
      props.value = value;
      // Spelled out: Gradio lets Python listen to event names it finds quoted in the script.
      if (what === "restore") {
        window.scsaPicked = Date.now(); // until it is there (create.py)
        trigger("restore_result", {});
      }
      else trigger("link_result", {});
    } catch {
      this.setBusy(false);
      return this.say("failed");
    }
    if (what !== "restore") return;
    this.setBusy(false);
    this.say("said_restored");
    this.showResult();
  }

  compare() {
    const item = this.item;
    const view = document.querySelector("#compare .cv-root");
    if (!item || !view) return;
    view.dispatchEvent(new CustomEvent("cv-lend", { detail: { file: item.result, alt: this.settings(item) } }));
    this.say("said_compared");
    this.showResult();
  }

  link() {
    if (this.item?.link) return this.copy();
    this.linking = this.chosen;
    this.bring("link");
  }

  copy() {
    const full = new URL(this.item.link.path, window.location.href).href;
    navigator.clipboard?.writeText(full).then(() => this.say("said_linked")).catch(() => {});
  }

  /** On a narrow page the result is far away. */
  showResult() {
    const view = document.querySelector("#compare");
    const box = view?.getBoundingClientRect();
    if (box && (box.bottom < 120 || box.top > window.innerHeight - 120)) view.scrollIntoView({ block: "start" });
  }

  async remove() {
    const item = this.item;
    if (!item) return;
    const at = this.items.indexOf(item);
    await this.takeAway([item], "said_deleted");
    this.choose((this.items[at] ?? this.items[at - 1])?.id ?? null);
    this.focusChosen();
  }

  askClear() {
    const answer = (key, act) => {
      const node = this.button(key, () => { this.ask.hidden = true; act(); });
      node.textContent = this.word(`history.${key}`);
      return node;
    };
    this.ask.replaceChildren(el("span", "", {}, this.word("history.clear_ask", { count: this.items.length })),
      answer("clear_yes", () => this.takeAway(this.items, "said_cleared")), answer("cancel", () => this.clear.focus()));
    this.ask.hidden = false;
    this.ask.querySelector("button").focus();
  }

  /** Deleted results can be had back for a while; their pictures go with the time. */
  async takeAway(items, said) {
    await this.finishDeleting();
    this.gone = [...items];
    this.shelf.spared = new Set(items.flatMap(({ facts }) => [facts.content, facts.style]));
    await this.shelf.drop(items.map((each) => each.id));
    this.going = setTimeout(() => this.finishDeleting(), UNDO_MS);
    this.say(said);
    await this.changed();
  }

  async finishDeleting() {
    if (!this.gone) return;
    clearTimeout(this.going);
    this.gone = null;
    this.shelf.spared = new Set();
    await this.shelf.tidy();
    if (this.said === "said_deleted" || this.said === "said_cleared") this.say("");
    this.changed();
  }

  async bringBack() {
    clearTimeout(this.going);
    const gone = this.gone ?? [];
    this.gone = null;
    for (const item of [...gone].reverse()) await this.shelf.add(item, {});
    this.shelf.spared = new Set();
    this.say("");
    await this.changed();
    this.choose(gone[0]?.id ?? null);
    this.focusChosen();
  }

  // ------------------------------------------------------------ drawing

  async changed() {
    this.channel?.postMessage("changed");
    await this.reload();
  }

  async reload(tell = false) {
    this.items = await this.shelf.results();
    this.bytes = await this.shelf.bytes();
    const here = new Set(this.items.map((each) => each.id));
    for (const id of [...this.urls.keys()]) if (!here.has(id)) this.forget(id);
    if (!here.has(this.chosen)) this.chosen = null;
    if (tell) this.channel?.postMessage("changed");
    this.refresh();
  }

  forget(id) {
    if (this.urls.has(id)) URL.revokeObjectURL(this.urls.get(id));
    this.urls.delete(id);
  }

  address(item) {
    if (!this.urls.has(item.id)) this.urls.set(item.id, URL.createObjectURL(item.thumb ?? item.result));
    return this.urls.get(item.id);
  }

  settings({ facts }) {
    const { key, args = {} } = facts.settings;
    const turned = Object.entries(facts.turned ?? {}).map(([name, value]) => (
      this.word("history.turned", { name: this.word(`knob.${name}`), value: Math.round(value * 100) / 100 })));
    return [this.word(key, args.method ? { ...args, method: this.word(`method.${args.method}`) } : args), ...turned].join(" · ");
  }

  /** What differs most often, for the line under the picture. */
  short({ facts }) {
    const { key, args = {} } = facts.settings;
    return key === "compare.alt_result" ? this.word("history.short", args) : this.word(`method.${args.method}`);
  }

  time({ at }) {
    const made = new Date(at);
    const lang = document.documentElement.lang || undefined;
    const clock = made.toLocaleTimeString(lang, { hour: "numeric", minute: "2-digit", hour12: false });
    if (made.toDateString() === new Date().toDateString()) return clock;
    return `${made.toLocaleDateString(lang, { day: "numeric", month: "short" })} ${clock}`;
  }

  refresh() {
    const { items, shelf } = this;
    this.heading.textContent = this.word("history.title");
    const counted = { count: items.length, most: MOST, megabytes: Math.ceil((this.bytes ?? 0) / 1e6) };
    this.line.textContent = this.word(shelf.trouble ? `history.${shelf.trouble}` : items.length === 0 ? "history.empty" : "history.line", counted);
    this.line.classList.toggle("hs-trouble", shelf.trouble !== null);
    this.status.textContent = this.said ? this.word(`history.${this.said}`) : "";
    this.undo.textContent = this.word("history.undo");
    this.undo.hidden = !this.gone;
    this.clear.textContent = this.word("history.clear");
    this.clear.hidden = items.length === 0;
    if (items.length === 0) this.ask.hidden = true;
    this.list.hidden = items.length === 0;
    this.list.setAttribute("aria-label", this.word("history.list"));
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.list.replaceChildren(...items.map((item) => this.option(item)));
    this.refreshDetail(); // only now can the new options be focused
    if (focused) this.optionOf(focused)?.focus({ preventScroll: true });
  }

  option(item) {
    const picture = el("img", "hs-image", { src: this.address(item), alt: "", draggable: "false" });
    const node = el("li", "hs-item", { role: "option" }, picture,
      el("span", "hs-short", {}, this.short(item)), el("span", "hs-time", {}, this.time(item)));
    node.title = this.settings(item);
    node.dataset.id = item.id;
    node.setAttribute("aria-label", this.word("history.item", { time: this.time(item), settings: this.settings(item) }));
    node.addEventListener("click", () => { this.choose(item.id); node.focus({ preventScroll: true }); });
    node.addEventListener("dblclick", () => this.bring("restore"));
    return node;
  }

  optionOf(id) { return [...this.list.children].find((node) => node.dataset.id === id) ?? null; }

  choose(id) {
    this.chosen = id;
    this.refreshDetail();
  }

  focusChosen() { (this.optionOf(this.chosen) ?? this.clear).focus(); }

  refreshDetail() {
    const item = this.item;
    [...this.list.children].forEach((node, k) => {
      const on = node.dataset.id === this.chosen;
      node.setAttribute("aria-selected", String(on));
      node.tabIndex = on || (!item && k === 0) ? 0 : -1;
    });
    this.detail.hidden = !item;
    if (!item) return;
    if (item.link && item.link.until < new Date().toISOString().slice(0, 10)) item.link = null; // its time is over
    const parts = [this.settings(item), this.word("history.made", { time: this.time(item), seconds: item.facts.seconds })];
    if (item.link) parts.push(this.word("history.until", { date: item.link.until }));
    this.words.textContent = parts.join(" · ");
    this.detail.setAttribute("aria-label", this.settings(item));
    for (const [node, key] of [[this.restoreButton, "restore"], [this.compareButton, "compare"], [this.deleteButton, "delete"]]) {
      node.textContent = this.word(`history.${key}`);
      if (key !== "delete") node.title = this.word(`history.${key}_hint`);
    }
    this.linkButton.textContent = this.word(item.link ? "history.copy" : "history.link");
    this.linkButton.title = this.word("history.link_hint");
    for (const node of [this.restoreButton, this.linkButton, this.deleteButton]) node.disabled = this.busy;
  }

  // ------------------------------------------------------------ keys

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.items.findIndex((each) => each.id === event.target.dataset.id);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: this.items.length - 1 }[event.key];
    if (to !== undefined) {
      const item = this.items[Math.min(this.items.length - 1, Math.max(0, to))];
      this.choose(item.id);
      this.focusChosen();
    } else if (event.key === " ") this.choose(event.target.dataset.id);
    else if (event.key === "Enter") { this.choose(event.target.dataset.id); this.bring("restore"); }
    else if (event.key === "Delete" || event.key === "Backspace") { this.choose(event.target.dataset.id); this.remove(); }
    else return;
    event.preventDefault();
  }
}

new History();

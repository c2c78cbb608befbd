// What the browser keeps, so that a reload, a lost connection or a restarted server loses nothing.
// One record a tab: pictures as files, maps, legend, links, the newest undo steps, knobs. Only this tab writes its own.

const KEEP_AFTER_MS = 500;
const KEEP_STEPS = 40;
const KEEP_BYTES = 8e6; // of undo steps
const KEEP_DAYS = 30;
const KEEP_TABS = 4; // closed ones
const LOOK_EVERY_MS = 4000;
const LOOK_FIRST_MS = 1000; // once the page has what it opens with
const ANSWER_MS = 150; // other tabs answer well within it
const RESUME_MS = 30000; // for Python's answer about what is brought back
const RELOAD_MS = 2500; // Gradio looks every two seconds whether it can reload a page whose event was lost
const PRESS_MS = 60000; // a press of Render goes on after a reload that takes no longer
const AUTOMATIC = ["auto", "load", "kept"]; // maps that nobody changed by hand

class Keep {
  constructor(app) {
    this.app = app;
    this.place = "top";
    this.store = new Store("scsa-studio", ["tabs"]);
    this.savedV = null;
    this.timer = null; // until what changed is written
    this.server = null; // which run of the server this page talks to
    this.root = el("div", "sp-ask sp-kept", { role: "status" });
    this.root.hidden = true;
    const elsewhere = /[?&](example|r|study)=/.test(location.search); // a link says what shall be shown
    this.id = elsewhere ? null : this.tabId();
    this.knobs = window.scsaKnobs ?? null; // as the page's fields hold them; create.py says when they change
    this.early = false; // whether something waits to be written that changed before this was ready
    this.automatic = false; // whether restored maps had been left as Auto or an example made them
    this.listenToKnobs();
    this.listenToHistory();
    this.listenToTabs();
    this.listenToLeaving();
    this.watchServer();
  }

  /** Its own for every tab; a reload keeps it, a copied tab takes another. */
  tabId(fresh = false) {
    try {
      let id = fresh ? null : sessionStorage.getItem("scsa.tab");
      if (!id) {
        id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
        sessionStorage.setItem("scsa.tab", id);
      }
      return id;
    } catch {
      return null;
    }
  }

  say(key, actions = []) {
    const { words } = this.app;
    this.root.replaceChildren(el("span", "", {}, words.get(key)));
    for (const [name, act] of [...actions, ["dismiss", () => {}]]) {
      const node = el("button", name === "dismiss" ? "sp-link" : "sp-button", { type: "button", "data-action": name }, words.get(name));
      node.addEventListener("click", () => { this.root.hidden = true; act(); });
      this.root.append(node);
    }
    this.root.dataset.said = key;
    this.root.hidden = false;
  }

  // ------------------------------------------------------------ writing

  refresh() {
    if (!this.ready) return;
    if (this.app.v !== this.savedV) this.soon();
  }

  soon() {
    this.early ||= !this.ready; // a quick hand turned a knob: written once the record of this tab has been read
    if (!this.ready || !this.id || this.broken) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), KEEP_AFTER_MS);
  }

  /** Write now what waits to be written. */
  flush() {
    clearTimeout(this.timer);
    const waits = this.timer !== null;
    this.timer = null;
    if (waits) this.save();
  }

  /** A page that is closed, reloaded or put aside has no half second any more. */
  listenToLeaving() {
    const leaving = ({ type }) => {
      if (this.app.root?.isConnected !== false) {
        if (type === "pagehide") this.leavePress();
        return this.flush();
      }
      window.removeEventListener("pagehide", leaving);
      document.removeEventListener("visibilitychange", leaving);
    };
    window.addEventListener("pagehide", leaving);
    document.addEventListener("visibilitychange", leaving);
  }

  /** Render was pressed and is not answered: Gradio, too, reloads a page, just after a connection is back. */
  leavePress() {
    try {
      if (window.scsaPressed) sessionStorage.setItem("scsa.pressed", String(Date.now()));
      else sessionStorage.removeItem("scsa.pressed");
    } catch { /* then it has to be pressed again */ }
  }

  takePress() {
    const at = Number(sessionStorage.getItem("scsa.pressed") ?? 0);
    sessionStorage.removeItem("scsa.pressed");
    return Date.now() - at < PRESS_MS;
  }

  listenToKnobs() {
    const onKnobs = (event) => {
      if (this.app.root?.isConnected === false) return document.removeEventListener("scsa-knobs", onKnobs);
      if (event.detail === "resumed") this.resumed?.();
      if (this.resuming) return; // the fields do not hold yet what was brought back
      const changed = this.knobs !== null && JSON.stringify(this.knobs) !== JSON.stringify(window.scsaKnobs);
      this.knobs = window.scsaKnobs;
      if (changed) this.soon();
    };
    document.addEventListener("scsa-knobs", onKnobs);
  }

  /** The history asks for the file behind a picture, which is smaller than the server's copy. */
  listenToHistory() {
    const onAsked = ({ detail }) => {
      if (this.app.root?.isConnected === false) return document.removeEventListener("scsa-picture", onAsked);
      const side = SIDES.map((name) => this.app.sides[name]).find(({ picture, image }) => image && picture?.path === detail.path);
      if (side) detail.file = this.app.files.sources.get(side.image) ?? null;
    };
    document.addEventListener("scsa-picture", onAsked);
  }

  /** Tabs answer each other: which records belong to one that is open. */
  listenToTabs() {
    if (typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel("scsa-studio");
    this.open = new Set();
    this.channel.onmessage = ({ data }) => {
      if (data?.asks && this.claimed) this.channel.postMessage({ here: this.id });
      if (data?.here) this.open.add(data.here);
    };
  }

  async openTabs() {
    if (!this.channel) return new Set();
    this.channel.postMessage({ asks: true });
    await new Promise((done) => setTimeout(done, ANSWER_MS));
    return this.open;
  }

  /** The newest undo steps that hold no picture: ids and legends only. */
  steps() {
    const { done } = this.app.stack;
    const head = [];
    let bytes = 0;
    for (let i = done.length - 1; i >= 0 && head.length < KEEP_STEPS; i--) {
      bytes += done[i].bytes ?? 0;
      if (bytes > KEEP_BYTES || done[i].parts.some((part) => part.kind === "side")) break;
      head.unshift(done[i]);
    }
    return head;
  }

  isAutomatic() {
    return AUTOMATIC.includes(this.app.by) || (this.app.by === "restore" && this.automatic);
  }

  async save() {
    const { app } = this;
    if (SIDES.every((name) => !app.sides[name].image)) return;
    const v = app.v;
    const sides = {};
    for (const name of SIDES) {
      const side = app.sides[name];
      const file = side.image ? app.files.sources.get(side.image) ?? null : null;
      sides[name] = { file, picture: side.picture, w: side.w, h: side.h, ids: side.committed ?? null };
    }
    const record = {
      id: this.id, at: Date.now(), v, by: app.by, sides, regions: app.regions, links: app.links, region: app.region,
      steps: this.steps(), knobs: this.knobs, automatic: this.isAutomatic(),
    };
    try {
      await this.store.put("tabs", record);
      this.savedV = v;
      this.root.closest(".sp-root")?.setAttribute("data-kept", String(v));
    } catch (error) {
      this.broken = true; // said once; painting goes on
      this.say(isFull(error) ? "kept_full" : "kept_none");
    }
  }

  // ------------------------------------------------------------ bringing back

  /** On opening: the record of this tab is restored; one of a closed tab is offered. */
  async begin() {
    if (this.ready || this.beginning) return;
    this.beginning = true;
    const opened = this.app.v;
    let restored = false;
    try {
      if (!this.id) return;
      const open = await this.openTabs();
      const own = await this.store.get("tabs", this.id);
      if (open.has(this.id)) this.id = this.tabId(true); // a copy of a tab that is still open goes its own way
      this.claimed = true;
      if (own) {
        await this.restore(own);
        restored = true;
        const pressed = this.takePress();
        this.answered.then(() => {
          this.say("kept_restored", [["kept_fresh", () => this.fresh()]]);
          if (pressed) this.app.send("render_now", {});
        });
        return;
      }
      const limit = Date.now() - KEEP_DAYS * 864e5;
      const others = (await this.store.all("tabs")).filter((record) => !open.has(record.id)).sort((a, b) => b.at - a.at);
      for (const [k, old] of others.entries()) if (k >= KEEP_TABS || old.at < limit) await this.store.drop("tabs", old.id);
      const last = others.find((record) => record.at > limit);
      if (last) this.say("kept_offer", [["kept_bring_back", () => this.bringBack(last)]]);
    } catch {
      // A browser that keeps nothing, or a record of another time: the page is as it opens, and that record stays.
      if (!this.broken && this.id) this.id = this.tabId(true);
    } finally {
      this.ready = this.claimed = true;
      if (restored || this.early) this.soon(); // under what is on the page now
      if (!restored) this.savedV ??= opened;
      this.refresh(); // a quick hand may have painted already
    }
  }

  async bringBack(record) {
    try {
      await this.restore(record);
    } catch {
      this.say("kept_damaged");
    }
  }

  /** The example again; what was here stays kept and is offered. */
  fresh() {
    this.flush();
    this.tabId(true);
    this.id = null; // nothing of this page is kept as the new tab's
    window.scsaPressed = false;
    location.reload();
  }

  async restore(record) {
    const { app } = this;
    const sides = {};
    for (const name of SIDES) {
      const { file, picture, w, h, ids } = record.sides[name];
      if (!file) { sides[name] = newSide(); continue; }
      const image = await app.files.decode(file);
      if (!image || !(ids instanceof Uint8Array) || ids.length !== w * h) throw new Error("damaged record");
      sides[name] = newSide({ w, h, ids: ids.slice(), image, picture: await this.onServer(file, picture) });
    }
    await app.gestures.rest();
    for (const name of SIDES) app.setSide(name, sides[name]);
    app.regions = readRegions(record.regions);
    app.links = record.links ?? {};
    app.region = record.region ?? 1;
    app.stack = new UndoStack();
    for (const step of record.steps ?? []) app.stack.push(step);
    app.v = Math.max(app.v, record.v) + 1;
    app.refresh();
    this.automatic = record.automatic === true;
    this.knobs = record.knobs ?? this.knobs;
    this.resuming = true;
    this.resume();
  }

  /** Give Python the state and the knobs; `answered` is when the fields hold them. */
  resume() {
    this.answered = new Promise((done) => {
      clearTimeout(this.patience); // without an answer, what is changed is kept nevertheless
      this.patience = setTimeout(() => this.resumed(), RESUME_MS);
      this.resumed = () => { clearTimeout(this.patience); this.resuming = false; done(); };
    });
    this.app.send("resume", { knobs: this.knobs ?? {}, automatic: this.automatic }, "restore");
  }

  /** The server's record of a picture: the one it has, or a fresh upload where that is gone. */
  async onServer(file, picture) {
    if (picture?.url) {
      try {
        const answer = await fetch(picture.url, { method: "HEAD", cache: "no-store" });
        if (answer.ok) return picture;
      } catch { /* uploaded below */ }
    }
    const named = file instanceof File ? file : new File([file], "picture.png", { type: file.type || "image/png" });
    return fileRecord(named, await this.app.files.upload(named));
  }

  // ------------------------------------------------------------ a server that goes and comes

  async alive() {
    const answer = await fetch("healthz", { cache: "no-store" });
    if (!answer.ok) throw new Error("no answer");
    return (await answer.json()).run ?? null;
  }

  watchServer() {
    const look = async () => {
      if (!this.app.root?.isConnected && this.ready) return;
      if (!document.hidden) await this.look().catch(() => {});
      setTimeout(look, LOOK_EVERY_MS);
    };
    setTimeout(look, LOOK_FIRST_MS);
  }

  /** Notice a lost connection and, once it is back, a server that knows nothing of this page. */
  async look() {
    let run;
    try {
      run = await this.alive();
    } catch (error) {
      // Nobody there, even at the first look: the page came from somewhere. An answer in other words is none of our business.
      const gone = this.server !== null || (error instanceof TypeError && location.protocol.startsWith("http"));
      if (gone && !this.lost) {
        this.lost = true;
        this.say("kept_lost");
        document.dispatchEvent(new Event("scsa-lost")); // what was being rendered is lost with it
      }
      return;
    }
    const other = run !== this.server && (this.server !== null || this.lost === true);
    if (other) {
      await new Promise((done) => setTimeout(done, RELOAD_MS));
      await this.again(); // tried again at the next look where it fails
    }
    this.server = run;
    if (this.lost || other) {
      this.lost = false;
      this.say("kept_again");
    }
  }

  /** Another server runs now: give it the pictures again, those that undo may bring back too. */
  async again() {
    const { app } = this;
    const sides = new Set(SIDES.map((name) => app.sides[name]));
    for (const { parts } of [...app.stack.done, ...app.stack.undone]) {
      for (const part of parts) if (part.kind === "side") sides.add(part.before).add(part.after);
    }
    for (const side of sides) {
      const file = side.image ? app.files.sources.get(side.image) : null;
      if (file) side.picture = await this.onServer(file, side.picture);
    }
    this.automatic = this.isAutomatic();
    app.v++;
    this.resume();
    await this.answered;
  }
}

HELPERS.push((app) => {
  const keep = new Keep(app);
  app.keep = keep;
  return keep;
});

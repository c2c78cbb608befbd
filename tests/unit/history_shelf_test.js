// What the history keeps, run by test_history.py: node history_shelf_test.js WEB_FOLDER
const assert = require("assert");

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const { MOST, Memory, Shelf } = require(process.argv[2] + "/history_shelf.js");

/** Slow at what `slow` names, as a busy disk is; refuses what `refuses` names. */
globalThis.Store = class extends Memory {
  constructor() { super(); this.slow = {}; this.refuses = new Set(); }
  async step(kind) {
    await pause(this.slow[kind] ?? 0);
    if (this.refuses.has(kind)) throw Object.assign(new Error(kind), { name: "QuotaExceededError" });
  }
  async get(...args) { await this.step("get"); return super.get(...args); }
  async put(...args) { await this.step("put"); return super.put(...args); }
  async drop(...args) { await this.step("drop"); return super.drop(...args); }
};
globalThis.isFull = (error) => error?.name === "QuotaExceededError";

const file = (size) => ({ size });
const result = (id, at, size = 10) => ({ id, at, facts: { content: "c" + id, style: "s" }, result: file(size) });
const pictures = (id) => ({ ["c" + id]: file(1), s: file(1) });
const ids = async (shelf) => (await shelf.results()).map((each) => each.id).join("");

(async () => {
  { // a link that arrives as its result is deleted does not bring it back
    const shelf = new Shelf();
    for (const id of ["a", "b"]) await shelf.add(result(id, id.charCodeAt(0)), pictures(id));
    shelf.lasting.slow = { put: 30 };
    const late = shelf.change({ ...result("a", 97), link: "x" });
    await pause(5);
    await shelf.drop(["a"]);
    await late;
    assert.strictEqual(await ids(shelf), "b");
    await shelf.change({ ...result("a", 97), link: "x" });
    assert.strictEqual(await ids(shelf), "b");
    await shelf.change({ ...result("b", 98), link: "y" });
    assert.strictEqual((await shelf.results())[0].link, "y");
  }

  { // newest first, at most MOST, and pictures that none needs go
    const shelf = new Shelf();
    for (let k = 0; k < MOST + 2; k += 1) await shelf.add(result(String(k).padStart(3, "0"), k), pictures(String(k).padStart(3, "0")));
    const found = await shelf.results();
    assert.strictEqual(found.length, MOST);
    assert.strictEqual(found[0].id, String(MOST + 1).padStart(3, "0"));
    assert.strictEqual(await shelf.picture("c000"), null);
    assert(await shelf.picture("s"));
  }

  { // a full disk: kept until the page is closed, and said; the writings after it go on
    const shelf = new Shelf();
    shelf.lasting.refuses.add("put");
    await shelf.add(result("a", 1), pictures("a"));
    assert.strictEqual(shelf.trouble, "full");
    assert.strictEqual(await ids(shelf), "a");
    shelf.lasting.refuses.clear();
    await shelf.add(result("b", 2), pictures("b"));
    assert.strictEqual(shelf.trouble, null);
    assert.strictEqual(await ids(shelf), "ba");
  }
})().catch((error) => { console.error(error); process.exit(1); });

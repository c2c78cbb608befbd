// What the history keeps, in IndexedDB: results with their small pictures, and each content and style picture once,
// however many results it has.

const MOST = 50;
const MOST_BYTES = 200e6;

/** What is kept where the browser keeps nothing: until the page is closed. */
class Memory {
  constructor() { this.places = { results: new Map(), pictures: new Map() }; }
  async get(place, id) { return this.places[place].get(id); }
  async all(place) { return [...this.places[place].values()]; }
  async put(place, record) { this.places[place].set(record.id, record); }
  async drop(place, id) { this.places[place].delete(id); }
}

/** Results {id, at, facts, result, thumb, link?, recipe} and pictures {id, file}; `id` of a result: equal for equal ones. */
class Shelf {
  constructor() {
    this.lasting = new Store("scsa-history", ["results", "pictures"]);
    this.passing = new Memory();
    this.trouble = null; // "none" or "full"
    this.spared = new Set(); // pictures of results that may be had back
    this.last = Promise.resolve(); // writing
  }

  /** One writing after another, as they were asked for. */
  inTurn(work) {
    const done = this.last.then(work);
    this.last = done.catch(() => {});
    return done;
  }

  /** Newest first. What could not be stored comes too, and stands for what is stored of the same id. */
  async results() {
    const passing = await this.passing.all("results");
    const lasting = await this.lasting.all("results").catch(() => { this.trouble = "none"; return []; });
    const held = new Set(passing.map((each) => each.id));
    return [...passing, ...lasting.filter((each) => !held.has(each.id))].sort((a, b) => b.at - a.at);
  }

  async picture(id) {
    return (await this.passing.get("pictures", id))?.file ?? (await this.lasting.get("pictures", id).catch(() => null))?.file ?? null;
  }

  add(result, pictures) { return this.inTurn(() => this.put(result, pictures)); }

  async put(result, pictures) {
    // The result first: a picture that no result needs may be tidied away at any time, by another tab too.
    const store = async (shelf) => {
      try {
        await shelf.put("results", result);
        for (const [id, file] of Object.entries(pictures)) if (!(await shelf.get("pictures", id))) await shelf.put("pictures", { id, file });
      } catch (error) {
        await shelf.drop("results", result.id).catch(() => {});
        throw error;
      }
    };
    try {
      await store(this.lasting);
      await this.passing.drop("results", result.id);
      this.trouble = null;
    } catch (error) {
      this.trouble = isFull(error) ? "full" : "none";
      await store(this.passing);
    }
    await this.tidy();
  }

  /** What is new about a result, unless it was deleted meanwhile. */
  change(result) {
    return this.inTurn(async () => {
      for (const shelf of [this.passing, this.lasting]) {
        if (await shelf.get("results", result.id).catch(() => null)) return shelf.put("results", result).catch(() => {});
      }
    });
  }

  drop(ids) {
    return this.inTurn(async () => {
      for (const id of ids) {
        await this.passing.drop("results", id);
        await this.lasting.drop("results", id).catch(() => {});
      }
    });
  }

  /** At most MOST results and MOST_BYTES, the oldest go; pictures that no result needs go too. */
  async tidy() {
    for (const shelf of [this.lasting, this.passing]) {
      try {
        const results = (await shelf.all("results")).sort((a, b) => b.at - a.at);
        const sizes = new Map((await shelf.all("pictures")).map(({ id, file }) => [id, file.size]));
        const needed = new Set(this.spared);
        let bytes = 0;
        for (const [k, result] of results.entries()) {
          bytes += result.result.size + (result.thumb?.size ?? 0);
          for (const id of [result.facts.content, result.facts.style]) if (!needed.has(id)) bytes += sizes.get(id) ?? 0;
          if (k > 0 && (k >= MOST || bytes > MOST_BYTES)) {
            for (const old of results.slice(k)) await shelf.drop("results", old.id);
            break;
          }
          needed.add(result.facts.content).add(result.facts.style);
        }
        for (const id of sizes.keys()) if (!needed.has(id)) await shelf.drop("pictures", id);
      } catch { /* a store that cannot be read holds nothing to tidy */ }
    }
  }

  async bytes() {
    let total = 0;
    for (const shelf of [this.lasting, this.passing]) {
      for (const { result, thumb } of await shelf.all("results").catch(() => [])) total += result.size + (thumb?.size ?? 0);
      for (const { file } of await shelf.all("pictures").catch(() => [])) total += file.size;
    }
    return total;
  }
}

if (typeof module !== "undefined") module.exports = { MOST, Memory, Shelf };

// What components share that keep things in the browser: a small promise around IndexedDB, and files as Python gets them.

class Store {
  /** `places`: names of its object stores, each keyed by `id`. */
  constructor(name, places) {
    this.name = name;
    this.places = places;
  }

  open() {
    return (this.opened ??= new Promise((done, fail) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => { for (const place of this.places) request.result.createObjectStore(place, { keyPath: "id" }); };
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
    }));
  }

  async run(place, mode, work) {
    const database = await this.open();
    return new Promise((done, fail) => {
      const transaction = database.transaction(place, mode);
      const request = work(transaction.objectStore(place));
      if (mode === "readwrite") transaction.commit?.(); // all there is: the page may be on its way out
      transaction.oncomplete = () => done(request.result);
      transaction.onerror = transaction.onabort = () => fail(transaction.error);
    });
  }

  get(place, id) { return this.run(place, "readonly", (records) => records.get(id)); }
  all(place) { return this.run(place, "readonly", (records) => records.getAll()); }
  put(place, record) { return this.run(place, "readwrite", (records) => records.put(record)); }
  drop(place, id) { return this.run(place, "readwrite", (records) => records.delete(id)); }
}

/** Whether what a store refused is for want of room. */
function isFull(error) { return error?.name === "QuotaExceededError"; }

/** What Python gets for an uploaded file. */
function fileRecord(file, { path, url }) {
  return {
    path, url: url ?? null, size: file.size, orig_name: file.name || null, mime_type: file.type || null,
    is_stream: false, meta: { _type: "gradio.FileData" },
  };
}

// Notes and errors below the knobs. Text reaches the page only through textContent.

const root = element.querySelector(".nt-root");

function word(key, values = {}) {
  const text = String(textsOf(props)[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Names of regions, a list in one string. */
function shown(names) {
  return String(names).split(", ").map((name) => regionName(name, textsOf(props))).join(", ");
}

function line(className, text) {
  const node = document.createElement("p");
  node.className = className;
  node.textContent = text;
  return node;
}

let items = {};

function refresh() {
  if (!overtaken(props.items, items)) items = props.items ?? {};
  const { error = null, notes = [] } = items;
  const children = [];
  if (error) {
    const box = document.createElement("div");
    box.className = "nt-error";
    box.setAttribute("role", "alert");
    box.append(line("nt-what", word(error.what.key, error.what.args)));
    box.append(line("nt-do", [error.kept, error.do].map((part) => word(part.key, part.args)).join(" ")));
    if (error.reference) box.append(line("nt-small", word("note.reference", { id: error.reference })));
    children.push(box);
  }
  if (notes.length > 0) {
    const list = document.createElement("ul");
    list.className = "nt-list";
    list.setAttribute("aria-label", word("note.title"));
    for (const note of notes) {
      const item = document.createElement("li");
      const { names } = note.args ?? {};
      item.textContent = word(note.key, names === undefined ? note.args : { ...note.args, names: shown(names) });
      list.append(item);
    }
    children.push(list);
  }
  root.replaceChildren(...children);
}

watch("items", refresh);
watch("texts", refresh);
refresh();

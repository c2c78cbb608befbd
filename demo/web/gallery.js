// The row of examples: each card is one button. Text reaches the page only through textContent and attributes.

const root = element.querySelector(".ga-root");

function word(key, values = {}) {
  const text = String(textsOf(props)[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function node(tag, className, text = null) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

function picture(card, kind) {
  const image = node("img", `ga-${kind}`);
  image.loading = "lazy"; // before the address, which starts it
  image.fetchPriority = "low"; // the pictures on the desk come first
  image.src = card[kind].url;
  image.alt = word(`gallery.alt_${kind}`, { title: card.title });
  image.draggable = false;
  return image;
}

let picked = null; // the example that is on the desk, as far as its pictures tell

function mark(name) {
  picked = name;
  for (const button of root.querySelectorAll(".ga-card")) button.setAttribute("aria-pressed", String(button.dataset.name === name));
}

/** The painter shows these files: an example's are published under its name. */
function onShown({ detail }) {
  if (!root.isConnected) return document.removeEventListener("scsa-shown", onShown);
  const here = (props.value?.cards ?? []).find(({ name }) => ["content", "style"].every((kind) => detail[kind]?.endsWith(`/${name}-${kind}.jpg`)));
  mark(here?.name ?? null);
}


function refresh() {
  const cards = props.value?.cards ?? [];
  const list = node("ul", "ga-row");
  for (const card of cards) {
    const button = node("button", "ga-card");
    button.type = "button";
    button.dataset.name = card.name;
    button.setAttribute("aria-pressed", String(card.name === picked));
    const pictures = node("span", "ga-pictures");
    const main = card.result ? "result" : "content";
    const small = node("span", "ga-small");
    for (const kind of ["content", "style"]) if (kind !== main && card[kind]) small.append(picture(card, kind));
    pictures.append(picture(card, main), small);
    button.append(pictures, node("span", "ga-title", card.title), node("span", "ga-line", card.line));
    button.addEventListener("click", () => {
      mark(card.name);
      window.scsaPicked = Date.now(); // until it is there (create.py)
      trigger("pick", { name: card.name });
    });
    const item = node("li", "ga-item");
    item.append(button);
    list.append(item);
  }
  root.replaceChildren(node("h2", "ga-heading", word("gallery.title")),
    node("p", "ga-intro", word(cards.length > 0 ? "gallery.line" : "gallery.empty")), list);
}

picked = props.value?.cards?.[0]?.name ?? null;
document.addEventListener("scsa-shown", onShown);
watch("value", refresh);
watch("texts", refresh);
refresh();

// Name, language, light or dark, keys. The choices stay in this browser.

const root = element.querySelector(".hd-root");
const KEYS = [
  ["B E F L S", "tools"], ["0 … 9", "regions"], ["[ ]", "size"], ["Alt", "pick"], ["H", "hide"], ["Ctrl Z · Ctrl Shift Z", "undo"],
  ["Ctrl + − 0", "zoom"], ["Space · Ctrl ← → ↑ ↓", "pan"], ["← → ↑ ↓", "crosshair"], ["Enter", "close"], [", .", "shape"], ["F2", "rename"], ["X", "swap"], ["M", "merge"],
  ["R", "render"], ["Esc", "cancel"], ["O", "flip"], ["← →", "divider"],
];
const LANGUAGES = [["en", "EN", "English"], ["zh", "中文", "中文"]];

function word(key) { return String(textsOf(props)[key] ?? key); }

function node(tag, className, text = null) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch { /* a browser without storage forgets */ }
}

function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function setDark(dark) { document.body.classList.toggle("dark", dark); }

const title = node("h1", "hd-title");
const line = node("span", "hd-line");
const languages = node("div", "hd-group");
languages.setAttribute("role", "group");
const languageButtons = LANGUAGES.map(([lang, text, name]) => {
  const button = node("button", "hd-button", text);
  button.type = "button";
  button.lang = lang;
  button.title = name;
  button.addEventListener("click", () => {
    remember("scsa.lang", lang);
    trigger("language", { lang });
  });
  languages.append(button);
  return button;
});
const theme = node("button", "hd-button hd-square", "◐");
theme.type = "button";
theme.addEventListener("click", () => {
  const dark = !document.body.classList.contains("dark");
  setDark(dark);
  remember("scsa.theme", dark ? "dark" : "light");
});
const help = node("button", "hd-button hd-square", "?");
help.type = "button";
help.addEventListener("click", () => sheet.showModal());

const sheet = node("dialog", "hd-sheet");
sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });

const tools = node("div", "hd-tools");
tools.append(languages, theme, help);
root.replaceChildren(title, line, tools, sheet);

function refresh() {
  title.textContent = word("page.title");
  line.textContent = word("page.line");
  languages.setAttribute("aria-label", word("header.language"));
  const lang = props.lang ?? "en";
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  languageButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(LANGUAGES[i][0] === lang)));
  for (const [button, key] of [[theme, "header.theme"], [help, "header.keys"]]) {
    button.title = word(key);
    button.setAttribute("aria-label", word(key));
  }
  const heading = node("h2", "hd-sheet-title", word("header.keys"));
  heading.id = "hd-sheet-title";
  sheet.setAttribute("aria-labelledby", heading.id);
  const list = node("dl", "hd-list");
  for (const [keys, key] of KEYS) {
    const term = node("dt", "");
    term.append(node("kbd", "", keys));
    list.append(term, node("dd", "", word(`keys.${key}`)));
  }
  const close = node("button", "hd-button", word("header.close"));
  close.type = "button";
  close.addEventListener("click", () => sheet.close());
  sheet.replaceChildren(heading, node("p", "hd-where", word("header.keys_where")), list, close);
}

const chosen = recall("scsa.theme");
if (chosen) setDark(chosen === "dark");
watch(["texts", "lang"], refresh);
refresh();
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "?" && !typing && root.isConnected && !sheet.open) sheet.showModal();
});

// Gradio's menus, mended: left by Tab their list stays open for good, and closed by Escape it is not opened again by a click.

(() => {
  const menuOf = (event) => (event.target instanceof HTMLInputElement && event.target.role === "combobox" ? event.target : null);
  const isOpen = (menu) => menu.getAttribute("aria-expanded") === "true";
  const press = (menu, key) => menu.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  document.addEventListener("keydown", (event) => {
    if (menuOf(event) && event.key === "Tab") event.stopPropagation(); // it would take the key for one that opens the list
  }, true);
  document.addEventListener("mousedown", (event) => {
    const menu = menuOf(event);
    if (menu && menu === document.activeElement && !isOpen(menu)) setTimeout(() => { if (!isOpen(menu)) press(menu, "ArrowDown"); });
  }, true);
})();

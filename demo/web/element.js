// Building a page. Text reaches it only through textContent and attributes.

/** Whether a value of the server is from before the one that is shown: answers of two events may overtake each other. */
function overtaken(value, shown) { return (value?.turn ?? Infinity) < (shown?.turn ?? 0); }

/** An element with a class, attributes and children; strings become text nodes. */
function el(tag, className, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

"use strict";
const SCALES = {
  ns: 1e-9, "\u00b5s": 1e-6, ms: 1e-3, s: 1, min: 60,
  B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4, k: 1e3, M: 1e6, G: 1e9, T: 1e12,
};
/* The number that a cell begins with, in the unit behind it; how much slower is below 1. */
function amount(words) {
  const found = /^[~!?]*([\d.]+(?:e[+-]?\d+)?)\s?([a-zA-Z\u00b5]*)\s?(\w*)/.exec(words);
  if (!found) return null;
  const value = Number(found[1]) * (SCALES[found[2]] || 1);
  return found[3] === "slower" || found[3] === "more" ? 1 / value : value;
}
function sort(table, column, up) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => {
    const words = row.cells[column] ? row.cells[column].textContent.trim() : "";
    return { row, words, value: amount(words) };
  });
  keyed.sort((one, other) => {
    if ((one.value === null) !== (other.value === null)) return one.value === null ? 1 : -1;
    const less = one.value === null ? one.words.localeCompare(other.words) : one.value - other.value;
    return up ? less : -less;
  });
  body.append(...keyed.map((each) => each.row));
}
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, column, up);
    });
  });
  if (table.tBodies[0].rows.length < 15) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  label.append("Only rows with", input);
  table.parentNode.before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
/* On paper all parts are open but the very long ones. */
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) {
    if (part.querySelectorAll("tr").length < 100) part.open = true;
  }
});

// Sorting of tables, and keys for large pictures. The page is complete without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const numeric = heading.classList.contains("number");
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.onclick = () => {
      const now = heading.getAttribute("aria-sort");
      const up = now ? now === "descending" : !numeric;
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [p, q] = up ? [key(a), key(b)] : [key(b), key(a)];
        // Missing numbers stay at the end in both directions.
        return numeric ? (key(a) === "") - (key(b) === "") || p - q : p.localeCompare(q);
      };
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    };
  });
}
addEventListener("keydown", (event) => {
  const open = document.querySelector(".picture[open]");
  const step = { Escape: 0, ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!open || step === undefined) return;
  event.preventDefault();
  const all = [...document.querySelectorAll(".picture")];
  const next = all[all.indexOf(open) + step];
  if (!next) return;
  open.open = false;
  if (step) next.open = true;
  next.querySelector("summary").focus();
});

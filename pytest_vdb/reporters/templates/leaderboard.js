"use strict";
(() => {
  const said = document.getElementById("said");
  const say = (text) => { said.textContent = text; };

  // A row and what it opens to are one tbody, so sorting moves them together.
  const keyOf = (body, index, kind) => {
    const cell = body.rows[0].cells[index];
    const value = cell.dataset.value;
    return { group: Number(cell.dataset.group || 0), value: kind === "number" ? Number(value) : (value || "") };
  };

  const compare = (kind, descending) => (a, b) => {
    // What is not ranked stays below what is, and what is missing at the end, whichever way the column is sorted.
    if (a.key.group !== b.key.group) return a.key.group - b.key.group;
    if (a.key.group === 2) return a.place - b.place;
    const order = kind === "number"
      ? a.key.value - b.key.value
      : a.key.value.localeCompare(b.key.value, undefined, { numeric: true });
    return (descending ? -order : order) || a.place - b.place;
  };

  const sort = (head) => {
    const table = head.closest("table");
    const button = head.querySelector("button");
    const other = { ascending: "descending", descending: "ascending" };
    const current = head.getAttribute("aria-sort");
    const order = current ? other[current] : button.dataset.first;
    const kind = head.dataset.kind;
    const rows = [...table.tBodies].map((body, place) => ({ body, place, key: keyOf(body, head.cellIndex, kind) }));
    rows.sort(compare(kind, order === "descending"));
    table.append(...rows.map((row) => row.body));
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    say(`Sorted by ${head.dataset.name || button.textContent}, ${order}`);
  };

  const open = (button) => {
    const detail = document.getElementById(button.getAttribute("aria-controls"));
    detail.hidden = !detail.hidden;
    button.setAttribute("aria-expanded", String(!detail.hidden));
  };

  // The browser's own controls would cover most of a small clip: they come when it plays.
  const play = (button) => {
    const video = button.previousElementSibling;
    button.hidden = true;
    video.controls = true;
    video.focus();
    video.play().catch(() => say(`${video.getAttribute("aria-label")}: the clip cannot be played`));
  };

  const filter = (input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    const bodies = document.getElementById(input.dataset.filter).tBodies;
    for (const body of bodies) {
      body.hidden = !words.every((word) => body.dataset.search.includes(word));
      shown += !body.hidden;
    }
    say(`${shown} of ${bodies.length} rows`);
  };

  const show = (box, shown) => {
    const table = document.getElementById(box.dataset.of);
    const index = Number(box.dataset.column) + 2;
    box.checked = shown;
    table.tHead.rows[0].cells[index].hidden = !shown;
    for (const body of table.tBodies) body.rows[0].cells[index].hidden = !shown;
  };

  const choose = (box) => {
    show(box, box.checked);
    say(`${box.parentElement.textContent.trim()} ${box.checked ? "shown" : "hidden"}`);
  };

  // A column without any value is left to the menu, and to the reasons under the table.
  const chooseKind = (button) => {
    const kinds = button.closest(".kinds");
    for (const each of kinds.children) each.setAttribute("aria-pressed", String(each === button));
    for (const box of document.querySelectorAll(`input[data-column][data-of="${kinds.dataset.of}"]`)) {
      show(box, !("empty" in box.dataset) && [box.dataset.kind, ""].includes(button.dataset.kind));
    }
    say(`${button.textContent} shown`);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.closest("thead")) sort(button.closest("th"));
    else if (button && button.closest(".kinds")) chooseKind(button);
    else if (button && button.classList.contains("open")) open(button);
    else if (button && button.classList.contains("play")) play(button);
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset.filter) filter(event.target);
    else if (event.target.dataset.column) choose(event.target);
  });
  for (const button of document.querySelectorAll("button.play")) {
    button.hidden = false;
    button.previousElementSibling.controls = false;
  }
  for (const kinds of document.querySelectorAll(".kinds")) kinds.hidden = false;
  for (const box of document.querySelectorAll("input[data-column]")) show(box, !("empty" in box.dataset));
})();

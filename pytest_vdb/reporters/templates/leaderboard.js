"use strict";
(() => {
  const said = document.getElementById("said");
  const say = (text) => { said.textContent = text; };

  // The first frame has the first lines of a long table; see the style.
  const afterPaint = (work) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(work)));
  afterPaint(() => {
    for (const table of document.querySelectorAll("table.compact")) table.classList.add("whole");
    drawDistributions();
  });

  // Cells: the figure, and what the line's attributes say of it ---------------------------------------------------------

  const figureOf = (cell) => (cell.querySelector(".figure") || cell).firstChild?.nodeValue.trim() ?? "";
  const plain = (text) => Number(text.replaceAll(",", ""));
  const nameOf = (cell) => cell.querySelector("a, .name").textContent;

  const valueOf = (cell) => {
    if ("value" in cell.dataset) return Number(cell.dataset.value);
    const text = figureOf(cell);
    const [of, all] = text.split("/");
    return all === undefined ? parseFloat(text.replaceAll(",", "")) : of / all;
  };

  // 0 is ranked, 1 is not, 2 is missing.
  const groupOf = (cell) => {
    if ("group" in cell.dataset) return Number(cell.dataset.group);
    return !Number.isFinite(valueOf(cell)) ? 2 : cell.classList.contains("unranked") ? 1 : 0;
  };

  const columnOf = (cell) => cell.cellIndex - Number(cell.closest("table").dataset.before);
  const partsOf = ({ dataset }, name) => (dataset[name] || "").split(",");
  const partOf = (cell, name) => partsOf(cell.parentElement, name)[columnOf(cell)] || "";
  const placeIn = (row, column) => (partsOf(row, "p")[column] || "").replace("-", "–");

  // `18_17` is how far the interval reaches below and above, counted in the figure's last digit.
  const endsOf = (cell) => {
    const told = partOf(cell, "e");
    if (!told) return [];
    if (told.includes("~")) return told.split("~");
    const text = figureOf(cell).replaceAll(",", "");
    const places = (text.split(".")[1] || "").length;
    const [below, above] = told.split("_").map(Number);
    const write = (digits) => (digits / 10 ** places)
      .toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
    const digits = Math.round(Number(text) * 10 ** places);
    return [write(digits - below), write(digits + above)];
  };

  // `001499962100`: how many prompts lie in each of equal steps between the two ends that the column's head has.
  const distributionOf = (cell) => {
    const head = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].dataset;
    const heights = head.distributed ? [...partOf(cell, "h")].map(Number) : [];
    const [low, high] = (head.distributed || "").split(",").map(Number);
    return { heights, edge: (step) => low + (high - low) * step / heights.length };
  };

  // In words: where half of them lie, as exactly as the steps tell.
  const middleOf = (cell) => {
    const { heights, edge } = distributionOf(cell);
    if (!heights.length) return "";
    const all = heights.reduce((sum, height) => sum + height, 0);
    let passed = 0;
    const until = heights.map((height) => { passed += height; return passed / all; });
    const [first, last] = [0.25, 0.75].map((share) => until.findIndex((reached) => reached >= share));
    return `half of the prompts lie between about ${number(edge(first), edge(1) - edge(0))} and ${number(edge(last + 1), edge(1) - edge(0))}`;
  };

  const textsOf = (cell) => {
    const texts = JSON.parse(cell.closest("table").dataset.texts), column = String(columnOf(cell));
    return (cell.parentElement.dataset.t || "").split(";").filter(Boolean).flatMap((one) => {
      const [text, columns] = one.split(":");
      return columns === "*" || columns.split(".").includes(column) ? [texts[Number(text)]] : [];
    });
  };

  const wordsOf = (cell) => {
    const head = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].dataset;
    const texts = textsOf(cell), ends = endsOf(cell), place = placeIn(cell.parentElement, columnOf(cell));
    if (groupOf(cell) === 2) return [head.name, ...(texts.length ? texts : ["missing"])];
    const own = texts.find((text) => text.startsWith("="));
    return [
      head.name, `${figureOf(cell)} ${head.unit}`.trim(),
      ...(ends.length ? [`95% interval ${ends.join(" to ")}`] : []),
      ...(place ? [`rank ${place}`] : []),
      own ? own.slice(1) : head.count,
      middleOf(cell),
      ...texts.filter((text) => text !== own),
    ].filter(Boolean);
  };

  // Sorting -------------------------------------------------------------------------------------------------------------

  const compare = (kind, descending) => (a, b) => {
    // What is not ranked stays below what is, and what is missing at the end, whichever way the column is sorted.
    if (a.group !== b.group) return a.group - b.group;
    if (a.group === 2) return a.place - b.place;
    const order = kind === "number" ? a.value - b.value : a.value.localeCompare(b.value, undefined, { numeric: true });
    return (descending ? -order : order) || a.place - b.place;
  };

  const sort = (head, wanted) => {
    const table = head.closest("table"), [body] = table.tBodies;
    const button = head.querySelector("button");
    const other = { ascending: "descending", descending: "ascending" };
    const current = head.getAttribute("aria-sort");
    const order = wanted || (current ? other[current] : button.dataset.first);
    const { kind } = head.dataset;
    const rows = [...body.rows].map((row, place) => {
      const cell = row.cells[head.cellIndex];
      return kind === "text" ? { row, place, group: 0, value: nameOf(cell) } : { row, place, group: groupOf(cell), value: valueOf(cell) };
    });
    rows.sort(compare(kind, order === "descending"));
    body.append(...rows.map(({ row }) => row));
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    say(`Sorted by ${headName(head)}, ${order}`);
  };
  const headName = (head) => head.dataset.name || head.textContent.trim().toLowerCase();

  // Narrowing -----------------------------------------------------------------------------------------------------------

  const searched = new WeakMap(); // what each row says to the search box
  const textOf = (row) => {
    if (!searched.has(row)) {
      const { dataset } = row.closest("table");
      const device = dataset.devices ? JSON.parse(dataset.devices)[row.dataset.d || 0] : "";
      searched.set(row, [row.cells[0].textContent, device, row.dataset.more, dataset.common].join(" ").toLowerCase());
    }
    return searched.get(row);
  };

  const filter = (id) => {
    const words = document.querySelector(`input[data-filter="${id}"]`).value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...document.querySelectorAll(`select[data-narrow="${id}"]`)].filter((select) => select.value !== "");
    const fits = ({ dataset }, { dataset: { by }, value }) => by === "g"
      ? Number(dataset.g) <= Number(value) // of what was not measured nobody knows whether it fits
      : dataset[by] === value;
    let shown = 0;
    const { rows } = document.getElementById(id).tBodies[0];
    for (const row of rows) {
      row.hidden = !(words.every((word) => textOf(row).includes(word)) && chosen.every((one) => fits(row, one)));
      shown += !row.hidden;
    }
    say(`${shown} of ${rows.length} rows`);
  };

  // Which columns are shown ---------------------------------------------------------------------------------------------

  const show = (box, shown) => {
    const table = document.getElementById(box.dataset.of);
    const index = Number(box.dataset.column) + Number(table.dataset.before);
    box.checked = shown;
    table.tHead.rows[0].cells[index].hidden = !shown;
    for (const row of table.tBodies[0].rows) row.cells[index].hidden = !shown;
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

  const only = document.querySelector("select[data-section]");
  const chooseSection = () => {
    for (const section of document.querySelectorAll("section.standing")) {
      section.hidden = only.value !== "" && !section.querySelector(`#${only.value}`);
    }
    for (const plots of document.querySelectorAll("[data-beside]")) plots.hidden = !["", plots.dataset.beside].includes(only.value);
    say(`${only.selectedOptions[0].textContent} shown`);
  };

  // What was chosen stands behind the address's #, so that it can be sent to others -------------------------------------

  const CALLED = { k: "task", f: "family", l: "licence", g: "fits", o: "outcome" };
  const keyOf = (id, name) => (id === "s0" ? name : `${id}.${name}`);
  const controls = [...document.querySelectorAll("input[data-filter], select[data-narrow]")].map((control) => {
    const { filter: searches, narrow, by } = control.dataset;
    return { control, id: searches || narrow, key: keyOf(searches || narrow, searches ? "q" : CALLED[by]) };
  });
  const heads = [...document.querySelectorAll("thead th")].filter((head) => head.querySelector("button"))
    .map((head) => ({ head, key: keyOf(head.closest("table").id, "sort") }));
  const wordOf = ({ value, selectedOptions }) => (selectedOptions && value ? selectedOptions[0].textContent : value);

  // The page of a run that goes on is asked for again every few seconds, by an address without it.
  const live = document.querySelector("main[data-live]") !== null;
  const before = live && !location.hash && sessionStorage.getItem("chosen");
  if (before) history.replaceState(null, "", `#${before}`);

  const remember = () => {
    const told = new URLSearchParams();
    if (only?.value) told.set("show", wordOf(only));
    for (const { control, key } of controls) if (control.value) told.set(key, wordOf(control));
    for (const { head, key } of heads) {
      const order = head.getAttribute("aria-sort");
      if (order && !told.has(key)) told.set(key, `${headName(head)}:${order}`);
    }
    const [here] = location.href.split("#");
    history.replaceState(null, "", told.size ? `${here}#${told}` : here);
    if (live) sessionStorage.setItem("chosen", String(told));
  };

  const choice = (control, word) => {
    if (control.options) control.value = [...control.options].find((one) => one.value && one.textContent === word)?.value ?? "";
    else control.value = word;
  };

  const recall = () => {
    const told = new URLSearchParams(location.hash.slice(1));
    if (only) {
      const before = only.value;
      choice(only, told.get("show") || "");
      if (only.value !== before) chooseSection();
    }
    const changed = new Set();
    for (const { control, id, key } of controls) {
      const before = control.value;
      choice(control, told.get(key) || "");
      if (control.value !== before) changed.add(id);
    }
    for (const id of changed) filter(id);
    for (const { head, key } of heads) {
      const [name, order] = (told.get(key) || "").split(/:(?=[a-z]+$)/);
      const known = ["ascending", "descending"].includes(order);
      if (known && name === headName(head) && head.getAttribute("aria-sort") !== order) sort(head, order);
    }
  };

  // What a cell has to say, where the pointer or the focus is -----------------------------------------------------------

  const tip = document.getElementById("tip");
  const tell = (cell) => {
    if (!tip) return;
    const [name, ...words] = wordsOf(cell);
    const title = document.createElement("b");
    title.textContent = name;
    tip.replaceChildren(title, ...words.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
    tip.hidden = false;
    const box = cell.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const below = box.bottom + 6 + own.height < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(innerWidth - own.width - 8, box.right - own.width))}px`;
    tip.style.top = `${below ? box.bottom + 6 : box.top - own.height - 6}px`;
    cell.setAttribute("aria-describedby", "tip");
  };
  const hush = () => {
    if (!tip || tip.hidden) return;
    tip.hidden = true;
    document.querySelector('[aria-describedby="tip"]')?.removeAttribute("aria-describedby");
  };
  const figureAt = (target) => {
    const cell = target.closest?.("table.joined tbody td");
    return cell && columnOf(cell) >= 0 ? cell : null;
  };
  const follow = ({ target }) => {
    const cell = figureAt(target);
    hush();
    if (cell) tell(cell);
  };
  document.addEventListener("pointerover", follow);
  document.addEventListener("focusin", follow);
  const moved = () => { // focus may have scrolled to its cell
    const cell = figureAt(document.activeElement);
    if (cell && !tip.hidden) tell(cell);
    else hush();
  };
  document.addEventListener("scroll", moved, { capture: true, passive: true });

  // Arrows go from cell to cell of the standings; the tabulator goes from model to model.
  const step = (event) => {
    const cell = event.target.closest("table.joined tbody :is(td, th)");
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (!cell || event.altKey || event.ctrlKey || event.metaKey || !(across || down)) return;
    const next = (from, way) => {
      let found = from;
      do found = found && found[way]; while (found && found.hidden);
      return found;
    };
    const row = down ? next(cell.parentElement, down > 0 ? "nextElementSibling" : "previousElementSibling") : cell.parentElement;
    const found = across ? next(cell, across > 0 ? "nextElementSibling" : "previousElementSibling") : row?.cells[cell.cellIndex];
    if (!found) return;
    event.preventDefault();
    const focused = found.querySelector("a") || found;
    if (focused === found) found.tabIndex = -1;
    focused.focus();
  };

  // The plot of quality against cost, drawn again for other axes and for the width that there is.
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (parent, tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const drawDistributions = () => {
    for (const head of document.querySelectorAll("th[data-distributed]")) {
      for (const row of head.closest("table").tBodies[0].rows) {
        const cell = row.cells[head.cellIndex];
        const bars = distributionOf(cell).heights.map((height, at) => (height ? `M${3 * at} 12v-${1.3 * height}h2v${1.3 * height}z` : ""));
        if (!bars.length) continue;
        const drawn = shape(cell, "svg", { class: "distribution", width: 30, height: 12, viewBox: "0 0 30 12", "aria-hidden": "true" });
        shape(drawn, "path", { d: bars.join("") });
      }
    }
    for (const legend of document.querySelectorAll("[data-drawn]")) legend.hidden = false;
  };

  const number = (value, step) => {
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return places > 6 || Math.abs(value) >= 1e7
      ? value.toExponential(1)
      : value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  };

  const valuesOf = (cell) => ({ mean: valueOf(cell), ends: endsOf(cell).map(plain) });

  const pointsOf = (table, across, up) => {
    const rows = [...table.tBodies[0].rows].filter(({ dataset, cells }) => !("u" in dataset)
      && groupOf(cells[across]) < 2 && !groupOf(cells[up]));
    const devices = new Map();
    for (const { dataset } of rows) devices.set(dataset.d, (devices.get(dataset.d) || 0) + 1);
    const [most] = [...devices].sort((a, b) => b[1] - a[1])[0] || [""];
    const here = rows.filter(({ dataset }) => dataset.d === most);
    const points = here.map(({ cells }) => ({ name: nameOf(cells[0]), x: valuesOf(cells[across]), y: valuesOf(cells[up]) }));
    return { points, elsewhere: rows.length - here.length };
  };

  const scaleOf = (values, start, end, mayBeLogarithmic) => {
    const all = values.flatMap(({ mean, ends }) => [mean, ...ends]);
    let low = Math.min(...all), high = Math.max(...all);
    const logarithmic = mayBeLogarithmic && low > 0 && high / low >= 4 && high / low <= 1e30;
    const margin = (mayBeLogarithmic ? 0.08 : 0.1) * (high - low) || Math.abs(high) * 0.1 || 1;
    const room = mayBeLogarithmic ? 0.22 : 0; // for names, right of the last point
    [low, high] = logarithmic
      ? [low / 1.25, high * (high / low) ** room]
      : [low - margin, high + Math.max(margin, room * (high - low))];
    const [from, to] = logarithmic ? [Math.log(low), Math.log(high)] : [low, high];
    const at = (value) => start + ((logarithmic ? Math.log(value) : value) - from) / (to - from) * (end - start);
    return { at, low, high, logarithmic };
  };

  // Round values: 1, 2 and 5 of each power of ten, or equal steps.
  const ticksOf = ({ low, high, logarithmic }, most) => {
    const within = (value) => value >= low && value <= high;
    if (logarithmic) {
      const powers = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) powers.push(10 ** power);
      const usual = powers.flatMap((power) => [power, 2 * power, 5 * power]).filter(within);
      return (usual.length <= most ? usual : powers.filter(within)).map((value) => [value, number(value, value)]);
    }
    const power = 10 ** Math.floor(Math.log10((high - low) / 3));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => (high - low) / size <= most);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) found.push([at * step, number(at * step, step)]);
    return found;
  };

  const axisOf = (head) => {
    const { name, unit, good } = head.dataset;
    return `${name}${unit ? ` in ${unit}` : ""}, ${good} is better`;
  };

  const front = (points, costly, better) => {
    const merit = (value, high) => (high ? value : -value);
    const ordered = [...points].sort((a, b) => merit(b.x.mean, costly) - merit(a.x.mean, costly)
      || merit(b.y.mean, better) - merit(a.y.mean, better));
    let highest = -Infinity;
    return new Set(ordered.filter(({ y }) => {
      const leads = merit(y.mean, better) > highest;
      if (leads) highest = merit(y.mean, better);
      return leads;
    }));
  };

  const labelled = (svg, point, x, y, box, taken) => {
    const made = shape(svg, "text", { class: "name" }, point.name.length > 48 ? `${point.name.slice(0, 47)}…` : point.name);
    const wide = made.getComputedTextLength();
    const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
    const places = [[x + 7, y - 7], [x - 7 - wide, y - 7], [x + 7, y + 17], [x - 7 - wide, y + 17]];
    // On intervals if there is no other way, on points and other names never.
    for (const keptFree of [[...taken.boxes, ...taken.intervals], taken.boxes]) {
      for (const [left, base] of places) {
        const own = [left, base - 11, left + wide, base + 4];
        const inside = left >= box[0] - 4 && own[2] <= box[2] + 10 && base < box[3] && base > box[1];
        if (inside && !keptFree.some((other) => meet(own, other))) {
          taken.boxes.push(own);
          made.setAttribute("x", left);
          made.setAttribute("y", base);
          return;
        }
      }
    }
    made.remove();
  };

  const MOST_BARRED = 60; // points of which each has its intervals; of more only those on the front
  const draw = (section) => {
    const table = document.getElementById(section.dataset.plot);
    const canvas = section.querySelector(".canvas");
    const column = (axis) => Number(section.querySelector(`[data-axis="${axis}"]`).value) + Number(table.dataset.before);
    const [across, up] = [column("across"), column("up")];
    const [acrossHead, upHead] = [across, up].map((at) => table.tHead.rows[0].cells[at]);
    const { points, elsewhere } = pointsOf(table, across, up);
    const width = Math.max(280, canvas.clientWidth), height = Math.round(Math.min(340, Math.max(260, width * 0.52)));
    const box = [52, 26, width - 14, height - 50];
    canvas.replaceChildren();
    const caption = section.querySelector("figcaption");
    if (points.length < 2) {
      caption.textContent = `Fewer than two models have ${upHead.dataset.name} and ${acrossHead.dataset.name}.`;
      return;
    }
    const svg = shape(canvas, "svg", { class: "scatter", width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    const x = scaleOf(points.map((point) => point.x), box[0], box[2], true);
    const y = scaleOf(points.map((point) => point.y), box[3], box[1], false);
    for (const [tick, text] of ticksOf(y, 7)) {
      const at = y.at(tick);
      shape(svg, "line", { class: "grid", x1: box[0], x2: box[2], y1: at, y2: at });
      shape(svg, "text", { class: "tick", x: box[0] - 8, y: at + 4, "text-anchor": "end" }, text);
    }
    for (const [tick, text] of ticksOf(x, width < 480 ? 5 : 7)) {
      shape(svg, "text", { class: "tick", x: x.at(tick), y: box[3] + 18, "text-anchor": "middle" }, text);
    }
    shape(svg, "text", { class: "axis", x: box[0], y: 14 }, axisOf(upHead));
    shape(svg, "text", { class: "axis", x: box[2], y: height - 8, "text-anchor": "end" }, axisOf(acrossHead));
    const leading = front(points, acrossHead.dataset.good === "higher", upHead.dataset.good === "higher");
    const line = [...leading].map((point) => [x.at(point.x.mean), y.at(point.y.mean)]).sort((a, b) => a[0] - b[0]);
    const costly = acrossHead.dataset.good === "higher";
    const corners = line.flatMap((pair, at) => at ? [costly ? [line[at - 1][0], pair[1]] : [pair[0], line[at - 1][1]], pair] : [pair]);
    shape(svg, "polyline", { class: "front", points: corners.map((pair) => pair.join(",")).join(" ") });
    const taken = { boxes: [], intervals: [] };
    const ordered = [...points].sort((a, b) => leading.has(b) - leading.has(a));
    for (const point of ordered) {
      const [cx, cy] = [x.at(point.x.mean), y.at(point.y.mean)];
      const barred = points.length <= MOST_BARRED || leading.has(point);
      const [low, high] = barred ? point.y.ends : [];
      if (high !== undefined) shape(svg, "line", { class: "range", x1: cx, x2: cx, y1: y.at(low), y2: y.at(high) });
      const [least, most] = barred ? point.x.ends : [];
      if (most !== undefined && !(x.logarithmic && least <= 0)) shape(svg, "line", { class: "range", x1: x.at(least), x2: x.at(most), y1: cy, y2: cy });
      const dot = shape(svg, "circle", { class: leading.has(point) ? "" : "beaten", cx, cy, r: 5 });
      shape(dot, "title", {}, point.name);
      const ends = point.y.ends.map(y.at);
      taken.intervals.push([cx - 5, Math.min(cy - 5, ...ends), cx + 5, Math.max(cy + 5, ...ends)]);
      taken.boxes.push([cx - 5, cy - 5, cx + 5, cy + 5]);
    }
    for (const point of ordered) {
      if (points.length <= 14 || leading.has(point)) labelled(svg, point, x.at(point.x.mean), y.at(point.y.mean), box, taken);
    }
    caption.textContent = `Filled: no other model is better in both. Bars are 95% intervals${points.length <= MOST_BARRED ? "." : ", of these alone."}`
      + (x.logarithmic ? " The cost is drawn on a logarithmic scale." : "")
      + (elsewhere ? ` Not drawn: ${elsewhere} ${elsewhere === 1 ? "model" : "models"} measured on another device.` : "");
    svg.setAttribute("aria-label", `${axisOf(upHead)} against ${axisOf(acrossHead)}. ${caption.textContent}`);
  };

  // Who is ranked by another metric stands in another order.
  const rankBy = (section) => {
    const table = document.getElementById(section.dataset.plot);
    const heads = table.tHead.rows[0].cells;
    const at = Number(section.querySelector('[data-axis="up"]').value);
    const up = at + Number(table.dataset.before);
    for (const row of table.tBodies[0].rows) row.cells[1].textContent = placeIn(row, at);
    heads[1].querySelector(".by").textContent = heads[up].dataset.name;
    for (const head of [heads[up], heads[1]]) {
      head.removeAttribute("aria-sort");
      sort(head);
    }
    say(`Ranked by ${heads[up].dataset.name}`);
  };
  const plots = [...document.querySelectorAll("section[data-plot]")].filter((one) => one.querySelector(".canvas"));
  const USUAL = 640; // pixels for which the page's own drawing was made
  let redrawn = 0;
  const fit = () => {
    cancelAnimationFrame(redrawn);
    redrawn = requestAnimationFrame(() => {
      for (const each of plots) {
        const canvas = each.querySelector(".canvas"), drawn = Number(canvas.firstElementChild?.getAttribute("width") || USUAL);
        if (canvas.clientWidth && Math.abs(canvas.clientWidth - drawn) > 0.1 * drawn) draw(each);
      }
    });
  };
  window.addEventListener("resize", fit);
  fit();

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.closest("thead")) { sort(button.closest("th")); remember(); }
    else if (button && button.closest(".kinds")) chooseKind(button);
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hush();
    const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
    step(event);
  });
  document.addEventListener("input", ({ target }) => {
    const { filter: searches, narrow, axis, column } = target.dataset;
    if (searches || narrow) filter(searches || narrow);
    else if (axis) {
      const section = target.closest("section");
      if (axis === "up") rankBy(section);
      draw(section);
    }
    else if (column) choose(target);
    else if (target === only) chooseSection();
    if (!column) remember();
  });
  // `#compare=a,b&prompt=p003`: which page that prompt has is known to the list of prompts, which leads there.
  const leadToClips = () => {
    const list = document.querySelector("a[data-compared]");
    if (list && /[#&]compare=/.test(location.hash)) location.replace(list.href + location.hash);
  };
  window.addEventListener("hashchange", leadToClips);
  leadToClips();
  window.addEventListener("hashchange", recall);
  for (const each of document.querySelectorAll(".kinds, .narrow, .axes, .tasks")) each.hidden = false;
  for (const box of document.querySelectorAll("input[data-column]")) show(box, !("empty" in box.dataset));
  recall();
})();

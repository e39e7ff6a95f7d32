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

  const filter = (id) => {
    const input = document.querySelector(`input[data-filter="${id}"]`);
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...document.querySelectorAll(`select[data-narrow="${id}"]`)].filter((select) => select.value !== "");
    const fits = ({ dataset }, select) => select.dataset.by === "size"
      ? Number(dataset.size) <= Number(select.value) // of what was not measured nobody knows whether it fits
      : dataset.whole === select.value;
    let shown = 0;
    const bodies = document.getElementById(id).tBodies;
    for (const body of bodies) {
      body.hidden = !(words.every((word) => body.dataset.search.includes(word)) && chosen.every((one) => fits(body, one)));
      shown += !body.hidden;
    }
    say(`${shown} of ${bodies.length} rows`);
  };

  // What a link to a row of a benchmark leads to is opened when it is followed.
  const follow = () => {
    const body = location.hash.length > 1 && document.getElementById(`${location.hash.slice(1)}b`);
    const button = body && body.querySelector("button.open");
    if (!button) return;
    if (button.getAttribute("aria-expanded") === "false") open(button);
    body.hidden = false;
    body.scrollIntoView({ block: "start" });
    button.focus({ preventScroll: true });
  };

  const show = (box, shown) => {
    const table = document.getElementById(box.dataset.of);
    const index = Number(box.dataset.column) + Number(table.dataset.before);
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

  // The plot of quality against cost, drawn again for other axes and for the width that there is.
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (parent, tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const number = (value, step) => {
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return places > 6 || Math.abs(value) >= 1e7
      ? value.toExponential(1)
      : value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  };

  const valuesOf = (cell) => {
    const half = cell.querySelector(".half");
    const ends = half ? half.textContent.slice(1, -1).split(", ").map((end) => Number(end.replaceAll(",", ""))) : [];
    return { mean: Number(cell.dataset.value), ends: ends.every(Number.isFinite) ? ends : [] };
  };

  const pointsOf = (table, across, up) => {
    const bodies = [...table.tBodies].filter(({ dataset, rows: [row] }) => "device" in dataset
      && "value" in row.cells[across].dataset && !row.cells[up].dataset.group);
    const devices = new Map();
    for (const { dataset } of bodies) devices.set(dataset.device, (devices.get(dataset.device) || 0) + 1);
    const [most] = [...devices].sort((a, b) => b[1] - a[1])[0] || [""];
    const here = bodies.filter(({ dataset }) => dataset.device === most);
    const points = here.map(({ rows: [row] }) => ({
      name: row.cells[0].dataset.value, x: valuesOf(row.cells[across]), y: valuesOf(row.cells[up]),
    }));
    return { points, elsewhere: bodies.length - here.length };
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
      const [low, high] = point.y.ends;
      if (high !== undefined) shape(svg, "line", { class: "range", x1: cx, x2: cx, y1: y.at(low), y2: y.at(high) });
      const [least, most] = point.x.ends;
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
    caption.textContent = "Filled: no other model is better in both. Bars are 95% intervals."
      + (x.logarithmic ? " The cost is drawn on a logarithmic scale." : "")
      + (elsewhere ? ` Not drawn: ${elsewhere} ${elsewhere === 1 ? "model" : "models"} measured on another device.` : "");
    svg.setAttribute("aria-label", `${axisOf(upHead)} against ${axisOf(acrossHead)}. ${caption.textContent}`);
  };

  // Who is ranked by another metric stands in another order.
  const rankBy = (section) => {
    const table = document.getElementById(section.dataset.plot);
    const heads = table.tHead.rows[0].cells;
    const up = Number(section.querySelector('[data-axis="up"]').value) + Number(table.dataset.before);
    for (const { rows: [{ cells }] } of table.tBodies) {
      const place = cells[up].dataset.place || "";
      cells[1].textContent = place;
      cells[1].dataset.group = place ? 0 : 2;
      cells[1].dataset.value = parseInt(place, 10) || "";
    }
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
    if (event.target.dataset.filter) filter(event.target.dataset.filter);
    else if (event.target.dataset.narrow) filter(event.target.dataset.narrow);
    else if (event.target.dataset.axis) {
      const section = event.target.closest("section");
      if (event.target.dataset.axis === "up") rankBy(section);
      draw(section);
    }
    else if (event.target.dataset.column) choose(event.target);
  });
  for (const button of document.querySelectorAll("button.play")) {
    button.hidden = false;
    button.previousElementSibling.controls = false;
  }
  window.addEventListener("hashchange", follow);
  for (const each of document.querySelectorAll(".kinds, .narrow, .axes")) each.hidden = false;
  for (const box of document.querySelectorAll("input[data-column]")) show(box, !("empty" in box.dataset));
  follow();
})();

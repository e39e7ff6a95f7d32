"use strict";
// Clips of one prompt beside each other, in step. The list of the page is what there is: without script it is links.
(() => {
  const byId = (id) => document.getElementById(id);
  const MOST = 4, SPEEDS = [0.1, 0.25, 0.5, 1, 2];
  const list = byId("clips"), stage = byId("stage");
  const clips = [...list.children].map((item) => {
    const link = item.querySelector("a");
    const told = (key) => Number(item.dataset[key] || list.dataset[key]);
    return { item, name: link.textContent, file: link.getAttribute("href"), fps: told("fps"), frames: told("frames") };
  });
  const byName = new Map(clips.map((clip) => [clip.name, clip]));
  let chosen = [], view = "side", speed = 1, playing = false, wipe = 50, gain = 1, asked = 0;
  let shown = []; // of each chosen clip that is on the stage: { clip, video }
  const say = (text) => { byId("said").textContent = text; };

  // What is seen is in the address: a link to it shows the same, and so do the neighbouring prompts.
  const readHash = () => {
    const given = new URLSearchParams(""), parts = location.hash.slice(1).split("&");
    for (const part of parts) {
      const [key, value = ""] = part.split("=", 2);
      given.set(key, value);
    }
    const names = (given.get("compare") || "").split(",").map((name) => {
      try { return decodeURIComponent(name); } catch { return name; }
    });
    const found = [...new Set(names)].map((name) => byName.get(name)).filter(Boolean);
    for (const clip of clips) if (found.length < 2 && !found.includes(clip)) found.push(clip);
    chosen = found.slice(0, MOST);
    view = ["wipe", "difference"].includes(given.get("view")) ? given.get("view") : "side";
    speed = SPEEDS.includes(Number(given.get("speed"))) ? Number(given.get("speed")) : 1;
  };
  const writeHash = () => {
    const parts = [`compare=${chosen.map((clip) => encodeURIComponent(clip.name)).join(",")}`];
    if (view !== "side") parts.push(`view=${view}`);
    if (speed !== 1) parts.push(`speed=${speed}`);
    const hash = `#${parts.join("&")}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    for (const link of document.querySelectorAll("a[data-walk]")) link.href = link.dataset.walk + hash;
  };

  // The longest clip is the clock; a shorter one waits at its end until all begin again.
  const clock = () => shown.reduce((long, one) => ((one.video.duration || 0) > (long.video.duration || 0) ? one : long), shown[0]);
  const frameOf = ({ clip, video }) => Math.min(clip.frames, Math.floor(video.currentTime * clip.fps + 1e-3) + 1);
  const tell = () => {
    if (!shown.length) return;
    const one = clock();
    byId("time").value = one.video.duration ? one.video.currentTime / one.video.duration : 0;
    const text = `frame ${frameOf(one)} of ${one.clip.frames}, ${one.video.currentTime.toFixed(2)} s`;
    byId("where").textContent = text;
    byId("time").setAttribute("aria-valuetext", text);
  };
  const ready = (video) => new Promise((done) => {
    if (video.readyState >= 4 || video.error) done();
    else for (const event of ["canplaythrough", "error"]) video.addEventListener(event, done, { once: true });
  });
  const seek = (video, time) => new Promise((done) => {
    if (video.error || !Number.isFinite(video.duration)) { done(); return; }
    const at = Math.min(Math.max(time, 0), video.duration);
    if (Math.abs(video.currentTime - at) < 1e-4) { done(); return; }
    for (const event of ["seeked", "error"]) video.addEventListener(event, done, { once: true });
    video.currentTime = at;
  });
  const seekAll = (time) => Promise.all(shown.map(({ video }) => seek(video, time)));

  // Everybody who waited for something looks whether the stage is still theirs.
  const begin = async (from) => {
    const mine = ++asked;
    playing = true;
    label();
    await Promise.all(shown.map(({ video }) => ready(video)));
    await seekAll(from);
    await Promise.all(shown.map(({ video }) => ready(video)));
    if (mine !== asked || !playing) return;
    const able = shown.filter(({ video }) => !video.error && video.currentTime < video.duration - 1e-3);
    if (!able.length) { stop(); return; }
    for (const { video } of able) video.playbackRate = speed;
    await Promise.all(able.map(({ video }) => video.play().catch(() => {})));
    if (mine === asked) requestAnimationFrame(() => keepInStep(mine));
  };
  const stop = () => {
    asked += 1;
    playing = false;
    for (const { video } of shown) video.pause();
    label();
  };
  // A lead is taken back by playing slower or faster for a moment: a jump would cost more time than it saves.
  const keepInStep = (mine) => {
    if (mine !== asked || !playing || !shown.length) return;
    const lead = clock();
    for (const one of shown) {
      const { video } = one;
      if (one === lead || video.error || video.ended || video.paused) continue;
      const ahead = video.currentTime - lead.video.currentTime;
      if (Math.abs(ahead) > 0.5) video.currentTime = lead.video.currentTime;
      const rate = Math.abs(ahead) < 0.004 ? speed : speed * (1 - Math.max(-0.8, Math.min(0.8, ahead * 8)));
      if (Math.abs(video.playbackRate - rate) > 0.005) video.playbackRate = rate;
    }
    tell();
    if (lead.video.ended || lead.video.error) begin(0);
    else requestAnimationFrame(() => keepInStep(mine));
  };
  const step = async (by) => {
    if (playing) stop();
    const mine = ++asked, one = clock();
    const to = Math.min(Math.max(frameOf(one) - 1 + by, 0), one.clip.frames - 1);
    await seekAll((to + 0.5) / one.clip.fps);
    if (mine !== asked) return;
    tell();
    say(byId("where").textContent);
  };
  const label = () => { byId("play").textContent = playing ? "Pause" : "Play"; };

  // The stage, made anew for other clips or another view: what plays goes on from where it was.
  const made = (tag, attributes, ...inner) => {
    const one = Object.assign(document.createElement(tag), attributes);
    one.append(...inner);
    return one;
  };
  const videoOf = (clip) => {
    const video = made("video", { muted: true, playsInline: true, preload: "auto", src: clip.file });
    video.setAttribute("aria-label", clip.name);
    return video;
  };
  const wiped = () => {
    if (view !== "wipe" || shown.length < 2) return;
    shown[1].video.style.clipPath = `inset(0 0 0 ${wipe}%)`;
    stage.querySelector(".edge").style.left = `${wipe}%`;
  };
  const amplified = () => {
    const pile = stage.querySelector(".pile");
    if (pile) pile.style.filter = view === "difference" ? `brightness(${gain})` : "";
  };
  const build = async () => {
    const from = shown.length ? clock().video.currentTime : 0, went = playing;
    asked += 1;
    for (const { video } of shown) { video.pause(); video.removeAttribute("src"); video.load(); }
    const piled = view !== "side" && chosen.length > 1;
    shown = (piled ? chosen.slice(0, 2) : chosen).map((clip) => ({ clip, video: videoOf(clip) }));
    stage.className = `stage ${piled ? view : "side"}`;
    if (piled) {
      const pile = made("div", { className: "pile" }, ...shown.map(({ video }) => video));
      const [left, right] = shown.map(({ clip }) => made("span", {}, clip.name));
      if (view === "wipe") pile.append(made("div", { className: "edge" }));
      const [{ video: first }] = shown;
      first.addEventListener("loadedmetadata", () => { // so that the pile ends where its picture ends
        pile.style.maxWidth = `calc(62vh * ${first.videoWidth / first.videoHeight})`;
      }, { once: true });
      const sides = made("p", { className: "sides" }, left, view === "difference" ? "minus" : "", right);
      stage.replaceChildren(pile, sides);
    } else {
      stage.replaceChildren(...shown.map(({ clip, video }) => {
        const size = made("span", {}, `${clip.frames} frames, ${clip.fps} fps`);
        return made("figure", {}, video, made("figcaption", {}, made("b", {}, clip.name), size));
      }));
    }
    for (const { clip, video } of shown) {
      video.addEventListener("error", () => {
        (video.closest("figure") || stage).append(made("p", { className: "broken" }, `${clip.name}: the clip cannot be played`));
        say(`${clip.name}: the clip cannot be played`);
      }, { once: true });
    }
    byId("of-wipe").hidden = !(piled && view === "wipe");
    byId("of-difference").hidden = !(piled && view === "difference");
    wiped();
    amplified();
    for (const { item } of clips) {
      const box = item.querySelector("input");
      box.checked = chosen.some((clip) => clip.item === item);
      box.disabled = !box.checked && chosen.length >= MOST;
    }
    byId("view").value = view;
    byId("speed").value = String(speed);
    writeHash();
    await Promise.all(shown.map(({ video }) => ready(video)));
    if (went) begin(from);
    else { await seekAll(from); tell(); }
  };

  const choose = (box) => {
    const clip = clips.find(({ item }) => item.contains(box));
    if (box.checked) chosen = [...chosen, clip].slice(0, MOST);
    else if (chosen.length > 1) chosen = chosen.filter((one) => one !== clip);
    say(`${chosen.length} clips: ${chosen.map(({ name }) => name).join(", ")}`);
    build();
  };
  const narrow = () => {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { item, name } of clips) item.hidden = !words.every((word) => name.toLowerCase().includes(word));
  };
  const pace = (to) => {
    speed = to;
    for (const { video } of shown) video.playbackRate = speed;
    byId("speed").value = String(speed);
    writeHash();
    say(`speed ${speed}`);
  };
  const toggle = () => {
    if (playing) { stop(); return; }
    const { video } = clock();
    begin(video.ended || video.currentTime >= video.duration - 1e-3 ? 0 : video.currentTime);
  };

  for (const { item, name, file } of clips) {
    const box = made("input", { type: "checkbox" });
    item.replaceChildren(made("label", {}, box, made("span", {}, name)));
    box.dataset.file = file;
  }
  byId("play").onclick = toggle;
  byId("back").onclick = () => step(-1);
  byId("forward").onclick = () => step(1);
  byId("swap").onclick = () => { if (chosen.length > 1) { chosen = [...chosen.slice(1), chosen[0]]; build(); } };
  byId("view").onchange = () => { view = byId("view").value; build(); };
  byId("speed").onchange = () => pace(Number(byId("speed").value));
  byId("wipe").oninput = () => { wipe = Number(byId("wipe").value); wiped(); };
  byId("gain").oninput = () => { gain = Number(byId("gain").value); amplified(); };
  byId("time").oninput = async () => {
    if (playing) stop();
    await seekAll(Number(byId("time").value) * (clock().video.duration || 0));
    tell();
  };
  byId("find").oninput = narrow;
  list.addEventListener("change", (event) => choose(event.target));
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
    const walk = (way) => document.querySelector(`a[rel="${way}"]`)?.click();
    const wanted = {
      ",": () => step(-1), ".": () => step(1), "<": () => faster(-1), ">": () => faster(1), n: () => walk("next"), p: () => walk("prev"),
      " ": target.matches("button, a, summary") ? undefined : toggle,
    }[event.key];
    if (wanted) { event.preventDefault(); wanted(); }
  });
  const faster = (by) => {
    const to = SPEEDS[SPEEDS.indexOf(speed) + by];
    if (to) pace(to);
  };
  window.addEventListener("hashchange", () => { readHash(); build(); });
  for (const each of document.querySelectorAll("[data-scripted]")) each.hidden = false;
  readHash();
  build();
})();

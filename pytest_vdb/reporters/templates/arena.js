"use strict";
// One pair after the other; every answer is kept here at once, and sent where the page was served for that.
(() => {
  const plan = JSON.parse(document.body.dataset.plan);
  const byId = (id) => document.getElementById(id);
  const videos = [byId("left"), byId("right")];
  const served = location.protocol !== "file:";
  const asked = new URLSearchParams(location.search);
  let rater = asked.get("rater") || asked.get("PROLIFIC_PID") || asked.get("workerId") || "";
  let votes = [];
  let now = null;
  let lost = false;

  // The same rater sees the same order and sides again after closing the page; two raters see others.
  const draw = (text) => {
    let state = 2166136261;
    for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
    return () => {
      state = Math.imul(state ^ (state >>> 15), 2246822519) + 374761393 | 0;
      const mixed = Math.imul(state ^ (state >>> 13), 3266489917);
      return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
    };
  };
  const shuffled = (count, next) => {
    const order = [...Array(count).keys()];
    for (let at = count - 1; at > 0; at -= 1) {
      const other = Math.floor(next() * (at + 1));
      [order[at], order[other]] = [order[other], order[at]];
    }
    return order;
  };
  const place = () => `vdb-arena-${plan.arena}-${rater}`;
  const kept = () => {
    try { return JSON.parse(localStorage.getItem(place()) || "[]"); } catch { return []; }
  };
  const keep = () => {
    try { localStorage.setItem(place(), JSON.stringify(votes)); } catch { byId("why").textContent = " (this browser keeps nothing: save before you close the page)"; }
    const lines = votes.map((vote) => JSON.stringify(vote)).join("\n") + "\n";
    URL.revokeObjectURL(byId("save").href);
    byId("save").href = URL.createObjectURL(new Blob([lines], { type: "application/jsonl" }));
    byId("save").download = `votes-${plan.arena}-${rater.replace(/[^\w-]/g, "_")}.jsonl`;
    byId("saved").hidden = votes.length === 0;
  };
  const send = (vote) => served
    ? fetch("votes", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(vote) })
        .then((answer) => { if (!answer.ok) throw new Error(String(answer.status)); })
        .catch(() => { lost = true; byId("why").textContent = " (they did not all arrive: please save and send them)"; })
    : Promise.resolve();
  const nextPair = async () => {
    const seen = new Set(votes.map((vote) => vote.pair));
    if (seen.size >= plan.asked) return null;
    if (served) {
      try {
        const answer = await fetch(`next?rater=${encodeURIComponent(rater)}`);
        if (answer.ok) {
          const { pair } = await answer.json();
          if (Number.isInteger(pair) && plan.pairs[pair] && !seen.has(pair)) return pair;
        }
      } catch { /* a plain web server has no advice */ }
    }
    const order = shuffled(plan.pairs.length, draw(`${plan.arena} ${rater}`));
    const left = order.find((pair) => !seen.has(pair));
    return left === undefined ? null : left;
  };
  const play = () => {
    for (const video of videos) { video.currentTime = 0; }
    for (const video of videos) { video.play().catch(() => {}); }
  };
  const choices = () => document.querySelectorAll("[data-choice]");
  const show = async () => {
    const pair = await nextPair();
    if (pair === null) {
      now = null;
      byId("stage").hidden = true;
      byId("end").hidden = false;
      byId("kept").textContent = served && !lost ? "Your votes have been sent; you may close the page." : "Please save your votes and send the file to whoever asked you.";
      return;
    }
    const { of, text } = plan.pairs[pair];
    const turned = draw(`${plan.arena} ${rater} ${pair} sides`)() < 0.5;
    const sides = turned ? [of[1], of[0]] : of;
    now = { pair, left: sides[0], right: sides[1], since: performance.now() };
    byId("text").textContent = text;
    byId("progress").textContent = `${votes.length + 1} of ${plan.asked}`;
    for (const button of choices()) button.disabled = false;
    await Promise.all(videos.map((video, at) => new Promise((ready) => {
      video.onloadeddata = video.onerror = ready;
      video.src = `${plan.clips}/${sides[at]}${plan.suffix}`;
    })));
    play();
  };
  const choose = async (choice) => {
    if (now === null) return;
    const { pair, left, right, since } = now;
    now = null;
    for (const button of choices()) button.disabled = true;
    const vote = { arena: plan.arena, pair, left, right, choice, rater, seconds: Math.round((performance.now() - since) / 100) / 10, at: new Date().toISOString() };
    votes.push(vote);
    keep();
    await send(vote);
    await show();
  };
  const begin = async () => {
    votes = kept();
    byId("who").hidden = true;
    byId("stage").hidden = false;
    keep();
    await Promise.all(votes.map(send)); // some may not have arrived: each counts once
    await show();
  };

  // Both end before either begins again: the pair stays in step, however long each is.
  const over = () => { if (videos.every((video) => video.ended || video.error)) play(); };
  for (const video of videos) video.onended = over;
  for (const button of choices()) button.onclick = () => choose(button.dataset.choice);
  byId("again").onclick = play;
  document.addEventListener("keydown", (event) => {
    if (byId("stage").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" }[event.key];
    const onButton = event.target instanceof HTMLButtonElement;
    if (choice) { event.preventDefault(); choose(choice); } else if (event.key === " " && !onButton) { event.preventDefault(); play(); }
  });
  byId("who").onsubmit = (event) => { event.preventDefault(); rater = byId("rater").value.trim(); if (rater) begin(); };
  if (rater) begin();
})();

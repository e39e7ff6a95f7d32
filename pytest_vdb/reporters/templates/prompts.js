"use strict";
// Where `leaderboard.html#compare=a,b&prompt=p003` leads: the page of that prompt, with the same models chosen.
(() => {
  const links = [...document.querySelectorAll("a[data-walk]")];
  const follow = () => {
    const parts = location.hash.slice(1).split("&").filter(Boolean);
    const asked = parts.find((part) => part.startsWith("prompt="));
    const others = parts.filter((part) => part !== asked).join("&");
    const hash = others ? `#${others}` : "";
    for (const link of links) link.href = link.dataset.walk + hash;
    if (!asked) return;
    let name = asked.slice("prompt=".length);
    try { name = decodeURIComponent(name); } catch { /* as it stands there */ }
    const found = links.find((link) => link.dataset.prompt === name);
    if (found) location.replace(found.href);
    else document.getElementById("said").textContent = `${name}: no prompt of this name has clips of two models`;
  };
  const find = document.getElementById("find");
  find.oninput = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of document.getElementById("prompts").children) {
      item.hidden = !words.every((word) => item.textContent.toLowerCase().includes(word));
    }
  };
  for (const each of document.querySelectorAll("[data-scripted]")) each.hidden = false;
  window.addEventListener("hashchange", follow);
  follow();
})();

"use strict";
(() => {
  const said = document.getElementById("said");

  // The browser's own controls would cover most of a small clip: they come when it plays.
  const play = (button) => {
    const video = button.previousElementSibling;
    button.hidden = true;
    video.controls = true;
    video.focus();
    video.play().catch(() => { said.textContent = `${video.getAttribute("aria-label")}: the clip cannot be played`; });
  };

  for (const button of document.querySelectorAll("button.play")) {
    button.hidden = false;
    button.previousElementSibling.controls = false;
  }
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button.play");
    if (button) play(button);
  });
})();

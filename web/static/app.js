// Conveniences on top of pages that work without it: nothing here is needed to ask, read or check.
"use strict";

for (const box of document.querySelectorAll("details[data-close-when-narrow]")) {
  if (window.matchMedia("(max-width: 68rem)").matches) box.open = false;
}

function showPassage() {
  const passage = document.getElementById("passage");
  if (!passage || location.hash !== "#passage") return;
  passage.focus({ preventScroll: true });
  passage.scrollIntoView({ block: "start" });
}
showPassage();
window.addEventListener("hashchange", showPassage);

const field = document.getElementById("q");
if (field) {
  field.setAttribute("aria-keyshortcuts", "/");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    field.focus();
  });
}

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // plain http on a closed network has no clipboard object
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

const places = document.querySelectorAll("[data-source]");
if (places.length) {
  const status = document.createElement("p");
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  document.body.append(status);
  for (const place of places) {
    const quote = place.parentElement.querySelector(".quote");
    if (!quote) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button--quiet";
    button.textContent = "引用をコピー";
    button.addEventListener("click", async () => {
      let words = "コピーしました";
      try {
        await copy(`${quote.textContent}\n\n出典：${place.dataset.source}`);
      } catch {
        words = "コピーできませんでした";
      }
      button.focus();
      button.textContent = status.textContent = words;
      setTimeout(() => { button.textContent = "引用をコピー"; status.textContent = ""; }, 3000);
    });
    place.append(button);
  }
}

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

// What takes longer than a blink says so. Nothing is shown before: a sign that flashes is worse than none.
const WAIT_MS = 300;
let waiting = 0;
const sign = document.createElement("p");
sign.className = "waiting";
sign.setAttribute("role", "status");
function wait() {
  clearTimeout(waiting);
  waiting = setTimeout(() => { document.body.append(sign); sign.textContent = "探しています…"; }, WAIT_MS);
}
function arrived() {
  clearTimeout(waiting);
  sign.textContent = "";
  sign.remove();
}
for (const form of document.querySelectorAll("form[data-waits]")) {
  form.addEventListener("submit", wait);
}
for (const link of document.querySelectorAll("a[data-waits]")) {
  link.addEventListener("click", (event) => {
    if (event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) wait();
  });
}
window.addEventListener("pageshow", arrived); // a page that comes back from the browser's memory is not waiting
window.addEventListener("pagehide", arrived);

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

// Conveniences of a document's page; it is read, searched and checked without them.
"use strict";

// a box that shows all of its table needs no stop of its own for the keyboard
for (const box of document.querySelectorAll(".rich-box")) {
  if (box.scrollWidth <= box.clientWidth) box.removeAttribute("tabindex");
}

// which heading of the outline is being read
const lines = new Map();
for (const link of document.querySelectorAll('.outline a[href^="#"]')) lines.set(link.hash.slice(1), link);
const heads = [...lines.keys()].map((id) => document.getElementById(id)).filter(Boolean);
let now = null;
function follow() {
  let found = null;
  for (const head of heads) {
    if (head.getBoundingClientRect().top > 160) break;
    found = lines.get(head.id);
  }
  if (found === now) return;
  if (now) now.removeAttribute("aria-current");
  now = found;
  if (!now) return;
  now.setAttribute("aria-current", "true");
  const box = now.closest(".sidebar__box");
  const place = now.getBoundingClientRect(), frame = box.getBoundingClientRect();
  if (place.top < frame.top + 48 || place.bottom > frame.bottom) box.scrollTop += place.top - frame.top - frame.height / 2;
}
if (heads.length) {
  let waiting = false;
  document.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; follow(); });
  }, { passive: true });
  follow();
}

// a picture that cannot be had is said in words
const picture = document.querySelector(".sheet-view img");
if (picture) {
  const failed = () => {
    const words = document.createElement("p");
    words.className = "muted";
    words.textContent = "この紙面は表示できません。元のファイルを保存して確かめてください。";
    picture.closest("a").replaceWith(words);
  };
  if (picture.complete && !picture.naturalWidth) failed();
  else picture.addEventListener("error", failed);
}

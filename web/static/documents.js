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

  // the page beside the text is the one that is being read
  const sheet = document.getElementById("sheet");
  const large = picture.closest("a");
  const came = { page: Number(sheet.dataset.page), picture: picture.getAttribute("src"), large: large.getAttribute("href") };
  const note = sheet.querySelector(".sheet-view__note");
  const turns = sheet.querySelectorAll(".sheet-view__turn a");
  const marks = [...document.querySelectorAll("#canonical .page-mark")];
  const wide = window.matchMedia("(min-width: 80.01rem)"); // only where it stands beside the text
  function turn(mark) {
    const page = Number(mark.id.slice(1)), own = page === came.page;
    sheet.dataset.page = page;
    picture.src = own ? came.picture : `${sheet.dataset.address}${page}.png`;
    large.href = own ? came.large : `${sheet.dataset.address}${page}.png?size=large`;
    picture.alt = `${mark.dataset.label}の紙面。押すと大きく表示します。`;
    sheet.querySelector(".sheet-view__name").textContent = mark.dataset.label;
    if (note) note.hidden = !own;
    for (const link of turns) {
      const to = page + (link.rel === "next" ? 1 : -1);
      const address = new URL(link.href);
      address.searchParams.set("page", to);
      address.hash = `p${to}`;
      link.href = address.href;
      link.hidden = to < 1 || to > Number(sheet.dataset.pages);
    }
  }
  let timer = 0;
  document.addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!wide.matches || !sheet.querySelector("details").open) return;
      const top = (mark) => mark.getBoundingClientRect().top;
      const at = marks.findIndex((mark) => mark.id === `p${sheet.dataset.page}`);
      const from = at < 0 ? Infinity : top(marks[at]), to = at >= 0 && marks[at + 1] ? top(marks[at + 1]) : Infinity;
      if (at >= 0 && from < innerHeight * 0.9 && to > 160) return; // it is still in view
      const above = marks.filter((mark) => top(mark) < 160).pop();
      if (above) turn(above);
    }, 500);
  }, { passive: true });
}

// Printing, where there are scripts: the button, and the moment at which the paper is made. Without them the browser's own print does it.
"use strict";

for (const place of document.querySelectorAll("[data-print]")) {
  place.hidden = false;
  place.querySelector("button").addEventListener("click", () => window.print());
}

window.addEventListener("beforeprint", () => {
  const now = new Date();
  const minute = String(now.getMinutes()).padStart(2, "0");
  const words = `${now.getFullYear()}年${now.getMonth() + 1}月${now.getDate()}日 ${now.getHours()}時${minute}分`;
  for (const place of document.querySelectorAll("[data-printed]")) {
    place.previousElementSibling.textContent = "印刷した日時";
    place.textContent = words;
  }
});

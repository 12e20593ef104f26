// A convenience of the catalogue: says while choosing how many cases may be compared (the server says it in any case), and
// keeps the choice when one narrows, sorts or turns the page.
"use strict";

for (const form of document.querySelectorAll("form.choice")) {
  const least = Number(form.dataset.least);
  const most = Number(form.dataset.most);
  const state = form.querySelector("#choice-state");
  const button = form.querySelector("button[type=submit]");
  const boxes = [...form.querySelectorAll("input[name=case]")];
  const keep = (chosen) => {
    for (const link of document.querySelectorAll('main a[href^="/cases?"], main a[href="/cases"]')) {
      const address = new URL(link.href);
      address.searchParams.delete("case");
      for (const name of chosen) address.searchParams.append("case", name);
      link.setAttribute("href", address.pathname + address.search);
    }
    const finder = document.querySelector("form.finder");
    if (!finder) return;
    for (const old of finder.querySelectorAll("input[name=case]")) old.remove();
    for (const name of chosen) finder.append(Object.assign(document.createElement("input"), { type: "hidden", name: "case", value: name }));
  };
  const show = () => {
    const chosen = boxes.filter((box) => box.checked || box.type === "hidden").map((box) => box.value);
    const count = chosen.length;
    keep(chosen);
    const fits = count >= least && count <= most;
    // not the attribute "disabled": the button stays where the keyboard finds it, and its message is read out
    button.setAttribute("aria-disabled", String(!fits));
    if (count === 0) state.textContent = `${least}件から${most}件を選んでください。`;
    else if (count < least) state.textContent = `${count}件を選びました。あと${least - count}件選んでください。`;
    else if (count > most) state.textContent = `${count}件を選びました。比べられるのは${most}件までです。${count - most}件外してください。`;
    else state.textContent = `${count}件を選びました。`;
  };
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  });
  window.addEventListener("pageshow", show); // the browser keeps ticks when one comes back
  show();
}

// The written answer word by word; without this, the link opens a page on which it is written already.
"use strict";

const box = document.getElementById("written");
const link = box && box.querySelector("[data-write]");

function noted(texts) {
  const list = box.querySelector(".written__notes");
  list.replaceChildren(...texts.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

function sentence(own) {
  const line = document.createElement("p");
  line.className = "written__sentence";
  if (!own.supported) {
    line.classList.add("written__sentence--doubtful");
    const mark = document.createElement("span");
    mark.className = "written__mark";
    mark.textContent = "原文未確認";
    line.append(mark, " ");
  }
  line.append(own.text, " ");
  for (const number of own.citations) {
    const cite = document.createElement("a");
    cite.className = "cite";
    cite.href = `#c${number}`;
    cite.setAttribute("aria-label", `出典${number}を見る`);
    cite.textContent = `[${number}]`;
    line.append(cite);
  }
  return line;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [name, data] = part.split("\n");
      yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
    }
  }
}

async function written() {
  const response = await fetch("/api/ask/stream", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: box.dataset.body,
  });
  if (!response.ok || !response.body) throw new Error(String(response.status));
  const draft = document.createElement("p");
  draft.className = "written__draft";
  link.parentElement.replaceWith(draft);
  noted(["書いています。まだ原文で確かめていません。"]);
  let before = [];
  for await (const [name, data] of events(response)) {
    if (name === "citations") before = data.notes;
    if (name === "words") draft.append(data.text);
    if (name === "verdict") {
      const text = document.createElement("div");
      text.className = "written__text";
      if (data.answer.mode === "generated") text.append(...data.answer.sentences.map(sentence));
      draft.replaceWith(text);
      noted(data.notes.filter((note) => !before.includes(note)));
      return;
    }
  }
  throw new Error("no verdict");
}

if (link) {
  link.removeAttribute("data-waits");
  link.addEventListener("click", (event) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    link.setAttribute("aria-disabled", "true");
    // where it cannot be had word by word, the page that has it whole is opened
    written().catch(() => { window.location.href = link.href; });
  }, { capture: true });
}

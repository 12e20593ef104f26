// The administrator's page: files one by one with their progress, and parts that follow what the server does.
"use strict";

const live = document.getElementById("live");
const form = document.getElementById("upload");
const sending = document.getElementById("sending");
const PAUSE_MS = 1000;
let asked = null;
let turn = 0;
let placed = 0;

function say(words) {
  if (live && live.textContent !== words) live.textContent = words;
}

// ---- parts of the page, taken from the page as the server gives it now

async function refresh() {
  const mine = ++turn;
  let fresh;
  try {
    const reply = await fetch("/admin", { headers: { Accept: "text/html" } });
    if (reply.redirected) return location.assign("/admin/login");
    if (!reply.ok) return again();
    fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  } catch {
    say("サーバーにつながりません。つながりしだい、表示を新しくします。");
    return again();
  }
  if (mine !== turn) return; // a later one will say it better
  for (const part of document.querySelectorAll("[data-part]")) {
    const now = fresh.getElementById(part.id);
    if (!now || now.outerHTML === part.outerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement.id : "";
    const told = now.querySelector("[data-live]");
    if (told && told.dataset.live !== part.querySelector("[data-live]")?.dataset.live) say(told.dataset.live);
    if (part.dataset.reading > 0 && now.dataset.reading === "0") say("確認待ちのファイルを読み取りました");
    part.replaceWith(document.adoptNode(now));
    if (held) (document.getElementById(held) || now.querySelector("h2")).focus();
  }
  again();
}

function again() {
  clearTimeout(asked);
  if (document.querySelector("[data-busy]")) asked = setTimeout(refresh, PAUSE_MS);
}
again();

// ---- files

function row(file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const bar = document.createElement("progress");
  const words = document.createElement("span");
  item.className = "sending__item";
  name.className = "sending__name";
  words.className = "sending__words";
  name.textContent = file.name;
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", file.name);
  words.textContent = "待っています";
  item.append(name, bar, words);
  sending.append(item);
  return {
    progress(share) {
      bar.value = share;
      words.textContent = share < 1 ? `${Math.floor(share * 100)}%` : "確かめています";
    },
    done() {
      item.remove();
      placed += 1;
      say(placed > 1 ? `${placed}件を確認待ちに置きました（最後は ${file.name}）` : `${file.name} を確認待ちに置きました`);
    },
    failed(message) {
      bar.remove();
      item.classList.add("sending__item--failed");
      words.textContent = message;
      say(`${file.name}：${message}`);
    },
  };
}

function words(request, name) {
  try {
    const detail = JSON.parse(request.responseText).detail;
    const message = typeof detail === "string" ? detail : detail.map((item) => item.msg).join(" ");
    return message.replace(`${name}：`, "") || "送れませんでした。";
  } catch {
    return "送れませんでした。時間をおいて、もう一度お試しください。";
  }
}

function send(file, shown) {
  return new Promise((finished) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("files", file);
    request.upload.addEventListener("progress", (event) => shown.progress(event.loaded / (event.total || 1)));
    request.addEventListener("load", () => {
      if (request.status === 201) shown.done();
      else shown.failed(words(request, file.name));
      finished();
    });
    request.addEventListener("error", () => {
      shown.failed("送れませんでした。フォルダーはそのままでは送れません。つながりも確かめてください。");
      finished();
    });
    request.open("POST", "/api/uploads");
    request.send(body);
  });
}

let queue = Promise.resolve();

function add(files) {
  const most = Number(form.dataset.fileBytes);
  for (const file of files) {
    const shown = row(file);
    if (file.size > most) {
      shown.failed(`ファイルが大きすぎます（上限は${most / 2 ** 20}MB）。分割してから送ってください。`);
      continue;
    }
    if (file.size === 0) {
      shown.failed("ファイルが空か、フォルダーです。フォルダーは、中のファイルを選んで送ってください。");
      continue;
    }
    queue = queue.then(() => send(file, shown)).then(refresh);
  }
}

if (form) {
  const input = document.getElementById("files");
  form.classList.add("drop--ready");
  form.querySelector(".drop__hint").hidden = false;
  form.querySelector("button").hidden = true;
  const chosen = () => {
    add([...input.files]);
    input.value = "";
  };
  input.addEventListener("change", chosen);
  chosen(); // what was chosen before this script was there
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragenter", "dragover"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.add("drop--over");
    });
  }
  form.addEventListener("dragleave", () => form.classList.remove("drop--over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("drop--over");
    add([...event.dataTransfer.files]);
  });
}

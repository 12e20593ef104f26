// Rating without leaving the page. The form does the same without this.
"use strict";

{
  const form = document.getElementById("feedback");
  const said = document.getElementById("feedback-said");
  const more = document.getElementById("feedback-more");
  const [quick, full] = form.querySelectorAll(".feedback__buttons");
  const MANY = new Set(["document_ids", "case_ids", "organizations", "prefectures", "regions", "organization_kinds", "population_bands", "categories"]);
  const ONE = new Set(["population_min", "population_max"]);

  function body(useful) {
    const data = new FormData(form);
    const filters = {};
    for (const name of new Set(data.keys())) {
      if (MANY.has(name)) filters[name] = data.getAll(name);
      if (ONE.has(name)) filters[name] = Number(data.get(name));
    }
    return {
      question: data.get("q"), history: data.getAll("h"), without: data.getAll("without"), filters,
      useful, comment: data.get("comment"), id: data.get("id"), answerable: data.get("answerable") === "true",
      index_version: data.get("index_version"), citations: data.getAll("citations"),
    };
  }

  function words(reply) {
    if (typeof reply.detail === "string") return reply.detail;
    return Array.isArray(reply.detail) ? reply.detail.map((item) => item.msg).join(" ") : "";
  }

  async function send(useful) {
    const comment = form.elements.comment.value.trim();
    let wrong = "送れませんでした。時間をおいて、もう一度お試しください。";
    try {
      const reply = await fetch("/api/feedback", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body(useful)),
      });
      const told = await reply.json();
      if (reply.status === 201) {
        form.elements.id.value = told.id;
        wrong = "";
      } else wrong = words(told) || wrong;
    } catch { /* the server is away: said below */ }
    said.classList.toggle("feedback__said--wrong", wrong !== "");
    said.textContent = "";
    said.textContent = wrong || (comment ? "ありがとうございました。ひとことも受け取りました。" : "ありがとうございました。よろしければ、ひとことを添えてください。");
    if (wrong) return;
    for (const button of quick.children) button.setAttribute("aria-pressed", String(button.value === String(useful)));
    for (const button of full.children) {
      button.hidden = button.value !== String(useful);
      button.textContent = "ひとことを送る";
    }
    if (comment && more.contains(document.activeElement)) more.querySelector("summary").focus();
    more.open = !comment;
  }

  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending || !event.submitter) return;
    sending = true;
    await send(event.submitter.value === "true");
    sending = false;
  });
}

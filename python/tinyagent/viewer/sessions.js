"use strict";
// The sessions of a folder, a row each. What a log says is only ever set as text.
(async () => {
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const vis = (s) => String(s).replace(HIDDEN, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
const num = (n) => n.toLocaleString("en-US");
function h(tag, ...kids) {
	const [name, ...classes] = tag.split("."), node = document.createElement(name);
	if (classes.length) node.className = classes.join(" ");
	node.append(...kids.filter((kid) => kid != null && kid !== false).map((kid) => (kid instanceof Node ? kid : vis(kid))));
	return node;
}
function ago(ns) {
	let left = Math.max(0, Date.now() - ns / 1e6) / 1000;
	for (const [unit, many] of [["s", 60], ["m", 60], ["h", 24], ["d", 365]]) {
		if (left < many) return Math.floor(left) + " " + unit;
		left /= many;
	}
	return Math.floor(left) + " y";
}
const LOOK = { answered: ".good", failed: ".wrong", crashed: ".wrong", over_budget: ".wrong", running: ".on" };
function row(log) {
	const open = h("a.session", log.name || log.log.slice(0, 8));
	open.href = "/log/" + encodeURIComponent(log.where) + "#token=" + served.token;
	const about = h("div.dim.more", log.log.slice(0, 8), " · ", log.model, log.fork && " · fork of " + log.fork, log.origin && " · imported from " + log.origin);
	const needs = [log.in_doubt && num(log.in_doubt) + " in doubt", log.approvals && num(log.approvals) + " waiting for approval"].filter(Boolean);
	const numbers = [log.at_ns ? ago(log.at_ns) : "", num(log.turns), num(log.tools), num(log.tokens), log.cost_usd == null ? "" : "$" + log.cost_usd.toFixed(4)];
	return h("tr", h("td", open, about), h("td", h("span.pill" + (LOOK[log.status] || ""), log.status.replace("_", " ")), ...needs.map((words) => h("div.badink.more", words))),
		h("td.first", log.first.length > 300 ? log.first.slice(0, 300) + "…" : log.first), ...numbers.map((words) => h("td.r", words)));
}
const body = h("tbody"), title = h("h1", "Sessions"), told = h("span.dim"), notes = h("div.notes");
const heads = ["session", "status", "first words", "age", "turns", "tools", "tokens", "cost"].map((name, n) => h(n > 2 ? "th.r" : "th", name));
const page = h("main.sessions", h("table", h("thead", h("tr", ...heads)), body), notes);
const id = h("div.id", title, told);
document.body.append(h("header", id), page);
document.body.className = "list";
for (;;) {
	try {
		const { dir, logs, unreadable } = await served.asked("/api/sessions");
		const focus = document.activeElement?.href;
		title.textContent = vis(dir || "Sessions");
		told.textContent = num(logs.length) + (logs.length === 1 ? " session" : " sessions");
		body.replaceChildren(...logs.map(row));
		notes.replaceChildren(...Object.entries(unreadable).map(([name, why]) => h("p", h("b.badink", name), "  ", why)), ...(logs.length ? [] : [h("p.dim", "No logs yet; what is recorded here shows up by itself.")]));
		if (focus) [...body.querySelectorAll("a")].find((a) => a.href === focus)?.focus();
	} catch (error) {
		notes.replaceChildren(h("p.badink", error.message));
	}
	document.documentElement.dataset.ready = "yes";
	do await served.later(2000); while (document.hidden);
}
})();

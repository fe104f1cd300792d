"use strict";
// The sessions of a folder, a row each, and which of them are forks of which.
function ago(ns) {
	let left = Math.max(0, Date.now() - ns / 1e6) / 1000;
	for (const [unit, many] of [["s", 60], ["m", 60], ["h", 24], ["d", 365]]) {
		if (left < many) return Math.floor(left) + " " + unit;
		left /= many;
	}
	return Math.floor(left) + " y";
}
const LOOK = { answered: ".good", failed: ".wrong", crashed: ".wrong", over_budget: ".wrong", running: ".on" };
const counted = (n, word) => num(n) + " " + word + (n === 1 ? "" : "s"), dollars = (cost) => cost == null ? "" : "$" + cost.toFixed(4);
const opens = (log) => el("a.session", { href: "/log/" + encodeURIComponent(log.where) + "#token=" + served.token }, log.name || log.log.slice(0, 8));
const pill = (log) => h("span.pill" + (LOOK[log.status] || ""), log.status.replace("_", " "));
function row(log) {
	const about = h("div.dim", log.log.slice(0, 8), " · ", log.model, log.fork && " · fork of " + log.fork, log.origin && " · imported from " + log.origin);
	const needs = [log.in_doubt && num(log.in_doubt) + " in doubt", log.approvals && num(log.approvals) + " waiting for approval"].filter(Boolean);
	const numbers = [log.at_ns ? ago(log.at_ns) : "", num(log.turns), num(log.tools), num(log.tokens), dollars(log.cost_usd)];
	return h("tr", h("td", opens(log), about), h("td", pill(log), needs.map((words) => h("div.badink", words))),
		h("td.first", log.first.length > 300 ? log.first.slice(0, 300) + "…" : log.first), numbers.map((words) => h("td.r", words)));
}
// What a tree of forks draws of each log; a parent that is not in the folder is known by its forks.
function family(logs) {
	const known = new Map();
	for (const log of logs) if (!known.has(log.log)) known.set(log.log, log);
	const nodes = [...known.values()].map((log) => ({ id: log.log, parent: log.forked?.log, at: log.forked?.at, end: log.records, bad: LOOK[log.status] === ".wrong", told: [
		h(".pair", opens(log), pill(log), log.forked && dim(`fork of ${known.get(log.forked.log)?.name || log.forked.log.slice(0, 8)} at record ${num(log.forked.at)}`), dim(counted(log.turns, "turn") + " · " + num(log.tokens) + " tokens " + dollars(log.cost_usd))),
		h(".gist", !log.forked ? log.first : editWords(log.forked.edits) || "nothing edited")] }));
	for (const { parent, at } of nodes) if (parent && !known.has(parent)) {
		known.set(parent, null);
		nodes.push({ id: parent, end: Math.max(at, ...nodes.filter((node) => node.parent === parent).map((node) => node.at)), told: [h(".pair", h("b.mono", parent.slice(0, 8)), dim("not in this folder"))] });
	}
	const within = (first, found = [first]) => { for (const one of found) found.push(...nodes.filter((node) => node.parent === one.id)); return found; };
	return nodes.filter((node) => !node.parent).map((first) => within(first)).filter((tree) => tree.length > 1).map((tree) => forkTree(tree, Math.min(560, innerWidth * 0.42)));
}
const body = h("tbody"), title = h("h1", "Sessions"), told = dim(), notes = h("div"), trees = el("div", { hidden: true });
const heads = ["session", "status", "first words", "age", "turns", "tools", "tokens", "cost"].map((name, n) => h(n > 2 ? "th.r" : "th", name));
const list = h("table", h("thead", h("tr", heads)), body);
const tabs = ["sessions", "fork tree"].map((name, n) => el("button", { role: "tab", onclick: () => show(n) }, name));
function show(n) {
	list.hidden = n === 1;
	trees.hidden = n === 0;
	tabs.forEach((tab, at) => { tab.ariaSelected = String(at === n); });
	history.replaceState(null, "", "#" + new URLSearchParams({ token: served.token, ...(n && { view: "forks" }) }));
}
document.body.append(h("header", el("div", { id: "id" }, title, told), el("nav", { role: "tablist", "aria-label": "Views" }, tabs)), h("main.sessions", list, trees, notes));
show(new URLSearchParams(location.hash.slice(1)).get("view") === "forks" ? 1 : 0);
async function look() {
	try {
		const { dir, logs, unreadable } = await served.asked("/api/sessions"), focus = document.activeElement, again = ({ href }) => href === focus.href;
		const place = [...document.querySelectorAll("a")].filter(again).indexOf(focus), tree = family(logs);
		title.textContent = vis(dir || "Sessions");
		told.textContent = counted(logs.length, "session");
		body.replaceChildren(...logs.map(row));
		trees.replaceChildren(...(tree.length ? tree : [note("No session here is a fork of another.")]));
		notes.replaceChildren(...Object.entries(unreadable).map(([name, why]) => h("p", h("b.badink", name), "  ", why)), ...(logs.length ? [] : [h("p.dim", "No logs yet; what is recorded here shows up by itself.")]));
		[...document.querySelectorAll("a")].filter(again)[place]?.focus();
	} catch (error) {
		notes.replaceChildren(h("p.badink", error.message));
	}
	root.dataset.ready = "yes";
	do await served.later(2000); while (document.hidden);
	look();
}
look();

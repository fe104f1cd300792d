"use strict";
// A tree of forks: a line for each log, from the cut where it left its parent to its last record.
// Each of *logs* has an id, the id of its parent, the cut, the last record, and what stands beside.
function forkTree(logs, width) {
	const high = 60, mid = high / 2, last = Math.max(1, ...logs.map((log) => log.end)), X = (n) => 10 + (width - 30) * n / last, lines = [];
	const ids = new Map(logs.map((log) => [log.id, log])), root = logs.find((log) => !ids.has(log.parent));
	// Who holds the record at the cut: the parent, or whoever the parent shares it with.
	const holder = ({ at, parent }) => { let log = ids.get(parent); while (log?.at >= at) log = ids.get(log.parent); return log; };
	const kidsOf = Map.groupBy(logs.filter((log) => log !== root), holder);
	// What passes a line on its way down leads to forks that left earlier: so no line crosses another.
	(function lay(log, passing) {
		const kids = (kidsOf.get(log) || []).toSorted((a, b) => b.at - a.at), from = X(log.at || 0), end = Math.max(X(log.end), from + 18), down = (x, y) => el("path.line", { d: `M${x} ${y}V999` }), dot = (cx, r) => el("circle.tip", { cx, cy: mid, r });
		lines.push(h("li.k-" + (log.here ? "user" : "model") + (log.bad ? ".bad" : ""), el("svg", { width, height: high, "aria-hidden": "true" }, h("g.k-model", passing.map((x) => down(x, 0))),
			el("path.line", { d: log.at === undefined ? `M${from} ${mid}H${end}` : `M${from} 0V${mid - 9}q0 9 9 9H${end}` }),
			kids.map((kid) => [h("g.k-model", down(X(kid.at), mid)), dot(X(kid.at), 3.5), el("text.mid", { x: X(kid.at), y: mid - 8 }, kid.at)]), dot(end, 6)), h("div", log.told)));
		kids.forEach((kid, n) => lay(kid, [...passing, ...kids.slice(n + 1).map((next) => X(next.at))]));
	})(root, []);
	return h("ol.forks", lines);
}
const editWords = (edits) => edits.map((edit) => edit.map((part) => typeof part === "string" ? part.replace("_", " ") : JSON.stringify(part)).join(": ")).join(" · ");
// What one log knows of its own: whose fork it is, of what that was one, and what was edited.
function forks() {
	const cuts = items.filter((item) => item.k === "session.forked" && !children.has(item.a)), known = cuts.at(-1)?.s === D.fork.at + 1 ? cuts : [{ s: D.fork.at + 1, e: {} }], own = known.length;
	const idOf = (n) => n === own - 1 ? D.fork.log : n ? "" : D.fork.root || "";
	const go = (seq, words) => at.has(seq) && button(() => pick(at.get(seq)), words);
	const logs = [...known.keys(), own].map((n) => {
		const cut = known[n - 1], end = known[n]?.s - 1 || D.total, name = n === own ? D.name || D.ref : idOf(n).slice(0, 8) || "a fork between, which this log does not name";
		return { id: n, parent: n - 1, at: cut && cut.s - 1, end, here: n === own, told: [
			h(".pair", h("b", name), n === own && h("span.pill", "this log"), dim(n === own ? `its own records: ${num(cut.s)} to ${num(end)}` : `shared up to record ${num(end)}`), cut && go(cut.s - 1, "the cut, " + num(cut.s - 1)), cut && go(cut.s, "the edit")),
			cut && h(".gist", editWords(cut.e.edits || []) || "nothing edited", cut.e.why && " · moved: " + cut.e.why)] };
	});
	const edits = known[own - 1].e.edits || [];
	return [heading("Fork tree", dim("what this log knows of where it comes from"), button(() => copy("tinyagent diff " + D.fork.log.slice(0, 8) + " " + D.ref), "Copy the command that compares")), forkTree(logs, Math.min(304, roomy() * 0.36)),
		h3("What this fork changed"), edits.length ? h("table.wide", edits.map(([what, ...parts]) => h("tr", h("td.key", vis(what).replace("_", " ")), h("td.mono", parts.map((part, n) => [n > 0 && " ", cell(part)]))))) : note("Nothing was edited at the cut" + (cuts.length ? "." : ", or its record is not in this page."))];
}

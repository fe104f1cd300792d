"use strict";
// What a replay found, beside what was recorded; only in a page that was made with a report.
function divergence() {
	const place = (d) => find(d.seq || d.agreed), go = (d) => button(() => pick(place(d)), "Go to the record"), [first, ...rest] = D.diverged;
	for (const d of D.diverged) { const row = rowOf(place(d)); if (row) lit.set(row, "✗"); }
	const told = (d) => differing(d.paths.length ? d.paths : [["", ...[d.recorded, d.now].map((x) => x ? x[0] + " " + JSON.stringify(x[1]) : undefined)]], "recorded", "today");
	return [h("h2", first.seq ? "Record " + first.seq + " is not what " + first.machine + " decides today" : first.machine + " decides one more after record " + first.agreed),
		facts({ "decided at": first.input + " " + first.input_kind, decision: first.ordinal + " of " + first.of, "the same up to": num(first.agreed), "not compared": first.left && num(first.left) }),
		h("p", h("b", "Cause: "), first.cause), told(first), h(".acts", go(first), first.agreed > 0 && button(() => copy("tinyagent fork " + D.ref + ":" + first.agreed + " --app MODULE:FACTORY --run"), "Copy the command that tries it from here")),
		rest.length > 0 && [h3(num(rest.length) + " more, most of them because of it"), rest.slice(0, 200).map((d) => folding("~", "record " + (d.seq || d.agreed), "other", d.paths.map((p) => p[0]).join(", ") || d.cause, d.grade, () => [note(d.cause), told(d), go(d)])), left(rest.length - 200)]];
}

"use strict";
// An answer as it came: the deltas of a model call, at the pace at which they were recorded.
const player = { row: null, us: 0, end: 0, speed: 1, isOn: false, paint: () => {} };
// Every delta, with the microseconds since the attempt began; null where they were joined.
function paced(pieces) {
	const found = [];
	let us = 0;
	for (const [block, op, data, gaps, sizes] of pieces) {
		if (gaps === undefined) return null;
		const letters = sizes && D.content && [...data];
		let from = 0;
		[gaps].flat().forEach((gap, n) => {
			us += gap;
			found.push({ us, piece: [block, op, letters ? letters.slice(from, from += sizes[n]).join("") : n ? "" : data] });
		});
	}
	return found;
}
function seek(us) {
	player.us = Math.max(0, Math.min(player.end, us));
	player.paint();
}
function play(isOn = !player.isOn) {
	if (isOn && player.us >= player.end) player.us = 0;
	const began = performance.now(), from = player.us, now = () => from + (performance.now() - began) * 1000 * player.speed;
	const calm = matchMedia("(prefers-reduced-motion:reduce)").matches;
	const run = player.run = () => {
		if (player.run !== run || !player.isOn) return;
		player.isOn = view === "pace" && now() < player.end;
		seek(now());
		// Who wants no motion sees it in steps of a second.
		calm ? setTimeout(run, 1000) : requestAnimationFrame(run);
	};
	player.isOn = isOn;
	seek(player.us);
	if (isOn) run();
}
// Where a server tells deltas joined, it is asked for those of this call, each time that more came.
function piecesOf(row) {
	if (server && row.asked !== row.last) {
		row.asked = row.last;
		server.deltas(row.seq).then((pieces) => { row.pieces = pieces; if (view === "pace") draw(); }, () => {});
	}
	return row.pieces ?? row.deltas.flatMap((i) => items[i].e.pieces || []);
}
function pace() {
	const row = rowAt[asks[askAt(sel)]];
	if (!row) return note(`No model call was made up to record ${items[sel].s}. Press m for the next one.`);
	const head = heading("Answer of " + label(row), asksAround(askAt(sel))), found = paced(piecesOf(row));
	if (!found?.length) return [head, note(found ? "No deltas of this answer are in the log." : "The deltas of this answer are joined here.")];
	const end = found.at(-1).us, first = found[0].us, width = roomy(), wide = width - 16, part = (us) => us / (end || 1);
	if (player.row !== row) Object.assign(player, { row, us: end, isOn: false });
	player.end = end;
	// How many characters came when.
	const bins = new Array(Math.floor(wide / 5)).fill(0), size = (f) => typeof f.piece[2] === "string" ? f.piece[2].length : 1;
	for (const f of found) bins[Math.min(bins.length - 1, Math.floor(bins.length * part(f.us)))] += size(f);
	const most = Math.max(...bins), bars = bins.map((n, at) => n && el("rect.tip", { x: 8 + at * 5, y: 66 - 58 * n / most, width: 4, height: 58 * n / most }));
	const done = el("rect.brk", { x: 8, y: 4, height: 62 }), mark = el("path.now", {}), ticks = [0, 1, 2, 3, 4].map((n) => word(8 + wide * n / 4, 82, n ? secs(end * n / 4) : "0", ["", ".mid", ".mid", ".mid", ".end"][n]));
	const toggle = button(() => play(), ""), told = h("output"), text = h(".answer"), speeds = [0.25, 1, 4], goTo = (us) => { play(false); seek(us); };
	const chips = speeds.map((speed) => chip(speed + "×", false, () => { player.speed = speed; play(player.isOn); }));
	const slider = el("input", { type: "range", min: 0, max: end, step: "any", "aria-label": "time since the call", oninput: (ev) => goTo(Number(ev.target.value)) });
	const reached = () => found.findLastIndex((f) => f.us <= player.us), back = () => goTo(found.findLast((f) => f.us < player.us)?.us ?? 0), on = () => goTo(found.find((f) => f.us > player.us)?.us ?? end);
	let shown = -1;
	player.paint = () => {
		const n = reached() + 1, x = 8 + wide * part(player.us);
		toggle.textContent = player.isOn ? "❚❚ Pause" : "▶ Play";
		chips.forEach((node, at) => { node.ariaPressed = String(speeds[at] === player.speed); });
		told.textContent = `${secs(player.us)} of ${secs(end)} · ${num(n)} of ${num(found.length)} deltas`;
		slider.value = player.us;
		slider.ariaValueText = told.textContent;
		done.setAttribute("width", x - 8);
		mark.setAttribute("d", `M${x} 2V68`);
		if (n !== shown) text.replaceChildren(...blocksOf(found.slice(0, shown = n).map((f) => f.piece)).flatMap((b) => b.op === "call" ? [h(".call", "→ " + b.name), h("pre", b.text)] : h("div.text" + (b.op === "think" ? ".think" : ""), b.text)));
	};
	player.paint();
	const rate = (n) => end > first && n && num(Math.round(n / (end - first) * 1e6)), pause = found.reduce((most, f, n) => Math.max(most, n && f.us - found[n - 1].us), 0);
	return [head, facts({ record: row.seq, "first delta after": secs(first), "all of it after": secs(end), deltas: num(found.length), "longest pause": pause && secs(pause), "characters per second": rate(sum(found, size)), "tokens per second": rate(row.usage?.output), attempts: row.attempt }),
		h(".pair.play", toggle, button(back, "‹ delta"), button(on, "delta ›"), chips, told), slider,
		h(".chart", el("svg", { width, height: 90, "aria-hidden": "true", onclick: (ev) => goTo(end * (ev.offsetX - 8) / wide) }, done, h("g.k-model", bars), mark, ticks)), text];
}

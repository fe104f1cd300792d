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
	const began = performance.now(), from = player.us, calm = matchMedia("(prefers-reduced-motion:reduce)").matches;
	const run = player.run = () => {
		if (player.run !== run || !player.isOn) return;
		player.isOn = view === "pace" && from + (performance.now() - began) * 1000 * player.speed < player.end;
		seek(from + (performance.now() - began) * 1000 * player.speed);
		// Who wants no motion sees it in steps of a second.
		calm ? setTimeout(run, 1000) : requestAnimationFrame(run);
	};
	player.isOn = isOn;
	seek(player.us);
	if (isOn) run();
}
function pace() {
	const k = askAt(sel), row = rowAt[asks[k]];
	if (!row) return note("No model call was made up to record " + items[sel].s + ". Press m for the next one.");
	const head = heading("Answer of " + label(row), asksAround(k)), found = paced(row.deltas.flatMap((i) => items[i].e.pieces || []));
	if (!found?.length) return [head, note(found ? "No deltas of this answer are in the log." : "The deltas of this answer were joined: how fast it came is not told.")];
	const end = found[found.length - 1].us, width = roomy(), X = (us) => 8 + (width - 16) * us / (end || 1);
	if (player.row !== row) Object.assign(player, { row, us: end, isOn: false });
	player.end = end;
	// How many characters came when.
	const bins = new Array(Math.floor((width - 16) / 5)).fill(0), size = (f) => typeof f.piece[2] === "string" ? f.piece[2].length : 1;
	for (const f of found) bins[Math.min(bins.length - 1, Math.floor(bins.length * f.us / (end || 1)))] += size(f);
	const most = Math.max(...bins), done = el("rect.brk", { x: 8, y: 4, height: 56 }), mark = el("line.now", { y1: 2, y2: 62 });
	const bars = bins.map((n, at) => n && el("rect.tip", { x: 8 + at * 5, y: 60 - 52 * n / most, width: 4, height: 52 * n / most }));
	const picture = el("svg", { width, height: 84, "aria-hidden": "true", onclick: (ev) => seek(end * (ev.offsetX - 8) / (width - 16)) }, done, h("g.k-model", bars), mark,
		[0, 1, 2, 3, 4].map((n) => el("text", { x: X(end * n / 4), y: 78, "text-anchor": ["start", "middle", "middle", "middle", "end"][n] }, n ? secs(end * n / 4) : "0")));
	const step = Math.ceil(end / 200) || 1, slider = el("input", { type: "range", min: 0, max: step * 200, step, "aria-label": "time since the call", oninput: (ev) => { play(false); seek(Number(ev.target.value)); } });
	const toggle = button(() => play(), ""), told = h("output"), text = h(".answer");
	const deltaAt = () => found.findLastIndex((f) => f.us <= player.us), move = (by) => () => { play(false); seek(found[deltaAt() + by]?.us ?? 0); };
	let shown = -1;
	player.paint = () => {
		const n = deltaAt() + 1, x = X(player.us);
		toggle.textContent = player.isOn ? "❚❚ Pause" : "▶ Play";
		told.textContent = secs(player.us) + " of " + secs(end) + " · " + num(n) + " of " + num(found.length) + " deltas";
		slider.value = player.us;
		slider.setAttribute("aria-valuetext", told.textContent);
		done.setAttribute("width", x - 8);
		mark.setAttribute("x1", x); mark.setAttribute("x2", x);
		if (n !== shown) text.replaceChildren(...blocksOf(found.slice(0, shown = n).map((f) => f.piece)).flatMap((b) => b.op === "call" ? [h(".call", "→ " + b.name), h("pre", b.text)] : h("div.text" + (b.op === "think" ? ".think" : ""), b.text)));
	};
	player.paint();
	const letters = sum(found, size), first = found[0].us, pause = Math.max(0, ...found.slice(1).map((f, n) => f.us - found[n].us));
	return [head, facts({ record: row.seq, "first delta after": secs(first), "all of it after": secs(end), deltas: num(found.length), "longest pause": secs(pause), "characters per second": end > first && num(Math.round(letters / (end - first) * 1e6)), attempts: row.attempt }),
		h(".pair", toggle, button(move(-1), "‹ delta"), button(move(1), "delta ›"), [0.25, 1, 4].map((speed) => chip(speed + "×", speed === player.speed, () => { player.speed = speed; play(player.isOn); draw(); })), told),
		slider, h(".chart", picture), text];
}

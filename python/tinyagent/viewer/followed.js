"use strict";
// How the page of a log goes on while its server tells more of it.
const PART = "/api" + location.pathname, LOOK_MS = 400, REST_MS = 2000;
served.begin = () => served.asked(PART);
served.deltas = (seq) => served.asked(PART + "?deltas=" + seq);
served.home = () => el("a", { href: "/#token=" + served.token, title: "all sessions" }, "‹ sessions");
// What is seen stays where it is, but who is at the end stays at the end.
function arrived(news, isLast) {
	const box = $("list"), isAtEnd = box.scrollTop + box.clientHeight >= list.tops[shown.length] - 8 && items.length && !goal, had = document.activeElement?.closest?.(".row");
	news.forEach((row) => list.forget(row));
	filter(true);
	if (isAtEnd && D.live) { box.scrollTop = list.tops[shown.length]; list.paint(); }
	if (goal && isLast) pick(find(goal));
	else if (isLast && view !== "transcript" && !$("panel").contains(document.activeElement)) draw();
	if (had && document.activeElement === document.body) focusRow();
	if (!$("chips").contains(document.activeElement)) chips();
	summary();
}
// Takes in what comes behind the first part, for as long as the page is there.
served.follow = async () => {
	let { version, next, more, live } = D;
	for (;;) {
		if (!more) await served.later(document.hidden || !live ? REST_MS : LOOK_MS);
		if (!more && document.hidden) continue;
		try {
			const told = await served.asked(PART + "?from=" + next);
			if (told.version !== version) { location.reload(); return; }
			if (told.items.length || told.live !== live) { Object.assign(D, told); arrived(take(told.items), !told.more); }
			({ next, more, live } = told);
			delete root.dataset.lost;
			root.dataset.whole = more ? "no" : "yes";
		} catch (error) {
			root.dataset.lost = error.message;
			more = false;
		}
	}
};

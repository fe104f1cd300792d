"use strict";
// What a page needs of its server. The token is behind the `#` of the address, and goes back in a
// header: so it is in no request that anybody else could make, and in no log of requests.
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
async function asked(path) {
	const answer = await fetch(path, { headers: { authorization: "Bearer " + token } });
	const told = await answer.json();
	if (!answer.ok) throw new Error(told.error);
	return told;
}
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const LOOK_MS = 400, REST_MS = 2000;
globalThis.served = {
	token,
	asked,
	later,
	begin: () => asked("/api" + location.pathname + "?from=0"),
	// Gives `take` what comes behind the first part, for as long as the page is there.
	async follow({ version, next, more, live }, take) {
		for (;;) {
			if (!more) await later(document.hidden || !live ? REST_MS : LOOK_MS);
			if (!more && document.hidden) continue;
			let told;
			try { told = await asked("/api" + location.pathname + "?from=" + next); } catch (error) {
				document.documentElement.dataset.lost = error.message;
				more = false;
				continue;
			}
			delete document.documentElement.dataset.lost;
			if (told.version !== version) { location.reload(); return; }
			if (told.items.length || told.status !== undefined && told.live !== live) take(told, !told.more);
			({ next, more, live } = told);
			document.documentElement.dataset.whole = more ? "no" : "yes";
		}
	},
};

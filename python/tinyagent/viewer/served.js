"use strict";
// What a page needs of its server. The token is behind the `#` of the address, and goes back in a
// header: so it is in no request that anybody else could make, and in no log of requests.
const served = globalThis.served = {
	token: new URLSearchParams(location.hash.slice(1)).get("token") || "",
	async asked(path) {
		const answer = await fetch(path, { headers: { authorization: "Bearer " + served.token } }), told = await answer.json();
		if (!answer.ok) throw new Error(told.error);
		return told;
	},
	later: (ms) => new Promise((done) => setTimeout(done, ms)),
};

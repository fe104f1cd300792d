"use strict";
// What a page needs of its server. The token is behind the `#` of the address, and goes back in a
// header: so it is in no request that anybody else could make, and in no log of requests.
const served = globalThis.served = {
	token: new URLSearchParams(location.hash.slice(1)).get("token") || "",
	async asked(path, wish) {
		const headers = { authorization: "Bearer " + served.token, ...(wish && { "content-type": "application/json" }) };
		const gone = () => { throw new Error("the server does not answer; is tinyagent serve still running?"); };
		const answer = await fetch(path, { headers, ...(wish && { method: "POST", body: JSON.stringify(wish) }) }).catch(gone), told = await answer.json();
		if (!answer.ok) throw new Error(told.error);
		return told;
	},
	later: (ms) => new Promise((done) => setTimeout(done, ms)),
};
// What `--allow-live` allows: a fork behind the record that is shown, or going on. The server is asked
// twice: it says what would run, and does it when that comes back.
async function offer() {
	const may = await served.asked("/api/may");
	if (!may.length) return;
	const add = (to, tag, more) => to.appendChild(Object.assign(document.createElement(tag), more));
	const box = add(document.body, "details"), said = (add(box, "summary", { textContent: may.join(", ") }), add(box, "textarea", { placeholder: "What the user says instead" }));
	box.id = "acts";
	Object.assign(box.style, { position: "fixed", right: "1em", bottom: "1em", zIndex: 9, padding: ".5em", background: "Canvas", border: "1px solid", maxWidth: "24em" });
	const begin = (what) => async () => {
		const seq = +new URLSearchParams(location.hash.slice(1)).get("seq"), path = "/api" + location.pathname + "/" + what;
		const wish = what === "fork" ? { at: seq || null, prompt: said.value || null } : {};
		try {
			const { asks } = await served.asked(path, wish);
			told.textContent = asks;
			go.hidden = false;
			go.onclick = async () => {
				go.hidden = true;
				try {
					const { where } = await served.asked(path, { ...wish, go: asks });
					location.assign("/log/" + encodeURIComponent(where) + "#token=" + served.token);
					if (what === "resume") location.reload();
				} catch (error) { told.textContent = error.message; }
			};
		} catch (error) { told.textContent = error.message; }
	};
	for (const what of may) add(box, "button", { type: "button", className: "small", textContent: what, onclick: begin(what) });
	const told = add(box, "p"), go = add(box, "button", { type: "button", className: "small", textContent: "Go on", hidden: true });
}
if (location.pathname.startsWith("/log/")) offer().catch(() => {});

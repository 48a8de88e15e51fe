/** The sign-in page: a token becomes a session; one that is there already is used. */

import { byId, setText } from "./dom.js";

const form = byId("form");
const field = /** @type {HTMLInputElement} */ (byId("token"));
const next = form.dataset.next ?? "/";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  setText(byId("problem"), "");
  const response = await fetch("/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: field.value.trim() }),
  });
  if (response.ok) {
    location.replace(next);
    return;
  }
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  setText(byId("problem"), `That did not work: ${problem.detail ?? problem.title}.`);
  field.select();
});

// A link from another site arrives without the cookie, which a request from here carries.
fetch("/v1/session").then((response) => {
  if (response.ok) location.replace(next);
});

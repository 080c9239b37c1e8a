// Loads the page again while somebody looks at it, and replaces what changed. There is at most one request at a time, and
// none while the page is hidden: a tab in the background costs the mirror nothing.
import { Idiomorph } from "./idiomorph/idiomorph.esm.js";

const interval = Number(document.body.dataset.live || 0);
const slowest = 30000; // milliseconds, after failures

let timer, running, failures = 0;

// watch keeps the page current, and calls changed after it has been changed.
export function watch(changed) {
  if (!interval) return;
  const next = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(() => load(changed).then(next), Math.min(interval * 2 ** failures, slowest));
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) running?.abort();
    else load(changed).then(next);
  });
  addEventListener("pagehide", () => { clearTimeout(timer); running?.abort(); });
  addEventListener("pageshow", next);
}

// load loads the page of the current address, and replaces what changed.
export async function load(changed) {
  running?.abort();
  const mine = running = new AbortController();
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" }, cache: "no-store", credentials: "same-origin", signal: mine.signal,
    });
    if (answer.redirected || answer.status === 401 || answer.status === 403) return location.reload(); // the session has ended
    if (!answer.ok) throw new Error(String(answer.status));
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    changed();
    failures = 0;
    document.getElementById("stale").hidden = true;
  } catch (error) {
    if (mine.signal.aborted) return;
    failures = Math.min(failures + 1, 5);
    document.getElementById("stale").hidden = false;
  } finally {
    if (running === mine) running = undefined;
  }
}

// replace takes the content of a newer page. What somebody has typed, chosen, or opened stays.
function replace(page) {
  const keep = new Set(["checked", "open", "value", "selected", "hidden"]);
  for (const part of ["main", ".tools", ".foot"]) {
    const now = document.querySelector(part), then = page.querySelector(part);
    if (!now || !then || part === ".tools" && now.contains(document.activeElement)) continue;
    then.querySelectorAll("[data-notice]").forEach((notice) => notice.remove());
    Idiomorph.morph(now, then, {
      ignoreActiveValue: true, restoreFocus: true,
      callbacks: { beforeNodeMorphed: (node) => !node.sending, beforeAttributeUpdated: (name, node) => !(keep.has(name) && /^(INPUT|SELECT|OPTION|TEXTAREA|DETAILS)$/.test(node.tagName) && node.type !== "hidden") },
    });
  }
}

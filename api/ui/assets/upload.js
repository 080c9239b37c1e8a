// Sends the files of an import in pieces, which can continue after the connection broke, or after the page was closed and the
// same file was chosen again. The import ends without the page.
const piece = 8 << 20; // bytes
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// upload enhances the forms of imports. show is called when the page should show the job of its address.
export function upload(root, show) {
  root.querySelectorAll("form[data-upload]").forEach((form) => {
    if (form.ready) return;
    form.ready = true;
    const input = form.querySelector("input[type=file]");
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => { event.preventDefault(); input.files = event.dataTransfer.files; });
    form.addEventListener("submit", (event) => {
      if (!input.files.length) return;
      event.preventDefault();
      if (form.sending) return;
      form.sending = true;
      sendAll(form, event.submitter, show, [...input.files].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })));
    });
  });
}

async function sendAll(form, button, show, files) {
  const out = form.querySelector("[data-progress]"), bar = form.querySelector("progress");
  const options = new URLSearchParams();
  form.querySelectorAll("input:not([type=file])").forEach((field) => {
    if (field.type !== "checkbox" || field.checked) options.set(field.name, field.value);
  });
  const preview = button?.hasAttribute("formaction"); // the other button imports
  if (preview) options.set("preview", 1);
  form.querySelectorAll("button").forEach((one) => { one.disabled = true; });
  bar.hidden = false;
  let job;
  try {
    for (const file of files) {
      out.textContent = file.name;
      options.set("name", file.name);
      options.set("size", file.size);
      options.set("action", "start");
      job = await begin(options.toString(), file);
      job = await send(job, file, (sent) => { bar.max = file.size; bar.value = sent; });
      while (job.state === "running") { await pause(500); job = await ask(`transfer?action=send&job=${job.id}`, {}); }
      Object.keys(localStorage).filter((key) => localStorage[key] === job.id).forEach((key) => localStorage.removeItem(key));
      if (job.state !== "succeeded") break;
    }
    if (!preview) {
      location.href = `transfer?job=${job.id}`;
      return;
    }
    history.replaceState(null, "", `transfer?job=${job.id}`); // the form keeps its files for the import
    out.textContent = "";
  } catch (error) {
    out.textContent = error.message;
  }
  form.sending = false;
  form.querySelectorAll("button").forEach((one) => { one.disabled = false; });
  bar.hidden = true;
  show();
}

// begin returns the import that this file was sent to when the page was closed, if it still waits for the rest, or starts one.
async function begin(options, file) {
  const key = `import ${file.lastModified} ${options}`, started = localStorage.getItem(key);
  if (started) {
    const job = await ask(`transfer?action=send&job=${started}`, {}).catch(() => undefined); // the mirror forgets old jobs
    if (job?.state === "running") return job;
  }
  const job = await ask("transfer", { body: options, headers: { "Content-Type": "application/x-www-form-urlencoded" } });
  localStorage.setItem(key, job.id);
  return job;
}

// send sends a file from where the job has stopped reading. It goes on for ten minutes without a connection, as the mirror does.
async function send(job, file, show) {
  let since = Date.now();
  while (job.state === "running" && !job.input.complete) {
    const at = job.input.offset, end = Math.min(at + piece, file.size);
    try {
      job = await ask(`transfer?action=send&job=${job.id}&offset=${at}&last=${end === file.size ? 1 : 0}`, { body: file.slice(at, end), headers: { "Content-Type": "application/octet-stream" } });
      since = Date.now();
    } catch (error) {
      if (error.final || Date.now() - since > 600000) throw error;
      await pause(2000);
      job = await ask(`transfer?action=send&job=${job.id}`, {}).catch(() => job);
    }
    show(job.input.offset);
  }
  return job;
}

async function ask(address, options) {
  const answer = await fetch(address, { method: "POST", credentials: "same-origin", ...options });
  if (answer.ok) return answer.json();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const error = new Error(page.querySelector(".failure [lang=en]")?.textContent || String(answer.status));
  error.final = answer.status >= 400 && answer.status < 500 && answer.status !== 409 && answer.status !== 416;
  throw error;
}

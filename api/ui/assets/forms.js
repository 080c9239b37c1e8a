// Selecting many rows of a table, and copying text.

export function enhance(root) {
  root.querySelectorAll("[data-select-all]").forEach(selectAll);
  root.querySelectorAll("[data-copy]").forEach(copyButton);
}

function selectAll(all) {
  const form = all.closest("form"), boxes = () => [...form.querySelectorAll("input[name=ref]")];
  const show = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
    form.querySelectorAll("[data-selected]").forEach((out) => { out.textContent = chosen ? `${out.dataset.selected} ${chosen}` : ""; });
  };
  all.hidden = false;
  show();
  if (all.ready) return;
  all.ready = true;
  all.addEventListener("change", () => { boxes().forEach((box) => { box.checked = all.checked; }); show(); });
  form.addEventListener("change", show);
}

// A page that came over plain http has no clipboard API: there, the text is selected and copied the old way.
function copyButton(button) {
  button.hidden = false;
  if (button.ready) return;
  button.ready = true;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(source.textContent);
    } else {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    const text = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = text; }, 1500);
  });
}

// <button data-dialog="ID"> or <a data-dialog="ID" href="…"> opens a dialog; the browser gives the focus back.
// Without script the link leads to a page that asks the same; a button has none, and is hidden until it can open.
for (const button of document.querySelectorAll<HTMLElement>("button[data-dialog][hidden]")) button.hidden = false;
document.addEventListener("click", (event) => {
  const opener = (event.target as Element).closest<HTMLElement>("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog ?? "");
  if (!(dialog instanceof HTMLDialogElement) || (event as MouseEvent).ctrlKey) return;
  event.preventDefault();
  dialog.showModal();
});
export {};

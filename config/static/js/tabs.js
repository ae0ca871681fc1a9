/** On narrow screens the row of tabs scrolls inside itself: the one that is open is brought into view. */
for (const row of document.querySelectorAll(".tabs")) {
  const open = row.querySelector("[aria-current]");
  if (open) row.scrollLeft = open.offsetLeft - row.offsetLeft - (row.clientWidth - open.offsetWidth) / 2;
}

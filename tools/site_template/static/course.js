// From a folder, without a server, a browser lets no script read the page of a search result to quote from it.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

addEventListener("DOMContentLoaded", () => {
  // What is wider than its column scrolls, and must do so by keyboard, too: then the keyboard has to reach it.
  const watch = new ResizeObserver(entries => entries.forEach(({ target }) => {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }));
  document.querySelectorAll("pre, .cell_output, .table-wrapper").forEach(element => watch.observe(element));
  // The theme calls these headings, and does not say of which level.
  document.querySelectorAll(".caption[role=heading]").forEach(caption => caption.setAttribute("aria-level", "2"));
});

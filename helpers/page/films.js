// Several films, one of which is chosen: choose(host) puts a list of their names above them. See film.py.

function choose(host) {
  const parts = [...host.querySelectorAll(":scope > .choice")];
  const label = document.createElement("label"), list = document.createElement("select");
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  label.style.cssText = "display: block; max-width: 1100px; margin: 0 auto 6px; font: 19px/1.4 system-ui, sans-serif";
  list.style.cssText = "font: inherit; padding: 3px 8px; max-width: 100%";
  for (const part of parts) list.add(new Option(part.querySelector("p").textContent));
  const show = () => parts.forEach((part, k) => { part.hidden = k !== list.selectedIndex; });
  for (const part of parts) part.querySelector("p").hidden = true;
  list.addEventListener("change", show);
  list.addEventListener("keydown", event => event.stopPropagation()); // the slides would turn
  label.append("Show: ", list);
  host.prepend(label);
  host.films = { list };
  show();
}

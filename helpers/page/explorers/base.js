// What every explorer shares: a place that the page's styles do not reach, the page's theme, and its own keys.

const BASE_STYLE = `
  :host { display: block; max-width: 1200px; margin: 0 auto; text-align: left; --paper: #fff; --ink: #17202c;
    --quiet: #4a5565; --line: #7b8694; --faint: #e6eaef; --accent: #0072b2; --second: #b34700; color-scheme: light; }
  :host([data-theme=dark]) { --paper: #15191f; --ink: #e8edf3; --quiet: #b6c0cc; --line: #8590a0; --faint: #2b333d;
    --accent: #56b4e9; --second: #f0a35e; color-scheme: dark; }
  .figure { box-sizing: border-box; background: var(--paper); color: var(--ink); padding: 6px 10px;
    font: 17px/1.35 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums;
    display: flex; flex-wrap: wrap; gap: 10px 28px; align-items: flex-start; }
  .title { font-weight: 600; margin: 0 0 6px; }
  .note { margin: 6px 0 0; color: var(--quiet); font-size: 15px; }
  .problem { flex-basis: 100%; color: var(--second); font-weight: 600; }
  .problem:empty { display: none; }
  input[type=text], select, button, .file { font: inherit; color: inherit; background: var(--paper);
    border: 1px solid var(--line); border-radius: 6px; box-sizing: border-box; padding: 4px 8px; }
  button, .file { cursor: pointer; }
  .file { display: inline-block; position: relative; }
  .file input { position: absolute; inset: 0; opacity: 0; width: 100%; cursor: pointer; }
  :focus-visible, .file:focus-within, label:has(:focus-visible) { outline: 3px solid var(--accent);
    outline-offset: 2px; }
  .unseen { position: absolute; opacity: 0; width: 1px; height: 1px; margin: 0; pointer-events: none; }
`;

/** Empty the element, give it the layout in a shadow tree, and return a function that finds parts of it. */
function prepare(host, style, layout) {
  host.textContent = "";
  // JupyterLab would take letters and arrows typed here as its own shortcuts, and reveal.js a finger's way as a swipe.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  host.setAttribute("data-prevent-swipe", "true");
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${BASE_STYLE}${style}</style>${layout}`;
  // Every theme has its way to say that it is dark; what all of them change is the colour of the text around.
  const follow = () => {
    const [red, green, blue] = getComputedStyle(host.parentElement ?? host).color.match(/[\d.]+/g).map(Number);
    host.dataset.theme = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "dark" : "light";
  };
  follow();
  const watch = new MutationObserver(follow);
  for (const element of [document.documentElement, document.body]) watch.observe(element, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  root.addEventListener("keydown", event => {
    const typed = event.target.matches("input[type=text], select");
    const moved = event.key.startsWith("Arrow") && event.target.matches("input, select, [tabindex]");
    if (typed ? !["Escape", "PageUp", "PageDown"].includes(event.key) : moved) event.stopPropagation(); // the slides would turn
  });
  return selector => root.querySelector(selector);
}

const bytes = base64 => Uint8Array.fromBase64?.(base64) ?? Uint8Array.from(atob(base64), c => c.charCodeAt(0));

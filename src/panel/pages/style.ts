/** The one stylesheet: system fonts, one accent, light and dark. Contrast is tested in a browser. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --line: #d9dde3; --edge: #7a8594;
  --text: #1b2027; --quiet: #545e6b; --accent: #0a5ba8; --on-accent: #ffffff;
  --alarm: #a3231a; --alarm-ground: #fdf1ef;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --raised: #1c2126; --line: #323a43; --edge: #8793a1;
    --text: #e4e8ed; --quiet: #a3aebb; --accent: #7db8f2; --on-accent: #0d1a27;
    --alarm: #ff9d92; --alarm-ground: #2d1a18;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { font: 15px/1.5 var(--sans); background: var(--ground); color: var(--text);
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
.top + main { padding-top: 1.2rem; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: .75rem; top: .6rem; z-index: 1; padding: .4rem .8rem; background: var(--ground);
  border-radius: 4px; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.top { border-bottom: 1px solid var(--line); background: var(--raised); }
.bar, main, .trail, .foot { width: 100%; max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.5rem; min-height: 3.2rem; }
.mark { font-weight: 650; letter-spacing: -.01em; color: var(--text); text-decoration: none; padding: .4rem 0; }
.mark b { color: var(--accent); font-weight: inherit; }
.bar ul, .tabs ul, .trail ol { display: flex; flex-wrap: wrap; list-style: none; margin: 0; padding: 0; gap: 0 1.25rem; }
.bar li a, .tabs a { display: block; padding: .45rem 0; color: var(--quiet); text-decoration: none; }
.bar li a:hover, .tabs a:hover { color: var(--text); }
[aria-current] { color: var(--text) !important; font-weight: 600; }
.who { margin-left: auto; display: flex; align-items: center; gap: .75rem; color: var(--quiet); font-size: .93rem; }
.trail { padding-top: 1.1rem; font-size: .93rem; }
.trail ol { gap: 0; }
.trail li + li::before { content: "/"; color: var(--quiet); padding: 0 .5rem; }
.trail span { color: var(--quiet); }
main { flex: 1; padding-top: .6rem; padding-bottom: 3rem; }
.foot { padding-top: .9rem; padding-bottom: 1.25rem; color: var(--quiet); font-size: .87rem; }
h1 { font-size: 1.6rem; line-height: 1.25; letter-spacing: -.015em; margin: .3rem 0 1rem; font-weight: 650; }
h1 .tag { font-size: .93rem; letter-spacing: 0; vertical-align: .25em; margin-left: .35rem; }
h2 { font-size: 1.1rem; margin: 2.1rem 0 .6rem; font-weight: 650; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; font-weight: 600; }
p { margin: .5rem 0; max-width: 68ch; }
.quiet { color: var(--quiet); }
.tabs { border-bottom: 1px solid var(--line); margin-bottom: 1.4rem; }
.tabs [aria-current] { box-shadow: inset 0 -2px var(--accent); }
.filter { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem; margin: .4rem 0 .7rem; font-size: .93rem; }
.filter ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; margin: 0; padding: 0; }
.filter [aria-current] { text-decoration: none; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; }
th, td { text-align: left; vertical-align: top; padding: .5rem 1.25rem .5rem 0; border-bottom: 1px solid var(--line); font-weight: inherit; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--quiet); font-size: .87rem; padding-top: .2rem; padding-bottom: .35rem; white-space: nowrap; border-color: var(--edge); }
tbody tr:hover { background: var(--raised); }
.n { text-align: right; white-space: nowrap; }
.w { white-space: nowrap; }
td ul, dd ul { margin: 0; padding: 0; list-style: none; }
tbody th:not(.w), td:not(.n):not(.w) { min-width: 8.5rem; }
code, .code { font: .87em/1.5 var(--mono); }
td code { overflow-wrap: anywhere; }
dl.facts { display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr); gap: .3rem 1.75rem; margin: 0; }
dl.facts dt { color: var(--quiet); }
dl.facts dd { margin: 0; }
.tag { display: inline-flex; align-items: center; gap: .4rem; white-space: nowrap; font-weight: 500; }
.tag::before { content: ""; width: .55rem; height: .55rem; border-radius: 50%; border: 2px solid var(--edge); }
.tag.on::before { background: var(--accent); border-color: var(--accent); }
.tag.off { color: var(--alarm); }
.tag.off::before { border-color: var(--alarm); border-radius: 1px; background: var(--alarm); }
.note { border-left: 3px solid var(--accent); background: var(--raised); padding: .65rem 1rem; margin: 0 0 1.2rem; border-radius: 0 4px 4px 0; }
.note p { margin: .15rem 0; }
.note.alarm { border-color: var(--alarm); background: var(--alarm-ground); }
.lack { color: var(--alarm); }
.empty { border: 1px dashed var(--edge); border-radius: 6px; padding: 1rem 1.25rem; margin: .6rem 0; }
.empty > :first-child { margin-top: 0; }
pre { position: relative; margin: .6rem 0; padding: .7rem .9rem; background: var(--raised); border: 1px solid var(--line);
  border-radius: 5px; white-space: pre-wrap; overflow-wrap: anywhere; font: .87rem/1.55 var(--mono); }
.command { display: grid; }
.copy { justify-self: end; margin: -.25rem 0 .4rem; font-size: .87rem; padding: .1rem .6rem; }
details { margin: .2rem 0; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.1rem 0 0; }
.button, button { display: inline-block; font: inherit; font-weight: 500; padding: .38rem .95rem; border-radius: 5px; border: 1px solid var(--edge);
  background: var(--ground); color: var(--text); text-decoration: none; cursor: pointer; }
.button:hover, button:hover { border-color: var(--text); }
button.go { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.go:hover { border-color: var(--text); }
button.stop { background: var(--alarm); border-color: var(--alarm); color: var(--on-accent); }
.danger { color: var(--alarm); border-color: var(--alarm); }
.who button { padding: .15rem .7rem; }
form.sheet { max-width: 34rem; }
.field { margin: 1.1rem 0; }
.field label { display: block; font-weight: 600; }
.field .hint { margin: 0 0 .3rem; color: var(--quiet); font-size: .93rem; }
.field .wrong { margin: 0 0 .3rem; color: var(--alarm); }
input { font: inherit; width: 100%; padding: .42rem .6rem; border-radius: 5px; border: 1px solid var(--edge);
  background: var(--ground); color: var(--text); }
input[type=date] { width: auto; }
input[aria-invalid] { border-color: var(--alarm); }
.sign-in { max-width: 27rem; margin: 8vh auto 0; }
.sign-in details { margin-top: 1.6rem; }
.plot { margin: .6rem 0 1.2rem; }
.plot svg { display: block; width: 100%; max-width: 54rem; height: auto; }
.plot .narrow { display: none; }
.plot text { font: 12px var(--sans); fill: var(--quiet); }
.plot .grid { stroke: var(--line); }
.plot .base { stroke: var(--edge); }
.plot .trace { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.plot .dot { fill: var(--accent); stroke: var(--ground); stroke-width: 1.5; }
.plot .dot.recalled { fill: var(--ground); stroke: var(--alarm); stroke-width: 2; }
@media (max-width: 46rem) {
  .bar, main, .trail, .foot { padding-left: 1rem; padding-right: 1rem; }
  .bar { padding-top: .3rem; padding-bottom: .3rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td, th, caption { display: block; }
  tbody tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  tbody tr:hover { background: none; }
  tbody th:not(.w), td:not(.n):not(.w) { min-width: 0; }
  tbody th, tbody td { display: grid; grid-template-columns: 6rem minmax(0, 1fr); gap: .75rem; padding: .14rem 0; border: 0; }
  tbody th { font-size: 1.05rem; }
  tbody td::before, tbody th::before { content: attr(data-label); color: var(--quiet); font-size: .87rem; font-weight: 400; }
  .blank { display: none !important; }
  .plot .wide { display: none; }
  .plot .narrow { display: block; max-width: 34rem; }
  .n, .w { text-align: left; white-space: normal; }
  .n.n, .w.w { text-align: left; }
  dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dl.facts dd { margin-bottom: .55rem; }
  .who { margin-left: 0; width: 100%; justify-content: space-between; }
}
@media (forced-colors: active) { .tag::before { forced-color-adjust: none; } }
@media print { .top, .trail, .actions, .copy { display: none; } }
`

"""The style sheet of the console. Below 50 rem of width, a table's rows become cards: every cell is a line with the name of its column."""

CSS = """
:root { --ink: #1d2733; --soft: #566273; --line: #d9dde3; --paper: #f5f6f8; --accent: #1f5fa8; --bad: #a61b1b; --good: #1b6e3a; --warn: #7a4f00; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
.nicegui-content { padding: 0; gap: 0; align-items: stretch; width: 100%; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: 1rem; background: #fff; padding: .5rem; z-index: 10; }
.q-header.top { display: flex; flex-wrap: wrap; gap: .4rem 1.25rem; align-items: center; padding: .6rem 1.5rem; background: #fff; color: var(--ink); border-bottom: 1px solid var(--line); }
.top a.home { font-weight: 700; color: var(--ink); text-decoration: none; } .top .who { margin-left: auto; color: var(--soft); }
.top nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; } .top nav a { text-decoration: none; padding: .15rem 0; } .top nav a:hover { text-decoration: underline; }
.top nav a[aria-current] { color: var(--ink); font-weight: 600; border-bottom: 2px solid var(--accent); }
.top form { margin: 0; } .top form button { font: inherit; color: var(--ink); background: none; border: 1px solid #8a94a3; border-radius: 4px; padding: .2rem .7rem; cursor: pointer; }
.page { max-width: 84rem; width: 100%; margin: 0 auto; padding: 1.25rem 1.5rem 4rem; box-sizing: border-box; }
h1 { font-size: 1.4rem; line-height: 1.3; font-weight: 700; margin: 0 0 .25rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; line-height: 1.3; font-weight: 700; margin: 1.6rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: .95rem; line-height: 1.3; font-weight: 700; margin: 1rem 0 .3rem; }
p { margin: 0 0 .75rem; overflow-wrap: anywhere; } .soft { color: var(--soft); } .bar { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; margin: .75rem 0; }
table.plain { width: 100%; border-collapse: collapse; background: #fff; border: 1px solid var(--line); }
table.plain th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--soft); background: #fafbfc; }
table.plain th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; white-space: nowrap; } table.plain th[aria-sort] button { color: var(--ink); }
table.plain th, table.plain td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
table.plain td { overflow-wrap: break-word; } table.plain td.mono { min-width: 7rem; } table.plain td.number { white-space: nowrap; }
table.plain .number { text-align: right; font-variant-numeric: tabular-nums; } table.plain .mono, .mono { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
.state { white-space: nowrap; } .state.FAILED, .late { color: var(--bad); } .state.SUCCEEDED { color: var(--good); } .state.RUNNING { color: var(--accent); font-weight: 600; } .state.PAUSED { color: var(--warn); }
.error { color: var(--bad); background: #fdf3f3; border: 1px solid #e9c4c4; border-radius: 4px; padding: .6rem .8rem; overflow-wrap: anywhere; } .error p:last-child { margin: 0; }
.warning { color: var(--warn); background: #fff8e6; border: 1px solid #e6cf9a; border-radius: 4px; padding: .6rem .8rem; margin: .5rem 0 .75rem; overflow-wrap: anywhere; }
.empty { background: #fff; border: 1px dashed #aab2bd; border-radius: 4px; padding: 1.5rem; } .empty p:last-child { margin: 0; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .5rem 0; } .facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); } button:focus-visible, a:focus-visible, input:focus-visible, [tabindex]:focus-visible { outline: 3px solid #b36b00; outline-offset: 2px; } #content:focus { outline: none; }
.q-btn { text-transform: none; font-weight: 500; } .drawer { width: 34rem; max-width: 95vw; height: 100%; padding: 1.25rem 1.5rem; overflow-y: auto; flex-wrap: nowrap; }
.drawer .q-field__bottom { position: static; transform: none; } .drawer .q-field--with-bottom { padding-bottom: 0; } .drawer p.help { margin: -.4rem 0 .4rem; font-size: .8rem; line-height: 1.3; } .drawer .group .q-expansion-item__content { padding: .3rem 0 .6rem; display: grid; gap: .5rem; } .drawer .group .q-item { padding: 0; font-weight: 600; }
.drawer .q-field, .drawer .q-select { width: 100%; } .q-dialog__inner--right { padding: 0 !important; } .q-dialog__inner--right > .drawer { max-height: 100vh !important; border-radius: 0; }
.drawer .q-field__bottom { padding-top: 2px; } .q-field__messages { color: var(--soft); line-height: 1.3; } .q-field__label { color: var(--soft); }
.q-card h2 { margin: 0; } .q-card.wide { width: 66rem; max-width: 95vw; padding: 1.25rem 1.5rem; } .q-notification .q-btn { color: #fff !important; text-decoration: underline; }
td.actions .q-btn { margin: 0 0 0 .35rem; } td.actions { white-space: nowrap; text-align: right; } table.narrow { width: auto; min-width: 18rem; }
pre.log { background: #fff; border: 1px solid var(--line); border-radius: 4px; padding: .7rem .9rem; margin: 0; max-height: 36rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: .8rem/1.45 ui-monospace, monospace; }
.secret { font: 1rem ui-monospace, monospace; background: #fff8e6; border: 1px solid #e6cf9a; padding: .5rem .7rem; overflow-wrap: anywhere; user-select: all; }
@media (max-width: 50rem) {
  .q-header.top { padding: .6rem 1rem; } .page { padding: 1rem 1rem 4rem; } .top .who { margin-left: 0; } .top form { margin-left: auto; } .top nav { order: 3; width: 100%; gap: .2rem .75rem; }
  table.plain, table.plain tbody, table.plain tr, table.plain td { display: block; width: 100%; box-sizing: border-box; } table.narrow { min-width: 0; }
  table.plain { border: 0; background: none; } table.plain tr { background: #fff; border: 1px solid var(--line); border-radius: 4px; margin: 0 0 .6rem; padding: .3rem 0; }
  table.plain thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table.plain td, table.plain td.number { display: grid; grid-template-columns: 8rem minmax(0, 1fr); gap: .6rem; overflow-wrap: anywhere; text-align: left; border: 0; padding: .15rem .8rem; min-width: 0; }
  table.plain td::before { content: attr(data-column); color: var(--soft); font: 600 .85rem/1.7 system-ui, sans-serif; }
  table.plain td.actions { display: flex; flex-wrap: wrap; gap: .4rem; white-space: normal; padding-top: .4rem; } td.actions::before { display: none; } td.actions .q-btn { margin: 0; min-height: 2.2rem; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin: 0 0 .4rem; } .q-card.wide { padding: 1rem; } .q-dialog__inner { padding: .5rem; }
}
"""

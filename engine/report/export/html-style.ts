/** The style of the page: light and dark by the reader's system, fit for a narrow screen and for paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c2024; --soft: #646c75; --line: #e1e4e8; --tint: #f6f7f9; --link: #0b5cad;
  --ok: #2f9e5b; --changed: #c98a00; --failed: #d0342c; --doubt: #8e44ad; --idle: #9aa2ab; --away: #d0342c;
  --primary: #0b6fd3; --standby: #a9b4bf;
  --add: #e6f4ea; --add-ink: #14692f; --del: #fdeaea; --del-ink: #a3211b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e4e7ea; --soft: #98a1ab; --line: #2c3238; --tint: #1b1f23; --link: #6cb2ff;
    --ok: #3fb970; --changed: #dba32a; --failed: #f0615a; --doubt: #bd7fd8; --idle: #6d757e; --away: #f0615a;
    --primary: #4a9df0; --standby: #5d6873;
    --add: #15301e; --add-ink: #86d9a2; --del: #3a1a19; --del-ink: #f3a39f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 2px 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 15px; margin: 22px 0 8px; }
h3 small, .title small { font-weight: 400; color: var(--soft); font-size: 13px; margin-left: 6px; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace; font-size: 12.5px; }
pre { margin: 6px 0 2px; padding: 8px 10px; background: var(--tint); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.kind { margin: 0; color: var(--soft); font-size: 13px; letter-spacing: .02em; }
.badges { margin: 0 0 10px; display: flex; gap: 8px; flex-wrap: wrap; }
.why { margin: 0 0 10px; max-width: 80ch; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 10px 24px; margin: 16px 0 0; padding: 14px 16px; background: var(--tint); border: 1px solid var(--line); border-radius: 10px; }
dt { color: var(--soft); font-size: 12.5px; }
dd { margin: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; padding: 0 8px; border-radius: 999px; border: 1px solid currentColor; font-size: 12.5px; line-height: 1.6; font-weight: 600; white-space: nowrap; color: var(--idle); }
.badge.ok { color: var(--ok); } .badge.changed, .badge.forgiven { color: var(--changed); }
.badge.failed, .badge.unreachable { color: var(--failed); } .badge.in_doubt, .badge.open { color: var(--doubt); }
.badges .badge { font-size: 14px; padding: 1px 12px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0 0; }
.tile { padding: 8px 14px; border: 1px solid var(--line); border-left: 4px solid var(--idle); border-radius: 8px; color: var(--soft); font-size: 13.5px; }
.tile b { font-size: 19px; color: var(--ink); margin-right: 4px; font-variant-numeric: tabular-nums; }
.tile.ok { border-left-color: var(--ok); } .tile.changed { border-left-color: var(--changed); }
.tile.failed, .tile.unreachable { border-left-color: var(--failed); } .tile.in_doubt { border-left-color: var(--doubt); }
#attention { margin-top: 20px; padding: 2px 18px 10px; border: 1px solid var(--line); border-left: 4px solid var(--failed); border-radius: 8px; }
#attention h2 { margin: 12px 0 6px; font-size: 16px; }
#attention ul { margin: 0; padding: 0; list-style: none; }
#attention li { margin: 8px 0; overflow-wrap: anywhere; }
.lanes { display: grid; grid-template-columns: minmax(60px, max-content) minmax(0, 1fr); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px 8px 12px; }
.names { padding-top: 20px; padding-right: 12px; max-width: 180px; min-width: 0; }
.name { height: 22px; line-height: 20px; font-size: 12.5px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
svg.time { display: block; overflow: hidden; }
svg text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.end { text-anchor: end; }
.stripe { fill: var(--tint); }
.tick { stroke: var(--line); stroke-width: 1; }
.bar { rx: 2px; }
rect.ok { fill: var(--ok); } rect.changed { fill: var(--changed); } rect.forgiven { fill: var(--paper); stroke: var(--changed); stroke-width: 1.5; }
rect.failed, rect.unreachable { fill: var(--failed); } rect.in_doubt { fill: var(--doubt); }
rect.open { fill: var(--paper); stroke: var(--doubt); stroke-width: 1.5; stroke-dasharray: 3 2; }
rect.skipped, rect.not_run { fill: var(--idle); }
.hatch-red { fill: var(--away); }
rect.wait { fill: var(--changed); fill-opacity: .35; } rect.away { fill: url(#hatch-red); fill-opacity: .55; }
rect.gap { fill: var(--ink); fill-opacity: .1; }
rect.role-primary { fill: var(--primary); } rect.role-standby { fill: var(--standby); } rect.role-free, rect.role-unknown { fill: var(--idle); fill-opacity: .5; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 0; font-size: 12.5px; color: var(--soft); }
.legend svg { margin-right: 6px; vertical-align: -1px; }
.filter { margin: 0 0 4px; }
.filter input { position: absolute; opacity: 0; }
.filter label { display: inline-block; padding: 2px 12px; margin-right: 6px; border: 1px solid var(--line); border-radius: 999px; font-size: 13px; cursor: pointer; color: var(--soft); }
.filter input:checked + label { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.filter input:focus-visible + label { outline: 2px solid var(--link); outline-offset: 2px; }
main:has(#show-changes:checked) .step:not(.has-changes), main:has(#show-trouble:checked) .step:not(.has-trouble) { display: none; }
.step { border: 1px solid var(--line); border-bottom-width: 0; }
.step:last-of-type, .step:has(+ h3) { border-bottom-width: 1px; }
.step.idle summary { color: var(--soft); }
summary { display: grid; grid-template-columns: 38px minmax(0, 1fr) auto 116px; gap: 10px; align-items: center; padding: 6px 14px 6px 8px; cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover { background: var(--tint); }
.count { color: var(--soft); font-size: 12.5px; text-align: right; font-variant-numeric: tabular-nums; }
.title { overflow-wrap: anywhere; }
.tally { display: flex; gap: 6px; flex-wrap: wrap; justify-content: flex-end; }
.number { text-align: right; white-space: nowrap; color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.inside { padding: 0 14px 12px 56px; }
.id { margin: 0 0 6px; color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; }
th, td { padding: 4px 14px 4px 0; vertical-align: top; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead th, .inside tr:first-child td { border-top: 0; }
.inside td:nth-child(2) { max-width: 260px; } .inside td:nth-child(1) { width: 104px; } .inside td:nth-child(3) { width: 120px; } .inside td:last-child { width: 60%; }
th.number, td.number { text-align: left; }
.changes, .waits { margin: 2px 0; padding-left: 16px; }
.waits { color: var(--soft); font-size: 12.5px; }
time { font-variant-numeric: tabular-nums; }
.diff span { display: block; white-space: pre-wrap; min-height: 1.5em; }
.diff .add { background: var(--add); color: var(--add-ink); } .diff .del { background: var(--del); color: var(--del-ink); } .diff .at { color: var(--soft); }
.wide { overflow-x: auto; }
@media (max-width: 720px) {
  main { padding: 16px 12px 48px; }
  summary { grid-template-columns: 26px minmax(0, 1fr); }
  summary .tally, summary .number { grid-column: 2; justify-content: flex-start; text-align: left; }
  .inside { padding: 0 10px 10px; }
  .inside table, .inside tbody, .inside tr, .inside td { display: block; width: auto; max-width: none; }
  .inside td { border: 0; padding: 1px 0; } .inside td:last-child, .inside td:nth-child(1), .inside td:nth-child(3) { width: auto; } .inside td:nth-child(2) { max-width: none; } .inside tr { border-top: 1px solid var(--line); padding: 6px 0; }
  .names { max-width: 84px; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #555; --line: #ccc; --tint: #f6f7f9; --link: #000; color-scheme: light; --ok: #2f9e5b; --changed: #c98a00; --failed: #d0342c; --doubt: #8e44ad; --idle: #9aa2ab; --add: #e6f4ea; --add-ink: #14692f; --del: #fdeaea; --del-ink: #a3211b; }
  body { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  .filter { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  tr, summary, .lanes { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
}
`;

"""The look of the page: light, dark and printed. The palette is Okabe and Ito's, told apart by the colour-blind."""

from typing import Final

CSS: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#566273;--paper:#f6f7f9;--card:#fff;--rule:#dde2e9;--accent:#0072b2;
--k1:#0072b2;--k2:#e69f00;--k3:#009e73;--k4:#d55e00;--k5:#cc79a7;--k6:#56b4e9;--whisker:#1c2430}
@media (prefers-color-scheme:dark){:root{--ink:#e7ecf3;--soft:#a3afbf;--paper:#12161c;--card:#1b212a;--rule:#323b48;
--accent:#56b4e9;--k1:#4aa3dc;--k2:#e6a919;--k3:#1fb58c;--k4:#e8762c;--k5:#d98fb5;--k6:#7cc6f0;--whisker:#f3f6fa}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:44px}
h1{font-size:clamp(1.7rem,4vw,2.4rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 .3em}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:0 0 .5em}
h3{font-size:1rem;margin:0 0 .4em}
p{margin:0 0 .8em;max-width:70ch}
.soft,footer,caption{color:var(--soft)}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:24px;margin:20px 0}
nav{margin:14px 0 0;display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.92rem}
a{color:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:14px;margin:4px 0 18px}
.tile{border-left:4px solid var(--accent);padding:2px 0 2px 14px}
.tile b{display:block;font-size:1.55rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{display:block;font-size:.88rem;color:var(--soft)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:24px 32px}
figure{margin:0;min-width:0}
figcaption{font-weight:600;margin-bottom:6px}
.chart{display:block;width:100%;max-width:520px;height:auto}
.chart text{font-size:15px;fill:var(--soft);font-variant-numeric:tabular-nums}
.chart .name,.chart .value{fill:var(--ink)}
.grid line.grid,.chart line.grid{stroke:var(--rule)}
.chart .axis{stroke:var(--soft)}
.chart .line{fill:none;stroke:var(--k1);stroke-width:2.5;stroke-linejoin:round}
.chart .dot{fill:var(--card);stroke:var(--k1);stroke-width:2.5}
.chart .whisker{stroke:var(--whisker);stroke-width:1.4;opacity:.75}
.k1{fill:var(--k1)}.k2{fill:var(--k2)}.k3{fill:var(--k3)}.k4{fill:var(--k4)}.k5{fill:var(--k5)}.k6{fill:var(--k6)}
.scroll{overflow-x:auto;max-width:100%;margin:.6em 0}
table{border-collapse:collapse;font-size:.9rem;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:0 0 6px;font-size:.88rem}
th,td{padding:6px 10px;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top;overflow-wrap:normal}
th{font-weight:600}
td.n{white-space:nowrap}.n{text-align:right}.t{min-width:9em}
details{margin:.7em 0 0;font-size:.95rem}
summary{cursor:pointer;color:var(--accent)}
.label{display:inline-block;border:1px solid var(--rule);border-radius:99px;padding:0 9px;
font-size:.82rem;white-space:nowrap}
.gaps{border-left:4px solid var(--k4)}
.dag{max-width:100%;height:auto;display:block;background:var(--card)}
.none{color:var(--soft);font-style:italic}
footer{padding-bottom:48px;font-size:.88rem}
@media (max-width:520px){header,main,footer{padding-left:12px;padding-right:12px}section{padding:18px 14px}
th,td{padding:6px 6px}.t{min-width:7em}}
@media print{@page{margin:16mm}:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--card:#fff;--rule:#bbb;
--accent:#0072b2;--k1:#0072b2;--k2:#e69f00;--k3:#009e73;--k4:#d55e00;--k5:#cc79a7;--k6:#56b4e9;--whisker:#000}
body{font-size:10.5pt}nav{display:none}section{border:0;padding:0;margin:0 0 18pt}h2,figcaption{break-after:avoid}
figure,.tile,tr{break-inside:avoid}.scroll{overflow:visible}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto}}
"""

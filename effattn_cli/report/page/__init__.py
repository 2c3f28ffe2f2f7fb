"""One page of HTML that shows profiles to somebody who does not have effattn.

The charts are own SVG, made here and not in the browser. Chart libraries were looked at: plotly.js
is 1.2 to 4.8 MB inlined, echarts 0.5 to 1.1 MB, vega 0.8 MB, bokeh 1.3 MB, and uPlot, of 55 kB,
draws on a canvas, which holds no text. What is needed of one is a logarithmic scale, its ticks, and
labels that do not overlap: the module `scales`. A chart as SVG is readable without JavaScript,
prints, can be searched, and is tested without a browser.
"""

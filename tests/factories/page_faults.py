"""Scripts that say what is wrong with a page as a browser lays it out: each returns a list, empty where all is well."""

CUT_OFF = """
return [...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest('.scroll, .view');
}).map(e => e.tagName + '.' + (e.className.baseVal ?? e.className))"""

# Text of an SVG is as large as the SVG is scaled.
TOO_SMALL = """
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim(), e = walker.currentNode.parentElement;
  if (!text || !e.getClientRects().length || e.closest('script, style, title')) continue;
  const svg = e.ownerSVGElement, wide = svg && svg.viewBox.baseVal.width;
  const size = parseFloat(getComputedStyle(e).fontSize) * (wide ? svg.getBoundingClientRect().width / wide : 1);
  if (size < 11) found.push(size.toFixed(1) + ' ' + text);
}
return found"""

# WCAG 2.1, 1.4.3: contrast of text with the ground it stands on; a drawn node is the ground of its names.
TOO_FAINT = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function rgba(color) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
}
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
function ground(e) {
  if (!e) return rgba(getComputedStyle(document.body).backgroundColor);
  const rect = e.classList.contains('node') ? e.querySelector(':scope > rect') : null;
  const own = rgba(rect ? getComputedStyle(rect).fill : getComputedStyle(e).backgroundColor);
  return own[3] === 1 ? own : over(own, ground(e.parentElement));
}
function light(color) {
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const [r, g, b] = color.slice(0, 3).map(v => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim(), e = walker.currentNode.parentElement, style = getComputedStyle(e);
  if (!text || !e.getClientRects().length || e.closest('script, style, title')) continue;
  const inSvg = e.namespaceURI.endsWith('svg');
  if (inSvg && style.fill === 'rgb(255, 255, 255)') continue;  // white in a cell that is filled for it
  const below = ground(inSvg ? e.closest('.node') ?? e.ownerSVGElement : e);
  const [a, b] = [light(over(rgba(inSvg ? style.fill : style.color), below)), light(below)].sort((a, b) => b - a);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) found.push(contrast.toFixed(2) + ' ' + text.slice(0, 40));
}
return [...new Set(found)]"""

# Axes of matplotlib: one with numbers or names at its ticks has a label of its own.
UNLABELLED = """
return [...document.querySelectorAll('svg g[id^="matplotlib.axis_"]')].filter(axis =>
  axis.querySelector('g[id*="tick_"] text') && !axis.querySelector(':scope > g[id^="text_"]')
).map(axis => axis.closest('svg').querySelector('title').textContent + ' ' + axis.id)"""

// What stands beside the points: facts, warnings, how far points moved and where.

function element(kind, options = {}, ...children) {
  const made = Object.assign(document.createElement(kind), options);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function panel(facts, goTo) {
  const parts = [element('h1', {textContent: told.title}), element('p', {className: 'headline', textContent: facts.headline || ''})];
  const stages = facts.stages || [];
  const warnings = [...(facts.warnings || []), ...stages.flatMap((stage) => stage.warnings.map((text) => `${stage.name}: ${text}`))];
  if (warnings.length) {
    parts.push(element('div', {className: 'warnings'}, element('h2', {textContent: 'Warnings'}),
      element('ul', {}, ...warnings.map((text) => element('li', {textContent: text})))));
  }
  if (facts.moved) parts.push(histogram(facts.moved));
  if (facts.map) parts.push(map(facts.map, goTo));
  stages.forEach((stage) => stage.lines.length && parts.push(stageTable(stage)));
  if (facts.spec) {
    parts.push(element('details', {}, element('summary', {textContent: 'Pipeline as run'}), element('pre', {textContent: facts.spec})));
  }
  return element('aside', {id: 'panel'}, ...parts);
}

function stageTable(stage) {
  const rows = stage.lines.map(([name, value]) => element('tr', {},
    element('th', {textContent: name, scope: 'row'}), element('td', {textContent: value})));
  return element('section', {}, element('h2', {textContent: stage.name}), element('table', {}, ...rows));
}

function histogram(moved) {
  const most = Math.max(...moved.counts, 1);
  const bars = moved.counts.map((count, i) => {
    const bar = element('i', {title: `${short(count)} points from ${length((moved.most * i) / moved.counts.length)}`});
    bar.style.height = `${(100 * count) / most}%`;
    return bar;
  });
  const further = moved.further ? `; ${short(moved.further)} further` : '';
  return element('section', {id: 'moved'}, element('h2', {textContent: 'How far points moved'}),
    element('p', {textContent: moved.words}), element('div', {className: 'bars'}, ...bars),
    element('div', {className: 'ends'}, element('span', {textContent: '0'}), element('span', {textContent: length(moved.most) + further})),
    moved.still ? element('p', {className: 'note', textContent: `${short(moved.still)} points did not move.`}) : null);
}

// Pixels of a map's height, at most.
const HIGHEST = 300;

// In plan; a click goes there.
function map(found, goTo) {
  const canvas = element('canvas', {width: found.columns, height: found.rows, className: 'map', title: 'click: go there'});
  canvas.style.width = `min(100%, ${Math.round((HIGHEST * found.columns) / found.rows)}px)`;
  const context = canvas.getContext('2d');
  const image = context.createImageData(found.columns, found.rows);
  const values = found.means.filter((value) => value !== null).sort((a, b) => a - b);
  const most = values.length ? values[Math.round(0.98 * (values.length - 1))] || values[values.length - 1] : 0;
  found.means.forEach((value, i) => {
    if (value === null) return;
    const row = found.rows - 1 - Math.floor(i / found.columns);
    image.data.set([...ramp(HEAT, most ? value / most : 0), 255], 4 * (row * found.columns + (i % found.columns)));
  });
  context.putImageData(image, 0, 0);
  canvas.addEventListener('click', (event) => {
    const share = [event.offsetX / canvas.clientWidth, 1 - event.offsetY / canvas.clientHeight];
    goTo([found.low[0] + share[0] * found.columns * found.side, found.low[1] + share[1] * found.rows * found.side]);
  });
  return element('section', {id: 'map'}, element('h2', {textContent: 'Where they moved'}), canvas, gradient(HEAT, '0', length(most)));
}

function gradient(stops, low, high) {
  const bar = element('div', {className: 'ramp'});
  bar.style.background = `linear-gradient(90deg, ${stops.join(',')})`;
  return element('div', {}, bar, element('div', {className: 'ends'}, element('span', {textContent: low}), element('span', {textContent: high})));
}

function legend(box, name, found) {
  const title = element('b', {textContent: name});
  if (found.stops) {
    box.replaceChildren(title, gradient(found.stops, `${found.below ? '≤ ' : ''}${found.low}`, `${found.above ? '≥ ' : ''}${found.high}`));
    return;
  }
  const rows = found.entries.map(([text, colour]) => {
    const spot = element('i', {className: 'spot'});
    if (colour) spot.style.background = colour;
    return element('div', {}, colour ? spot : null, text);
  });
  box.replaceChildren(title, ...rows);
}

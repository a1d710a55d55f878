// Puts it together: the view, its controls, and what a key or a click does.

const KEYS = 'f: all · u: what is up · t: from above · e: shading · + −: size of points · 3: section';
const BOTH = 'space: before or after · 2: wiper · ';

function control(kind, id, text, options = {}) {
  const made = element(kind, {id, ...options});
  return kind === 'button' ? Object.assign(made, {textContent: text}) : element('label', {}, `${text} `, made);
}

function range(id, text, low, high, value) {
  return control('input', id, text, {type: 'range', min: low, max: high, step: 'any', value});
}

async function view(stage, facts) {
  const cloud = await unpack(told.scene);
  const canvas = stage.appendChild(element('canvas', {id: 'view', tabIndex: 0}));
  canvas.setAttribute('aria-label', `${short(cloud.n)} points in three dimensions`);
  const camera = new Camera(cloud.size, cloud.up);
  const drawing = new Drawing(canvas, cloud);
  const look = {camera, share: 1, wiper: null, size: cloud.n > 150000 ? 2 : 3, lighting: 1.2, slab: null, ground: [255, 255, 255]};
  const bar = stage.appendChild(element('div', {className: 'scale'}, element('i'), element('span')));
  const key = stage.appendChild(element('div', {id: 'legend'}));
  const found = stage.appendChild(element('div', {id: 'picked', hidden: true}));
  const edge = stage.appendChild(element('div', {id: 'edge', hidden: true}));
  const ways = waysToColour(cloud);
  const both = cloud.move.some((value) => value) || cloud.state.some((value) => value > 0);

  let waiting = false;
  const render = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      look.ground = getComputedStyle(document.body).getPropertyValue('--ground').split(',').map(Number);
      drawing.draw(look);
      const {pixels, text} = scaleBar(camera, canvas);
      bar.firstChild.style.width = `${pixels}px`;
      bar.lastChild.textContent = text;
      canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
    });
  };

  const byId = (id) => document.getElementById(id);
  const modes = ['mode-slider', 'mode-wiper'];
  const controls = element('nav', {id: 'controls'},
    both ? element('span', {className: 'group'}, control('button', 'toggle', 'before / after'),
      range('share', 'before', 0, 1, 1), element('span', {textContent: 'after', className: 'word'}),
      control('button', 'wiper', 'wiper')) : null,
    element('span', {className: 'group'}, control('select', 'colour', 'colour by'), range('size', 'points', 1, 12, look.size),
      control('button', 'lighting', 'shading')),
    element('span', {className: 'group'}, control('button', 'fit', 'all'), control('select', 'up', 'up'), control('button', 'top', 'from above'),
      control('button', 'section', 'section'), control('button', 'draw', 'draw a section')),
    element('span', {className: 'group', id: 'slab', hidden: true}, range('thickness', 'thickness', 0, 1, 0.5),
      range('across', 'move', -1, 1, 0), element('span', {id: 'slab-said', className: 'word'}), control('button', 'leave', 'leave')));
  stage.parentElement.insertBefore(controls, stage);

  const say = () => {
    const name = look.wiper !== null ? 'wiper' : look.share === 0 ? 'before' : look.share === 1 ? 'after' : 'between';
    stage.dataset.shows = name;
    if (both) byId('share').value = look.share;
    edge.hidden = look.wiper === null;
    edge.style.left = `${100 * (look.wiper || 0)}%`;
    render();
  };
  const resize = (size) => {
    look.size = Math.min(12, Math.max(1, size));
    byId('size').value = look.size;
    render();
  };
  const setSlab = (slab) => {
    look.slab = slab;
    byId('slab').hidden = !slab;
    if (slab) {
      slab.start = slab.middle;
      byId('across').value = 0;
      byId('thickness').value = 0.5;
      slab.first = slab.thickness;
      slab.face(camera);
      resize(Math.max(look.size, 4));
    }
    saySlab();
  };
  const saySlab = () => {
    if (look.slab) byId('slab-said').textContent = `${length(look.slab.thickness)} thick`;
    render();
  };
  const toggle = () => {
    look.wiper = null;
    look.share = look.share > 0.5 ? 0 : 1;
    say();
  };
  const colour = (name) => {
    const bytes = new Uint8Array(4 * cloud.n).fill(255);
    legend(key, name, ways.get(name)(bytes));
    drawing.paint(bytes);
    render();
  };
  const wipe = () => {
    look.wiper = look.wiper === null ? 0.5 : null;
    say();
  };
  const shade = () => {
    look.lighting = look.lighting ? 0 : 1.2;
    render();
  };
  const above = () => {
    look.slab = null;
    byId('slab').hidden = true;
    camera.face(0, Math.PI / 2, 1.1 * cloud.size, [0, 0, 0]);
    render();
  };
  const all = () => {
    setSlab(null);
    camera.fit();
    render();
  };
  const section = () => setSlab(bestSlab(cloud, facts.section, camera.frame));
  const stand = (up) => {
    cloud.up = up;
    byId('up').value = up;
    camera.stand(up);
    setSlab(null);
    colour(byId('colour').value);
  };
  const names = Object.keys(UPS);
  const next = () => stand(names[(names.indexOf(cloud.up) + 1) % names.length]);
  let stop = null;
  const draw = () => {
    if (stop) stop();
    above();
    stop = drawSlab(stage, camera, cloud, facts.section && facts.section.thickness, (slab) => {
      stop = null;
      if (slab) setSlab(slab);
    });
  };

  const on = (id, event, act) => byId(id) && byId(id).addEventListener(event, act);
  on('toggle', 'click', toggle);
  on('share', 'input', (event) => {
    look.wiper = null;
    look.share = Number(event.target.value);
    say();
  });
  on('wiper', 'click', wipe);
  on('colour', 'change', (event) => colour(event.target.value));
  on('size', 'input', (event) => resize(Number(event.target.value)));
  on('lighting', 'click', shade);
  on('fit', 'click', all);
  on('up', 'change', (event) => stand(event.target.value));
  on('top', 'click', above);
  on('section', 'click', section);
  on('draw', 'click', draw);
  on('leave', 'click', all);
  on('thickness', 'input', (event) => {
    look.slab.thickness = look.slab.first * 10 ** (2 * (Number(event.target.value) - 0.5));
    saySlab();
  });
  on('across', 'input', (event) => {
    look.slab.middle = plus(look.slab.start, times(look.slab.normal, (Number(event.target.value) * cloud.size) / 4));
    camera.target = look.slab.middle;
    saySlab();
  });
  edge.addEventListener('pointerdown', (event) => edge.setPointerCapture(event.pointerId));
  edge.addEventListener('pointermove', (event) => {
    if (!event.buttons) return;
    const box = stage.getBoundingClientRect();
    look.wiper = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    say();
  });
  byId('section').disabled = !facts.section;
  byId('up').append(...names.map((name) => element('option', {value: name, textContent: name})));
  byId('up').value = cloud.up;
  byId('colour').append(...[...ways.keys()].map((name) => element('option', {value: name, textContent: name})));
  document.addEventListener('keydown', (event) => {
    if (['INPUT', 'SELECT'].includes(event.target.tagName) && event.key !== ' ') return;
    const acts = {' ': both && toggle, 1: both && toggle, 2: both && wipe, 3: facts.section && section, f: all, u: next, t: above, e: shade,
      '+': () => resize(1.25 * look.size), '-': () => resize(0.8 * look.size)};
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  steer(canvas, camera, render, (event) => pick(cloud, look, canvas, [event.offsetX, event.offsetY], found));
  new ResizeObserver(render).observe(stage);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', render);

  const first = both && [...ways.keys()].includes('movement') ? 'movement' : [...ways.keys()][0];
  byId('colour').value = first;
  colour(first);
  say();
  stage.append(element('div', {id: 'foot'}, element('p', {id: 'count', textContent: counted(cloud)}),
    element('p', {id: 'keys', textContent: (both ? BOTH : '') + KEYS})));
  return {cloud, camera, look, render};
}

function counted(cloud) {
  const {total, paired} = cloud.scene;
  const shown = cloud.n < total ? `${short(cloud.n)} of ${short(total)} points are shown: a part spread evenly, a part at random` : `${short(total)} points`;
  return paired ? shown : `${shown}; before and after are not the same points, so no movement is told`;
}

// The nearest point under the pointer: its place, its move, its dimensions.
function pick(cloud, look, canvas, [x, y], box) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const {matrix} = look.camera.matrix(width / height);
  const share = look.wiper === null ? look.share : x / width < look.wiper ? 0 : 1;
  let best = -1;
  let least = Infinity;
  for (let i = 0; i < cloud.n; i++) {
    const was = [0, 1, 2].map((axis) => cloud.before[3 * i + axis]);
    if (look.slab && outside(look.slab, was)) continue;
    if ((cloud.state[i] === 1 && share > 0.5) || (cloud.state[i] === 2 && share < 0.5)) continue;
    const p = was.map((value, axis) => value + share * cloud.move[3 * i + axis]);
    const [cx, cy, cz, cw] = [0, 1, 2, 3].map((row) => matrix[row] * p[0] + matrix[4 + row] * p[1] + matrix[8 + row] * p[2] + matrix[12 + row]);
    if (cw <= 0) continue;
    const away = Math.hypot((0.5 + (0.5 * cx) / cw) * width - x, (0.5 - (0.5 * cy) / cw) * height - y);
    const cost = away < 8 ? cz / cw + 0.002 * away : Infinity;
    if (cost < least) [best, least] = [i, cost];
  }
  box.hidden = best < 0;
  if (best < 0) return;
  const at = (then) => [0, 1, 2].map((axis) => {
    const k = 3 * best + axis;
    return (cloud.middle[axis] + cloud.before[k] + then * cloud.move[k]).toFixed(3);
  }).join('  ');
  const rows = [['before', at(0)], ['after', at(1)], ['moved', length(cloud.moved[best])]];
  for (const [name, column] of cloud.columns) if (column.quantity) rows.push([name, short(column.values[best])]);
  if (cloud.state[best]) rows.unshift(['', STATES[cloud.state[best]][0]]);
  box.replaceChildren(element('table', {}, ...rows.map(([name, value]) => element('tr', {},
    element('th', {textContent: name, scope: 'row'}), element('td', {textContent: value})))));
}

const outside = (slab, place) => Math.abs(dot(slab.normal, minus(place, slab.middle))) > slab.thickness / 2
  || Math.abs(dot(slab.along, minus(place, slab.middle))) > slab.width / 2;

async function begin() {
  document.title = `${told.title} - deburr`;
  const page = document.body.appendChild(element('div', {id: 'page'}));
  let shown = null;
  const goTo = ([x, y]) => {
    if (!shown) return;
    const {cloud, camera, render} = shown;
    camera.target = [x - cloud.middle[0], y - cloud.middle[1], camera.target[2]];
    camera.distance = Math.min(camera.distance, 0.15 * cloud.size);
    render();
  };
  if (told.facts.tiles) page.append(tilesPanel(told.facts.tiles));
  const left = told.scene ? page.appendChild(element('main', {})) : null;
  page.append(panel(told.facts, goTo));
  if (!left) return;
  const stage = left.appendChild(element('div', {id: 'stage'}));
  try {
    shown = await view(stage, told.facts);
    document.body.dataset.ready = 'yes';
  } catch (error) {
    stage.replaceChildren(element('p', {className: 'sorry', textContent:
      `The points cannot be drawn: ${error.message}. A current Firefox, Chrome, Edge or Safari draws them; what was found stands beside.`}));
    document.body.dataset.ready = 'no';
  }
}

begin();

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
  const look = {camera, share: 1, wiper: null, size: 3, lighting: 1.2, slab: null, ground: [255, 255, 255]};
  const bar = stage.appendChild(element('div', {className: 'scale'}, element('i'), element('span')));
  const key = stage.appendChild(element('div', {id: 'legend'}));
  const ways = waysToColour(cloud);
  const both = cloud.move.some((value) => value) || cloud.state.some((value) => value > 0);
  const foot = stage.appendChild(element('div', {id: 'foot'}, element('p', {id: 'count', textContent: counted(cloud)}),
    element('p', {id: 'keys', textContent: (both ? BOTH : '') + KEYS})));
  const edge = stage.appendChild(element('div', {id: 'edge', hidden: true}));
  const picked = new Picked(stage, cloud, look);

  let waiting = false;
  const render = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      look.ground = getComputedStyle(document.body).getPropertyValue('--ground').split(',').map(Number);
      drawing.draw(look);
      picked.follow();
      const {pixels, text} = scaleBar(camera, canvas);
      bar.firstChild.style.width = `${pixels}px`;
      bar.lastChild.textContent = text;
      canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
    });
  };

  // All that there is (in a section: all of it) in view, until who looks goes elsewhere.
  let left = false;
  const see = () => {
    left = false;
    const counts = look.slab ? (i) => look.slab.holds(cloud.before.subarray(3 * i, 3 * i + 3)) : () => true;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (height) camera.see(cloud.before, counts, width / height, Math.min(foot.offsetHeight / height, 0.3));
    render();
  };
  const leave = () => {
    left = true;
    saySlab();
  };

  const byId = (id) => document.getElementById(id);
  const controls = element('nav', {id: 'controls'},
    both ? element('span', {className: 'group'}, control('button', 'toggle', 'before / after'),
      range('share', 'before', 0, 1, 1), element('span', {textContent: 'after', className: 'word'}),
      control('button', 'wiper', 'wiper')) : null,
    element('span', {className: 'group'}, control('select', 'colour', 'colour by'), range('size', 'points', 1, 12, look.size),
      control('button', 'lighting', 'shading')),
    element('span', {className: 'group'}, control('button', 'fit', 'all'), control('select', 'up', 'up'), control('button', 'top', 'from above'),
      control('button', 'section', 'section'), control('button', 'draw', 'draw a section')),
    element('span', {className: 'group', id: 'slab', hidden: true}, range('thickness', 'thickness', 0, 1, 0.5),
      range('across', 'move', -1, 1, 0), range('tall', 'heights', 0, 2, 0),
      element('span', {id: 'slab-said', className: 'word'}), control('button', 'leave', 'leave')));
  stage.parentElement.insertBefore(controls, stage);

  const say = () => {
    const name = look.wiper !== null ? 'wiper' : look.share === 0 ? 'before' : look.share === 1 ? 'after' : 'between';
    stage.dataset.shows = name;
    if (both) byId('share').value = look.share;
    edge.hidden = look.wiper === null;
    edge.style.left = `${100 * (look.wiper || 0)}%`;
    render();
  };
  // Pixels of a point, without a section and in one; of themselves such that points nearly touch.
  const sizes = {without: fair(cloud, canvas), within: 4};
  const resize = (size) => {
    look.size = sizes[look.slab ? 'within' : 'without'] = Math.min(12, Math.max(1, size));
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
      slab.stretch(cloud, camera.frame[2]);
      slab.face(camera);
      see();
    }
    resize(sizes[slab ? 'within' : 'without']);
    saySlab();
  };
  const saySlab = () => {
    if (look.slab) {
      const heights = camera.tall === 1 ? '' : `, heights × ${short(Number(camera.tall.toPrecision(2)))}`;
      byId('slab-said').textContent = `${length(look.slab.thickness)} thick${heights}`;
      byId('tall').value = Math.log10(camera.tall);
    }
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
    setSlab(null);
    camera.face(0, Math.PI / 2);
    see();
  };
  const all = () => {
    setSlab(null);
    camera.home();
    see();
  };
  const section = () => setSlab(bestSlab(cloud, facts, camera.frame));
  const stand = (up) => {
    cloud.up = up;
    byId('up').value = up;
    camera.stand(up);
    all();
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
  on('tall', 'input', (event) => {
    look.slab.tall = 10 ** Number(event.target.value);
    look.slab.face(camera);
    saySlab();
  });
  on('across', 'input', (event) => {
    const middle = plus(look.slab.start, times(look.slab.normal, (Number(event.target.value) * cloud.size) / 4));
    camera.target = plus(camera.target, minus(middle, look.slab.middle));
    look.slab.middle = middle;
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
      Escape: () => picked.choose(-1),      '+': () => resize(1.25 * look.size), '-': () => resize(0.8 * look.size)};
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  steer(canvas, camera, leave, (event) => picked.at([event.offsetX, event.offsetY], [canvas.clientWidth, canvas.clientHeight]));
  new ResizeObserver(() => (left ? render() : see())).observe(stage);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', render);

  const first = both && [...ways.keys()].includes('movement') ? 'movement' : [...ways.keys()][0];
  byId('colour').value = first;
  colour(first);
  say();
  all();
  return {cloud, camera, leave};
}

// Pixels of a point with which the points of a surface nearly touch.
function fair(cloud, canvas) {
  const room = canvas.clientWidth * canvas.clientHeight;
  return Math.min(5, Math.max(2, room ? 1.3 * Math.sqrt(room / Math.max(cloud.n, 1)) : 3));
}

function counted(cloud) {
  const {total, paired} = cloud.scene;
  const shown = cloud.n < total ? `${short(cloud.n)} of ${short(total)} points are shown: a part spread evenly, a part at random` : `${short(total)} points`;
  return paired ? shown : `${shown}; before and after are not the same points, so no movement is told`;
}

async function begin() {
  document.title = `${told.title} - deburr`;
  const page = document.body.appendChild(element('div', {id: 'page'}));
  let shown = null;
  const goTo = (plan) => {
    if (!shown) return;
    const {cloud, camera, leave} = shown;
    const [right, ahead, up] = UPS[told.facts.up];
    const [x, y] = [right, ahead].map((axis, i) => times(axis, plan[i] - dot(axis, cloud.middle)));
    camera.target = plus(plus(x, y), times(up, dot(up, camera.target)));
    camera.distance = Math.min(camera.distance, 0.15 * cloud.size);
    leave();
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

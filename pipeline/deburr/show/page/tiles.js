// A batch: its tiles in plan, and a table of them that sorts.

const COLUMNS = [['name', 'tile'], ['points', 'points'], ['before', 'noise before'], ['after', 'noise after'], ['moved', 'moved at most'], ['error', 'error']];

function tilesPanel(tiles) {
  const body = element('tbody');
  const headers = COLUMNS.map(([key, text]) => {
    const header = element('th', {textContent: text, scope: 'col', tabIndex: 0});
    const sort = () => {
      const turn = header.dataset.turn === 'up' ? -1 : 1;
      headers.forEach((other) => delete other.dataset.turn);
      header.dataset.turn = turn > 0 ? 'up' : 'down';
      fill(body, [...tiles].sort((a, b) => turn * compared(a[key], b[key])));
    };
    header.addEventListener('click', sort);
    header.addEventListener('keydown', (event) => event.key === 'Enter' && sort());
    return header;
  });
  fill(body, tiles);
  const shown = tiles.some((tile) => tile.box) ? tilesMap(tiles, body) : null;
  return element('main', {id: 'tiles'}, shown,
    element('div', {className: 'scroll'}, element('table', {id: 'tile-table'}, element('thead', {}, element('tr', {}, ...headers)), body)));
}

// What is not known comes last, whichever way.
function compared(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === 'number' ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
}

function fill(body, tiles) {
  body.replaceChildren(...tiles.map((tile) => {
    const row = element('tr', {}, ...COLUMNS.map(([key]) => {
      const value = tile[key];
      const text = value === null ? '' : key === 'points' ? short(value) : typeof value === 'number' ? length(value) : value;
      return element('td', {textContent: text, className: typeof value === 'number' ? 'number' : ''});
    }));
    row.dataset.name = tile.name;
    if (tile.error) row.className = 'failed';
    if (tile.command) {
      row.title = 'click: how to look at this tile';
      row.addEventListener('click', () => {
        const open = row.nextElementSibling;
        if (open && open.className === 'how') return open.remove();
        const cell = element('td', {colSpan: COLUMNS.length}, element('code', {textContent: tile.command}));
        return row.after(element('tr', {className: 'how'}, cell));
      });
    }
    return row;
  }));
}

function tilesMap(tiles, body) {
  const boxes = tiles.filter((tile) => tile.box);
  const low = [0, 1].map((axis) => Math.min(...boxes.map((tile) => tile.box[axis])));
  const high = [2, 3].map((axis) => Math.max(...boxes.map((tile) => tile.box[axis])));
  const wide = Math.max(high[0] - low[0], 1e-9);
  const tall = Math.max(high[1] - low[1], 1e-9);
  const most = Math.max(...boxes.map((tile) => taken(tile)), 1e-30);
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', `0 0 ${1000} ${(1000 * tall) / wide}`);
  svg.setAttribute('id', 'tile-map');
  boxes.forEach((tile) => {
    const box = document.createElementNS(space, 'rect');
    const [x, y, right, top] = tile.box;
    const sides = {x: x - low[0], y: high[1] - top, width: right - x, height: top - y};
    Object.entries(sides).forEach(([name, value]) => box.setAttribute(name, (1000 * value) / wide));
    box.setAttribute('fill', tile.error ? '#1c2228' : `rgb(${ramp(HEAT, taken(tile) / most).join(',')})`);
    const title = document.createElementNS(space, 'title');
    title.textContent = `${tile.name}: ${tile.error || `${length(taken(tile))} of noise taken out`}`;
    box.append(title);
    box.addEventListener('click', () => {
      const row = [...body.children].find((one) => one.dataset.name === tile.name);
      row.scrollIntoView({block: 'center'});
      row.click();
    });
    svg.append(box);
  });
  return element('section', {}, element('h2', {textContent: 'Noise taken out, by tile'}), svg, gradient(HEAT, '0', length(most)));
}

const taken = (tile) => (tile.before === null || tile.after === null ? 0 : Math.max(tile.before - tile.after, 0));

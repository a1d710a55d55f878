// What the page was given, and the points out of it.

const told = JSON.parse(document.getElementById('told').textContent);
const unit = told.facts.unit || 'units';

// Three digits and a unit; metres below one as centimetres.
function length(value) {
  if (unit === 'm' && Math.abs(value) < 1) return `${short(100 * value)} cm`;
  return `${short(value)} ${unit === 'units' && value === 1 ? 'unit' : unit}`;
}

function short(value) {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size >= 1000 || Number.isInteger(value)) return value.toLocaleString('en', {maximumFractionDigits: 0});
  if (size && size < 1e-4) return Number(value.toPrecision(3)).toExponential().replace(/e-(\d)$/, 'e-0$1');
  return String(Number(value.toPrecision(3)));
}

// Columns as `pack` of the page made them: the high bytes of all points first.
async function unpack(scene) {
  const text = atob(scene.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const raw = new Uint8Array(await new Response(plain).arrayBuffer());
  const n = scene.points;
  const columns = new Map();
  let at = 0;
  for (const column of scene.columns) {
    const steps = new Uint32Array(n);
    for (let place = 0; place < column.bytes; place++, at += n) {
      for (let i = 0; i < n; i++) steps[i] = steps[i] * 256 + raw[at + i];
    }
    const values = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      values[i] = steps[i] === column.none ? NaN : column.offset + column.scale * steps[i];
    }
    columns.set(column.name, {...column, values});
  }
  return points(n, scene, columns);
}

// Places in the frame of the middle, in which float32 is fine enough.
function points(n, scene, columns) {
  const axes = ['x', 'y', 'z'].map((name) => columns.get(name).values);
  const moves = ['x', 'y', 'z'].map((name) => columns.get(`move ${name}`).values);
  const low = axes.map((values) => values.reduce((a, b) => Math.min(a, b), Infinity));
  const high = axes.map((values) => values.reduce((a, b) => Math.max(a, b), -Infinity));
  const middle = low.map((value, axis) => (n ? (value + high[axis]) / 2 : 0));
  const before = new Float32Array(3 * n);
  const move = new Float32Array(3 * n);
  const moved = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let axis = 0; axis < 3; axis++) {
      before[3 * i + axis] = axes[axis][i] - middle[axis];
      move[3 * i + axis] = moves[axis][i];
    }
    moved[i] = Math.hypot(moves[0][i], moves[1][i], moves[2][i]);
  }
  const size = Math.max(...low.map((value, axis) => high[axis] - value), 1e-9);
  const state = Uint8Array.from(columns.get('state').values);
  return {n, scene, columns, before, move, moved, state, middle, low, high, size: n ? size : 1, up: scene.up};
}

// Colours of points by what is known of them, and the legend that says what they mean.

const RAMP = ['#2b2a6b', '#2a5f8f', '#2f9088', '#7bb661', '#e8d44d', '#f3efc8'];
const HEAT = ['#3b6d8c', '#8fb3b5', '#efe6cf', '#e09a5f', '#b6402f', '#5c1512'];
// ASPRS classes; others are drawn from the ramp.
const CLASSES = {
  0: ['never classified', '#9aa5ad'], 1: ['unclassified', '#b4bcc2'], 2: ['ground', '#a4795a'],
  3: ['low vegetation', '#a9c77a'], 4: ['medium vegetation', '#6fa455'], 5: ['high vegetation', '#3d7a3f'],
  6: ['building', '#c8553d'], 7: ['low noise', '#d93fb0'], 8: ['key point', '#e8c547'], 9: ['water', '#3f7fbf'],
  10: ['rail', '#6b5b95'], 11: ['road', '#6d6f75'], 13: ['wire guard', '#f0a94b'], 14: ['wire', '#f2c14e'],
  15: ['tower', '#8c5e99'], 16: ['wire connector', '#d2a24c'], 17: ['bridge', '#9c6b4e'], 18: ['high noise', '#e15fc0'],
};
// Dimensions that are lengths.
const LENGTHS = ['Uncertainty', 'NoiseLevel', 'Displacement'];
const STATES = [['in both', '#8a97a3'], ['removed', '#d93fb0'], ['new', '#2f9088']];

const parsed = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function ramp(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [parsed(stops[low]), parsed(stops[low + 1])];
  return a.map((value, i) => Math.round(value + (b[i] - value) * (at - low)));
}

// 256 steps of a ramp, and one more for what is no number.
function table(stops) {
  const found = [];
  for (let i = 0; i < 256; i++) found.push(ramp(stops, i / 255));
  return [...found, [120, 126, 132]];
}

// The ways in which `cloud` can be coloured: name, and a function that fills (4 n) bytes and returns a legend.
function waysToColour(cloud) {
  const ways = new Map();
  if (cloud.columns.has('red')) ways.set('colour (RGB)', (bytes) => byColour(cloud, bytes));
  ways.set('height', (bytes) => byValue(heights(cloud, UPS[cloud.up][2]), bytes, RAMP, unit, false));
  if (cloud.moved.some((value) => value > 0)) {
    ways.set('movement', (bytes) => byValue(cloud.moved, bytes, HEAT, unit, true));
  }
  if (cloud.state.some((value) => value > 0)) ways.set('removed', (bytes) => byKind(cloud.state, bytes, STATES));
  for (const [name, column] of cloud.columns) {
    if (!column.quantity) continue;
    if (name === 'Classification') ways.set(name, (bytes) => byKind(column.values, bytes, CLASSES));
    else {
      const lengths = LENGTHS.includes(name);
      ways.set(name, (bytes) => byValue(column.values, bytes, lengths ? HEAT : RAMP, lengths ? unit : '', lengths));
    }
  }
  return ways;
}

function heights(cloud, up) {
  const found = new Float64Array(cloud.n);
  for (let i = 0; i < cloud.n; i++) found[i] = dot(up, [0, 1, 2].map((axis) => cloud.before[3 * i + axis] + cloud.middle[axis]));
  return found;
}

function byColour(cloud, bytes) {
  ['red', 'green', 'blue'].forEach((name, place) => {
    const values = cloud.columns.get(name).values;
    for (let i = 0; i < cloud.n; i++) bytes[4 * i + place] = values[i];
  });
  return {entries: [['colours of the file', null]]};
}

// From what 1 % to what 99 % stay below; where it is a length, from 0 to what 99 % of those above 0 do: few may have moved.
function byValue(values, bytes, stops, inUnit, fromZero) {
  const sorted = Float64Array.from(values).filter((value) => Number.isFinite(value) && (!fromZero || value > 0)).sort();
  const at = (share) => (sorted.length ? sorted[Math.round(share * (sorted.length - 1))] : 0);
  const low = fromZero ? 0 : at(0.01);
  const high = at(0.99) > low ? at(0.99) : at(1);
  const colours = table(stops);
  for (let i = 0; i < values.length; i++) {
    const share = (values[i] - low) / (high - low || 1);
    const colour = colours[Number.isFinite(share) ? Math.round(255 * Math.min(Math.max(share, 0), 1)) : 256];
    bytes.set(colour, 4 * i);
  }
  const said = (value) => (inUnit ? length(value) : short(value));
  return {stops, low: said(low), high: said(high), below: at(0) < low, above: at(1) > high};
}

function byKind(values, bytes, names) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  const kinds = [...counts.keys()].sort((a, b) => a - b);
  const colours = new Map(kinds.map((kind) => [kind, parsed((names[kind] || [0, hashed(kind)])[1])]));
  for (let i = 0; i < values.length; i++) bytes.set(colours.get(values[i]), 4 * i);
  const shown = kinds.slice(0, 24).map((kind) => {
    const name = names === CLASSES ? `${kind} ${(names[kind] || ['other'])[0]}` : names[kind][0];
    return [`${name}: ${short(counts.get(kind))}`, `rgb(${colours.get(kind).join(',')})`];
  });
  return {entries: kinds.length > 24 ? [...shown, [`and ${kinds.length - 24} more`, null]] : shown};
}

function hashed(kind) {
  const [r, g, b] = ramp(RAMP, ((kind * 0.618034) % 1 + 1) % 1);
  return `#${[r, g, b].map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}

// The point that was clicked: what is known of it, and where it is in the view.

// Pixels around the pointer in which a point is hit.
const NEAR = 8;

class Picked {
  constructor(stage, cloud, look) {
    Object.assign(this, {cloud, look, row: -1, share: 1});
    this.box = stage.appendChild(element('div', {id: 'picked', hidden: true, title: 'click: close'}));
    this.mark = stage.appendChild(element('div', {id: 'mark', hidden: true}));
    this.box.addEventListener('click', () => this.choose(-1));
  }

  // Point `row`, or none of -1.
  choose(row, share = 1) {
    Object.assign(this, {row, share});
    this.box.hidden = row < 0;
    if (row >= 0) this.box.replaceChildren(known(this.cloud, row));
    this.follow();
  }

  // The nearest point under the pointer.
  at([x, y], [width, height]) {
    const {cloud, look} = this;
    const share = look.wiper === null ? look.share : x / width < look.wiper ? 0 : 1;
    const see = this.eye(width, height, share);
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < cloud.n; i++) {
      const seen = see(i);
      if (!seen) continue;
      const away = Math.hypot(seen[0] - x, seen[1] - y);
      const cost = away < NEAR ? seen[2] + 0.002 * away : Infinity;
      if (cost < least) [best, least] = [i, cost];
    }
    this.choose(best, share);
  }

  // Puts the ring around the point to where that is now.
  follow() {
    const {clientWidth: width, clientHeight: height} = this.mark.parentElement;
    const share = this.look.wiper === null ? this.look.share : this.share;
    const seen = this.row < 0 ? null : this.eye(width, height, share)(this.row);
    this.mark.hidden = !seen;
    if (seen) Object.assign(this.mark.style, {left: `${seen[0]}px`, top: `${seen[1]}px`});
  }

  // A function: of a point its pixels and its depth; null where it is not drawn.
  eye(width, height, share) {
    const {cloud, look} = this;
    const {matrix} = look.camera.matrix(width / height);
    return (i) => {
      const was = cloud.before.subarray(3 * i, 3 * i + 3);
      if (look.slab && !look.slab.holds(was)) return null;
      if ((cloud.state[i] === 1 && share > 0.5) || (cloud.state[i] === 2 && share < 0.5)) return null;
      const [px, py, pz] = [0, 1, 2].map((axis) => was[axis] + share * cloud.move[3 * i + axis]);
      const row = (k) => matrix[k] * px + matrix[4 + k] * py + matrix[8 + k] * pz + matrix[12 + k];
      const w = row(3);
      return w > 0 ? [(0.5 + (0.5 * row(0)) / w) * width, (0.5 - (0.5 * row(1)) / w) * height, row(2) / w] : null;
    };
  }
}

// Its place before and after, its move, its dimensions.
function known(cloud, row) {
  // Steps of a hundred-thousandth of the cloud, and no coarser than a thousandth of its unit.
  const digits = Math.min(12, Math.max(3, Math.ceil(5 - Math.log10(cloud.size))));
  const at = (share) => [0, 1, 2].map((axis) => {
    const k = 3 * row + axis;
    return (cloud.middle[axis] + cloud.before[k] + share * cloud.move[k]).toFixed(digits);
  }).join('  ');
  const rows = [['before', at(0)], ['after', at(1)], ['moved', length(cloud.moved[row])]];
  for (const [name, {quantity, values}] of cloud.columns) {
    if (quantity) rows.push([name, (LENGTHS.includes(name) ? length : short)(values[row])]);
  }
  if (cloud.state[row]) rows.unshift(['', STATES[cloud.state[row]][0]]);
  return element('table', {}, ...rows.map(([name, value]) => element('tr', {},
    element('th', {textContent: name, scope: 'row'}), element('td', {textContent: value}))));
}

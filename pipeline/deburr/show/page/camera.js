// Where one looks from: around a target, or straight at a plane.

const ANGLE = Math.PI / 4;
// The share of a view that is filled where all is to be seen.
const MARGIN = 0.94;

// What is up in the file -> the axes of the frame in which one looks around: to the right, ahead, up.
const UPS = {
  z: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], '-z': [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
  y: [[1, 0, 0], [0, 0, -1], [0, 1, 0]], '-y': [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
  x: [[0, 1, 0], [0, 0, 1], [1, 0, 0]], '-x': [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
};

class Camera {
  constructor(size, up) {
    this.size = size;
    this.stand(up);
  }

  // With `up` (a name of UPS) upwards.
  stand(up) {
    this.frame = UPS[up];
    this.home();
  }

  // From aside and above.
  home() {
    Object.assign(this, {yaw: -0.6, pitch: 0.55, flat: false, tall: 1, target: [0, 0, 0], distance: 1.5 * this.size});
  }

  // Straight along a direction of the compass and a height, without perspective; heights `tall` times as large.
  face(yaw, pitch, tall = 1) {
    Object.assign(this, {yaw, pitch, flat: true, tall});
  }

  // As near as it goes with all `places` (three numbers each) of which `counts` tells in view, in the direction in
  // which one looks; `covered` is the share of the view's height, at its bottom, in which they would be hidden.
  see(places, counts, aspect, covered) {
    const {ahead, right, up} = this.axes();
    const slope = MARGIN * Math.tan(ANGLE / 2);
    const wide = slope * aspect;
    // How far they go to each side; with perspective by planes that lean as the rim of the view does.
    const reach = (axis, lean) => farthest(places, counts, this.flat ? axis : minus(axis, times(ahead, lean)));
    const [east, west] = [reach(right, wide), reach(times(right, -1), wide)];
    const [above, below] = [reach(up, slope), reach(times(up, -1), slope * (1 - 2 * covered))].map((one) => one * this.tall);
    if (!Number.isFinite(east)) return;
    this.distance = Math.max((east + west) / (2 * wide), (above + below) / (2 * slope * (1 - covered)), 1e-3 * this.size);
    this.target = plus(times(right, (east - west) / 2), times(up, ((above - below) / 2 - this.distance * slope * covered) / this.tall));
  }

  axes() {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const ahead = this.world([-sy * cp, cy * cp, -sp]);
    const right = this.world([cy, sy, 0]);
    return {ahead, right, up: cross(right, ahead)};
  }

  // A direction of the frame, in the file.
  world(direction) {
    return this.frame.map((axis, i) => times(axis, direction[i])).reduce(plus);
  }

  // Half of what is seen in height, at the target.
  get half() {
    return this.distance * Math.tan(ANGLE / 2);
  }

  matrix(aspect) {
    const {ahead, right, up} = this.axes();
    const away = this.flat ? 2 * this.size : this.distance;
    const eye = minus(this.target, times(ahead, away));
    const near = this.flat ? 0.01 * this.size : Math.max(0.002 * this.distance, 1e-4 * this.size);
    const far = away + 3 * this.size;
    const lens = this.flat ? parallel(this.half, aspect, near, far) : perspective(ANGLE, aspect, near, far);
    return {matrix: product(lens, seenFrom(eye, right, times(up, this.tall), ahead)), near, far};
  }

  turn(dx, dy) {
    Object.assign(this, {flat: false, tall: 1});
    this.yaw -= 0.006 * dx;
    this.pitch = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, this.pitch + 0.006 * dy));
  }

  // By so many pixels of a view that is `height` pixels high.
  shift(dx, dy, height) {
    const {right, up} = this.axes();
    const step = (2 * this.half) / height;
    this.target = plus(this.target, plus(times(right, -dx * step), times(up, (dy * step) / this.tall)));
  }

  nearer(factor) {
    this.distance = Math.min(20 * this.size, Math.max(1e-5 * this.size, this.distance * factor));
  }
}

// The largest of the products of `axis` and those `places` of which `counts` tells.
function farthest(places, counts, [x, y, z]) {
  let most = -Infinity;
  for (let i = 0, k = 0; k < places.length; i++, k += 3) {
    if (counts(i)) most = Math.max(most, x * places[k] + y * places[k + 1] + z * places[k + 2]);
  }
  return most;
}

// Mouse, pen and fingers: one turns (or shifts, in a flat view), two shift and pinch; the wheel goes nearer.
function steer(canvas, camera, changed, clicked) {
  const fingers = new Map();
  let far = 0;
  let travelled = 0;
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    travelled = 0;
    far = 0;
  });
  canvas.addEventListener('pointermove', (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const now = [event.offsetX, event.offsetY];
    const [dx, dy] = minus(now, last);
    travelled += Math.abs(dx) + Math.abs(dy);
    fingers.set(event.pointerId, now);
    const share = 1 / fingers.size;
    if (fingers.size > 1) {
      const [a, b] = [...fingers.values()];
      const apart = Math.hypot(...minus(a, b));
      if (far) camera.nearer(far / Math.max(apart, 1));
      far = apart;
      camera.shift(dx * share, dy * share, canvas.clientHeight);
    } else if (camera.flat || event.shiftKey || event.buttons & 6) {
      camera.shift(dx, dy, canvas.clientHeight);
    } else {
      camera.turn(dx, dy);
    }
    changed();
  });
  const up = (event) => {
    if (fingers.delete(event.pointerId) && event.type === 'pointerup' && travelled < 4) clicked(event);
  };
  canvas.addEventListener('pointerup', up);
  canvas.addEventListener('pointercancel', up);
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    camera.nearer(Math.exp(0.0012 * event.deltaY));
    changed();
  }, {passive: false});
}

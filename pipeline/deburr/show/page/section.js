// The height of what a section shows, as a share of its width, at most where it is drawn higher than it is.
const FILLED = 0.4;

// An upright slab through the cloud, seen from its side; drawn as a line in plan, moved across itself.

class Slab {
  constructor(up, middle, along, width, thickness) {
    this.along = unitOf(minus(along, times(up, dot(along, up))));
    this.normal = cross(up, this.along);
    Object.assign(this, {middle, width, thickness});
  }

  shift(by) {
    this.middle = plus(this.middle, times(this.normal, by));
  }

  face(camera) {
    const [right, ahead] = camera.frame;
    camera.face(Math.atan2(dot(this.along, ahead), dot(this.along, right)), 0, this.tall);
  }

  holds(place) {
    return Math.abs(dot(this.normal, minus(place, this.middle))) <= this.thickness / 2
      && Math.abs(dot(this.along, minus(place, this.middle))) <= this.width / 2;
  }

  // Heights so many times as large that what is flat is seen to be rough: round, and 1 where it is not flat.
  stretch(cloud, up) {
    const counts = (i) => this.holds(cloud.before.subarray(3 * i, 3 * i + 3));
    const high = farthest(cloud.before, counts, up) + farthest(cloud.before, counts, times(up, -1));
    this.tall = [100, 50, 20, 10, 5, 2].find((one) => high > 0 && one * high < FILLED * this.width) || 1;
  }
}

// The slab that shows the most, as it was found when the page was made, for what was up then; else one through the
// middle, along the wider side.
function bestSlab(cloud, {section, up: then}, [right, ahead, up]) {
  if (!section) return null;
  if (Math.abs(dot(up, UPS[then][2])) === 1) {
    return new Slab(up, minus(section.center, cloud.middle), section.along, section.width, section.thickness);
  }
  const width = (axis) => Math.abs(dot(axis, minus(cloud.high, cloud.low)));
  const along = width(right) < width(ahead) ? ahead : right;
  return new Slab(up, [0, 0, 0], along, 1.05 * width(along), section.thickness);
}

// Lets the user draw a line over a view from above; calls `done` with a slab, or null where there was no line.
function drawSlab(stage, camera, cloud, thickness, done) {
  const sheet = stage.appendChild(document.createElement('div'));
  sheet.className = 'sheet';
  const line = sheet.appendChild(document.createElement('div'));
  line.className = 'cut';
  const place = ([x, y]) => {
    const step = (2 * camera.half) / sheet.clientHeight;
    const {right, up} = camera.axes();
    const aside = plus(times(right, (x - sheet.clientWidth / 2) * step), times(up, (sheet.clientHeight / 2 - y) * step));
    return plus(camera.target, aside);
  };
  let start = null;
  sheet.addEventListener('pointerdown', (event) => {
    sheet.setPointerCapture(event.pointerId);
    start = [event.offsetX, event.offsetY];
  });
  sheet.addEventListener('pointermove', (event) => {
    if (!start) return;
    const [dx, dy] = minus([event.offsetX, event.offsetY], start);
    Object.assign(line.style, {left: `${start[0]}px`, top: `${start[1]}px`, width: `${Math.hypot(dx, dy)}px`,
      transform: `rotate(${Math.atan2(dy, dx)}rad)`});
  });
  sheet.addEventListener('pointerup', (event) => {
    const [a, b] = [place(start || [0, 0]), place([event.offsetX, event.offsetY])];
    const width = Math.hypot(...minus(b, a));
    sheet.remove();
    if (!start || width < 1e-3 * cloud.size) return done(null);
    return done(new Slab(camera.frame[2], times(plus(a, b), 0.5), minus(b, a), width, thickness || 0.02 * width));
  });
  return () => sheet.remove();
}

// A round length of about a fifth of the view, and its width in pixels.
function scaleBar(camera, canvas) {
  const step = (2 * camera.half) / canvas.clientHeight;
  const wanted = 0.2 * canvas.clientWidth * step;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const value = [5, 2, 1].map((one) => one * power).find((one) => one <= wanted);
  return {pixels: value / step, text: length(value)};
}

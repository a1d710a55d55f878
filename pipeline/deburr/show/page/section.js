// A slab through the cloud, seen from its side; drawn as a line in plan, moved across itself.

class Slab {
  constructor(middle, along, width, thickness) {
    this.along = unitOf([along[0], along[1], 0]);
    this.normal = [-this.along[1], this.along[0], 0];
    Object.assign(this, {middle, width, thickness});
  }

  shift(by) {
    this.middle = plus(this.middle, times(this.normal, by));
  }

  face(camera) {
    camera.face(Math.atan2(this.along[1], this.along[0]), 0, this.width, this.middle);
  }
}

// The slab that shows the most, as it was found when the page was made.
function bestSlab(cloud, found) {
  if (!found) return null;
  return new Slab(minus(found.center, cloud.middle), found.along, found.width, found.thickness);
}

// Lets the user draw a line over a view from above; calls `done` with a slab, or null where there was no line.
function drawSlab(stage, camera, cloud, thickness, done) {
  const sheet = stage.appendChild(document.createElement('div'));
  sheet.className = 'sheet';
  const line = sheet.appendChild(document.createElement('div'));
  line.className = 'cut';
  const place = ([x, y]) => {
    const step = (2 * camera.half) / sheet.clientHeight;
    return [camera.target[0] + (x - sheet.clientWidth / 2) * step, camera.target[1] - (y - sheet.clientHeight / 2) * step];
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
    const middle = [...times(plus(a, b), 0.5), camera.target[2]];
    return done(new Slab(middle, minus(b, a), width, thickness || 0.02 * width));
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

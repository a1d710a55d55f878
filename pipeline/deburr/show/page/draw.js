// Draws points with WebGL 2, and shades them by the depth of what lies beside them (eye-dome lighting).

const POINTS = `#version 300 es
layout(location = 0) in vec3 place;
layout(location = 1) in vec3 move;
layout(location = 2) in vec4 colour;
layout(location = 3) in float state;
uniform mat4 view;
uniform float share, size;
uniform vec4 slab;        // normal and distance of its middle plane
uniform vec4 stretch;     // along it: direction and distance of its middle
uniform vec2 halves;      // half its thickness, half its width; below 0: no slab
out vec3 painted;
void main() {
  vec3 now = place + share * move;
  gl_Position = view * vec4(now, 1.0);
  bool gone = (state == 1.0 && share > 0.5) || (state == 2.0 && share < 0.5);
  // By where it was: a point that leaves the slab is seen to leave it.
  bool cut = halves.x >= 0.0 && (abs(dot(slab.xyz, place) - slab.w) > halves.x
    || abs(dot(stretch.xyz, place) - stretch.w) > halves.y);
  if (gone || cut) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size;
  painted = colour.rgb;
}`;
const PAINT = `#version 300 es
precision highp float;
in vec3 painted;
out vec4 colour;
void main() {
  vec2 at = 2.0 * gl_PointCoord - 1.0;
  if (dot(at, at) > 1.0) discard;
  colour = vec4(painted, 1.0);
}`;
const SCREEN = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}`;
const SHADE = `#version 300 es
precision highp float;
uniform sampler2D colours;
uniform highp sampler2D depths;
uniform vec2 ends;        // near and far
uniform bool flatView;
uniform float strength, apart, unitsAcross;
uniform vec3 ground;
out vec4 colour;
float away(ivec2 at) {
  float depth = texelFetch(depths, clamp(at, ivec2(0), textureSize(depths, 0) - 1), 0).r;
  if (depth >= 1.0) return -1.0;
  if (flatView) return mix(ends.x, ends.y, depth) / unitsAcross * 8.0;
  return log2(2.0 * ends.x * ends.y / (ends.y + ends.x - (2.0 * depth - 1.0) * (ends.y - ends.x)));
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  float here = away(at);
  if (here == -1.0) { colour = vec4(ground, 1.0); return; }
  float dark = 0.0;
  int step = int(apart);
  for (int k = 0; k < 4; k++) {
    ivec2 side = ivec2((k & 1) * 2 - 1, (k >> 1) * 2 - 1) * step;
    float there = away(at + side);
    dark += there == -1.0 ? 0.02 : max(0.0, here - there);
  }
  colour = vec4(texelFetch(colours, at, 0).rgb * exp(-strength * dark), 1.0);
}`;

class Drawing {
  constructor(canvas, cloud) {
    const gl = canvas.getContext('webgl2', {antialias: false, preserveDrawingBuffer: true});
    if (!gl) throw new Error('this browser has no WebGL 2');
    Object.assign(this, {gl, canvas, cloud, width: 0, height: 0});
    this.points = program(gl, POINTS, PAINT);
    this.shade = program(gl, SCREEN, SHADE);
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    attribute(gl, 0, cloud.before, 3, gl.FLOAT);
    attribute(gl, 1, cloud.move, 3, gl.FLOAT);
    this.colourBuffer = attribute(gl, 2, new Uint8Array(4 * cloud.n), 4, gl.UNSIGNED_BYTE, true);
    attribute(gl, 3, cloud.state, 1, gl.UNSIGNED_BYTE);
    this.nothing = gl.createVertexArray();
  }

  paint(bytes) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.colourBuffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, bytes, this.gl.DYNAMIC_DRAW);
  }

  resize() {
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.max(1, Math.round(side * scale)));
    this.scale = scale;
    if (width === this.width && height === this.height) return;
    Object.assign(this, {width, height});
    Object.assign(this.canvas, {width, height});
    const gl = this.gl;
    const texture = (format, inside, type) => {
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      gl.texImage2D(gl.TEXTURE_2D, 0, inside, width, height, 0, format, type, null);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
      return made;
    };
    [this.colours, this.depths].forEach((old) => old && gl.deleteTexture(old));
    this.colours = texture(gl.RGBA, gl.RGBA8, gl.UNSIGNED_BYTE);
    this.depths = texture(gl.DEPTH_COMPONENT, gl.DEPTH_COMPONENT32F, gl.FLOAT);
    this.frame = this.frame || gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.colours, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depths, 0);
  }

  // look: {camera, share, wiper (0 to 1, or null), size, lighting, slab, ground}
  draw(look) {
    this.resize();
    const gl = this.gl;
    const {matrix, near, far} = look.camera.matrix(this.width / this.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.viewport(0, 0, this.width, this.height);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.points.it);
    gl.bindVertexArray(this.array);
    gl.uniformMatrix4fv(this.points.at('view'), false, Float32Array.from(matrix));
    gl.uniform1f(this.points.at('size'), look.size * this.scale);
    this.cut(look.slab);
    if (look.wiper === null) {
      this.all(look.share);
    } else {
      const edge = Math.round(look.wiper * this.width);
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(0, 0, edge, this.height);
      this.all(0);
      gl.scissor(edge, 0, this.width - edge, this.height);
      this.all(1);
      gl.disable(gl.SCISSOR_TEST);
    }
    this.light(look, near, far);
  }

  all(share) {
    this.gl.uniform1f(this.points.at('share'), share);
    this.gl.drawArrays(this.gl.POINTS, 0, this.cloud.n);
  }

  cut(slab) {
    const gl = this.gl;
    gl.uniform2f(this.points.at('halves'), slab ? slab.thickness / 2 : -1, slab ? slab.width / 2 : -1);
    if (!slab) return;
    const {along, normal, middle} = slab;
    gl.uniform4f(this.points.at('slab'), ...normal, dot(normal, middle));
    gl.uniform4f(this.points.at('stretch'), ...along, dot(along, middle));
  }

  light(look, near, far) {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.shade.it);
    gl.bindVertexArray(this.nothing);
    [this.colours, this.depths].forEach((texture, place) => {
      gl.activeTexture(gl.TEXTURE0 + place);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform1i(this.shade.at('colours'), 0);
    gl.uniform1i(this.shade.at('depths'), 1);
    gl.uniform2f(this.shade.at('ends'), near, far);
    gl.uniform1i(this.shade.at('flatView'), look.camera.flat ? 1 : 0);
    gl.uniform1f(this.shade.at('unitsAcross'), 2 * look.camera.half);
    gl.uniform1f(this.shade.at('strength'), look.lighting);
    gl.uniform1f(this.shade.at('apart'), Math.max(1, Math.round(this.scale)));
    gl.uniform3f(this.shade.at('ground'), ...look.ground.map((value) => value / 255));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

function program(gl, vertex, fragment) {
  const it = gl.createProgram();
  [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]].forEach(([kind, source]) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(it, shader);
  });
  gl.linkProgram(it);
  if (!gl.getProgramParameter(it, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(it));
  const places = new Map();
  const at = (name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(it, name));
    return places.get(name);
  };
  return {it, at};
}

function attribute(gl, place, values, size, type, share = false) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, type, share, 0, 0);
  return buffer;
}

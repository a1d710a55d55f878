// What the package copc of npm finds in a file: node copc_npm.js FILE.  Points are X, Y, Z in steps, and Intensity.
const { Copc } = require("copc");

async function main(path) {
  const copc = await Copc.create(path);
  const { nodes, pages } = await Copc.loadHierarchyPage(path, copc.info.rootHierarchyPage);
  if (Object.keys(pages).length) throw new Error("more pages than one");
  const { scale, offset } = copc.header;
  const points = [];
  const found = {};
  for (const [key, node] of Object.entries(nodes)) {
    found[key] = { points: node.pointCount };
    if (!node.pointCount) continue;
    const view = await Copc.loadPointDataView(path, copc, node);
    const get = ["X", "Y", "Z"].map((name) => view.getter(name));
    const intensity = view.getter("Intensity");
    for (let i = 0; i < view.pointCount; i++) {
      points.push([...get.map((one, axis) => Math.round((one(i) - offset[axis]) / scale[axis])), intensity(i)]);
    }
  }
  console.log(JSON.stringify({ count: copc.header.pointCount, spacing: copc.info.spacing, nodes: found, points }));
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });

'use strict'
// Who may import whom in lib/:
//   cli -> train -> {model, data, optim, checkpoint, dist, analysis} -> device.ts -> native.ts -> binding.d.ts
// Among the middle rooms only model may look sideways, at data and checkpoint. errors.ts, check.ts and version.ts are open to all.

const rooms = ['model', 'data', 'optim', 'checkpoint', 'dist', 'analysis']
const open = ['^lib/(errors|check|version)\\.ts$']
const external = ['node_modules']
const sideways = { model: ['data', 'checkpoint'] }

/** What one room may import; everything else inside the project is refused. */
function mayOnlyImport(name, from, targets, comment) {
  return {
    name,
    severity: 'error',
    comment,
    from: { path: from },
    to: { pathNot: [...targets, ...open, ...external], dependencyTypesNot: ['core'] },
  }
}

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'Two files that need each other are one file, or three.',
      from: {},
      to: { circular: true },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'runtime-dependencies-only',
      severity: 'error',
      comment: 'lib/ ships: it may only import what package.json lists under dependencies.',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    ...rooms.map((room) =>
      mayOnlyImport(
        `room-${room}`,
        `^lib/${room}/`,
        [`^lib/${room}/`, '^lib/(native|device)\\.ts$', ...(sideways[room] ?? []).map((other) => `^lib/${other}/`)],
        'Middle rooms know native.ts, errors.ts, check.ts and themselves; model also knows data and checkpoint.',
      ),
    ),
    mayOnlyImport(
      'room-train',
      '^lib/train/',
      ['^lib/train/', `^lib/(${rooms.join('|')})/`, '^lib/(native|device)\\.ts$'],
      'The loop uses the middle rooms, never the command line.',
    ),
    mayOnlyImport('native', '^lib/native\\.ts$', ['^binding\\.d\\.ts$'], 'native.ts loads the addon and knows its types, nothing else.'),
    mayOnlyImport('device', '^lib/device\\.ts$', ['^lib/native\\.ts$'], 'device.ts asks native.ts what there is.'),
    mayOnlyImport('errors', '^lib/errors\\.ts$', [], 'errors.ts stands at the bottom.'),
    mayOnlyImport('check', '^lib/check\\.ts$', [], 'check.ts knows errors.ts only.'),
    {
      name: 'binding-through-native',
      severity: 'error',
      comment: 'The native surface comes in through native.ts.',
      from: { path: '^lib/', pathNot: '^lib/native\\.ts$' },
      to: { path: '^binding\\.d\\.ts$' },
    },
    {
      name: 'binding-knows-the-spec-only',
      severity: 'error',
      from: { path: '^binding\\.d\\.ts$' },
      to: { pathNot: '^lib/model/spec\\.ts$' },
    },
    {
      name: 'nobody-imports-cli',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/cli/' },
      to: { path: '^lib/cli/' },
    },
    {
      name: 'nobody-imports-index',
      severity: 'error',
      comment: 'index.ts is the door for users of the package.',
      from: { path: '^lib/', pathNot: '^lib/cli/' },
      to: { path: '^lib/index\\.ts$' },
    },
    { name: 'lib-without-tests', severity: 'error', from: { path: '^lib/' }, to: { path: '^(test|examples|scripts)/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build)/' },
    tsConfig: { fileName: 'tsconfig.test.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      conditionNames: ['sknet-source', 'import', 'require', 'node', 'types', 'default'],
      exportsFields: ['exports'],
    },
  },
}

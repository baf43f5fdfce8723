#!/usr/bin/env node
'use strict'
// Stands in for node-gyp: prebuildify runs `node-gyp rebuild --target=... --devdir=... --arch=x64 --release`, and this builds with
// cmake-js instead. The portable build has its own folder; its products are copied to build/Release, where prebuildify looks
// (it moves the .node away, and the next `npm run build` links the ordinary one again).
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const portable = path.join(root, 'build', 'portable')
const release = path.join(root, 'build', 'Release')
const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')

// Every architecture that plans run on, the last one as PTX too, for those to come.
const architectures = '80-real;86-real;89-real;90a-real;100-real;120'
const options = ['--CDSKNET_PORTABLE=ON', '--CDSKNET_CUDA_EMULATED=OFF', `--CDSKNET_CUDA_ARCHITECTURES=${architectures}`]
const built = spawnSync(
  process.execPath,
  [cmakeJs, 'compile', '--out', portable, ...options, '--parallel', String(os.availableParallelism())],
  { cwd: root, stdio: 'inherit' },
)
if (built.status !== 0) process.exit(built.status ?? 1)

fs.mkdirSync(release, { recursive: true })
for (const name of fs.readdirSync(path.join(portable, 'Release'))) {
  if (/\.(node|so)$/.test(name)) fs.copyFileSync(path.join(portable, 'Release', name), path.join(release, name))
}

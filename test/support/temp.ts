import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder for one describe block, removed after it; ask for it inside tests and hooks. */
export function temporaryFolder(): () => string {
  let path: string
  before(() => {
    path = mkdtempSync(join(tmpdir(), 'sknet-test-'))
  })
  after(() => rmSync(path, { recursive: true, force: true }))
  return () => path
}

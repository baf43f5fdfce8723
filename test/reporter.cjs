'use strict'
// Mocha's Spec reporter and, as the last line, one that programs read: `N passed, N failed, N skipped`.
const { reporters } = require('mocha')

module.exports = class ClosingLine extends reporters.Spec {
  epilogue() {
    super.epilogue()
    const { passes, failures, pending } = this.stats
    process.stdout.write(`${passes} passed, ${failures} failed, ${pending} skipped\n`)
  }
}

'use strict'
// Mocha joins the files named on the command line to `spec`; naming one must mean that one alone.
const named = process.argv.slice(2).some((argument) => /\.ts$/.test(argument))
const nightly = process.env.SKNET_NIGHTLY === '1'

module.exports = {
  spec: named ? [] : [nightly ? 'test/nightly/**/*.test.ts' : 'test/**/*.test.ts'],
  ignore: nightly || named ? [] : ['test/nightly/**'],
  'node-option': ['import=tsx'],
  reporter: './test/reporter.cjs',
  // Three times and more what the longest take on two quiet cores: a busy machine must not fail them.
  timeout: nightly ? 7_200_000 : 180_000,
  retries: 0,
  'forbid-only': Boolean(process.env.CI),
}

import { expect } from 'chai'
import { learningRate, learningRates, totalSteps, type Schedule } from '../../lib/optim/schedule.js'

const large: Schedule = { name: 'step', lr: 0.1, stepsPerEpoch: 7, epochs: 100, warmupEpochs: 0, drops: [30, 60, 90] }
const cifar: Schedule = { name: 'cosine', lr: 0.1, stepsPerEpoch: 156, epochs: 12, warmupEpochs: 1, drops: [] }

describe('schedule: step', () => {
  it('drops by ten exactly at the first step of epochs 30, 60 and 90 of 100', () => {
    const changes: [number, number][] = []
    for (let t = 1; t < totalSteps(large); t++) {
      if (learningRate(large, t) !== learningRate(large, t - 1)) changes.push([t, learningRate(large, t)])
    }
    expect(changes.map(([t]) => t)).to.deep.equal([210, 420, 630])
    changes.forEach(([, lr], i) => expect(lr).to.be.closeTo(0.1 * 10 ** -(i + 1), 1e-15))
    expect(learningRate(large, 0)).to.equal(0.1)
    expect(learningRate(large, 209)).to.equal(0.1)
  })

  it('reaches the drops of the CIFAR set-up at 150 and 225 of 300', () => {
    const schedule: Schedule = { ...large, epochs: 300, drops: [150, 225] }
    expect(learningRate(schedule, 150 * 7 - 1)).to.equal(0.1)
    expect(learningRate(schedule, 150 * 7)).to.be.closeTo(0.01, 1e-15)
    expect(learningRate(schedule, 225 * 7)).to.be.closeTo(0.001, 1e-15)
  })

  it('keeps the rate when no drop lies within the run', () => {
    const short: Schedule = { ...large, epochs: 10 }
    expect(new Set(learningRates(short, 0, 1000))).to.deep.equal(new Set([0.1]))
  })

  it('warms up before the drops', () => {
    const schedule: Schedule = { ...large, warmupEpochs: 2 }
    expect(learningRate(schedule, 0)).to.be.closeTo(0.1 / 14, 1e-15)
    expect(learningRate(schedule, 13)).to.be.closeTo(0.1, 1e-15)
    expect(learningRate(schedule, 14)).to.equal(0.1)
  })

  it('takes another factor', () => {
    expect(learningRate({ ...large, factor: 0.5 }, 420)).to.be.closeTo(0.025, 1e-15)
  })
})

describe('schedule: cosine', () => {
  it('warms up linearly, lr (t + 1) / W', () => {
    for (const t of [0, 1, 77, 155]) expect(learningRate(cifar, t)).to.be.closeTo((0.1 * (t + 1)) / 156, 1e-15)
  })

  it('follows lr / 2 (1 + cos pi (t - W) / (T - W)) afterwards', () => {
    const total = 12 * 156
    for (const t of [156, 500, 1000, total - 1]) {
      expect(learningRate(cifar, t)).to.be.closeTo(0.05 * (1 + Math.cos((Math.PI * (t - 156)) / (total - 156))), 1e-15)
    }
    expect(learningRate(cifar, 156)).to.equal(0.1)
  })

  it('is half the base rate half way and nearly 0 at the end', () => {
    const schedule: Schedule = { ...cifar, warmupEpochs: 0, epochs: 2 }
    expect(learningRate(schedule, 156)).to.be.closeTo(0.05, 1e-12)
    expect(learningRate(schedule, 311)).to.be.below(1e-5)
    expect(learningRate(schedule, 311)).to.be.above(0)
  })

  it('rounds a fraction of an epoch to steps', () => {
    const schedule: Schedule = { ...cifar, warmupEpochs: 0.5 }
    expect(learningRate(schedule, 77)).to.be.closeTo(0.1, 1e-15)
    expect(learningRate(schedule, 78)).to.equal(0.1)
  })

  it('only warms up when the run is shorter than its warm-up', () => {
    const schedule: Schedule = { ...cifar, warmupEpochs: 5, epochs: 2 }
    const rates = learningRates(schedule, 0, 1000)
    expect(rates).to.have.length(312)
    expect(rates.at(-1)).to.be.closeTo((0.1 * 312) / 780, 1e-15)
  })
})

describe('schedule: rates of a chunk', () => {
  it('gives the same rates however the run is cut', () => {
    const whole = learningRates(cifar, 0, totalSteps(cifar))
    const parts: number[] = []
    for (let first = 0; first < totalSteps(cifar); first += 37) parts.push(...learningRates(cifar, first, 37))
    expect(parts).to.deep.equal([...whole])
  })

  it('ends with the run', () => {
    expect(learningRates(cifar, totalSteps(cifar) - 3, 10)).to.have.length(3)
    expect(learningRates(cifar, totalSteps(cifar), 10)).to.have.length(0)
  })
})

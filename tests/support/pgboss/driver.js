// A pg-boss of the version asked for, ruled by lines of JSON: {"do": METHOD, "with": [ARGUMENTS]} is answered by
// {"answer": …} or {"error": TEXT}. Ends with its standard input.
//   node driver.js MAJOR URL SCHEMA
import { createInterface } from 'node:readline'

const [major, connectionString, schema] = process.argv.slice(2)
const library = await import(`pg-boss-${major}`)
const PgBoss = library.PgBoss ?? library.default

// Nothing happens by itself: what maintains is called when a test says so.
const boss = new PgBoss({ connectionString, schema, max: 2, supervise: false, schedule: false })
boss.on('error', error => process.stderr.write(`${error.stack}\n`))

class Thrown extends Error {
  constructor (name, message) {
    super(message)
    this.name = name
  }
}

const methods = {
  start: async () => { await boss.start() },
  createQueue: (name, options = {}) => boss.createQueue(name, { name, ...options }),
  deleteQueue: name => boss.deleteQueue(name),
  send: async (name, data, options = {}, count = 1) => {
    const ids = []
    for (let i = 0; i < count; i++) ids.push(await boss.send(name, data, options))
    return ids
  },
  sendDebounced: (name, data, options, seconds, key) => boss.sendDebounced(name, data, options, seconds, key),
  flow: jobs => boss.flow(jobs),
  fetch: async (name, batchSize = 1) => ((await boss.fetch(name, { batchSize })) ?? []).map(job => job.id),
  complete: (name, ids, data) => boss.complete(name, ids, data),
  fail: (name, ids, error, message) => boss.fail(name, ids, new Thrown(error, message)),
  cancel: (name, ids) => boss.cancel(name, ids),
  resume: (name, ids) => boss.resume(name, ids),
  retry: (name, ids) => boss.retry(name, ids),
  deleteJob: (name, ids) => boss.deleteJob(name, ids),
  // Ends attempts past their time limit, and tidies up.
  supervise: async name => { await (boss.supervise ? boss.supervise(name) : boss.maintain()) },
  // A worker as an application has one; `behaviour` is what its handler does with each job.
  work: (name, behaviour) => boss.work(name, { pollingIntervalSeconds: 0.5 }, async () => {
    if (behaviour === 'throw') throw new TypeError('not a function')
    if (behaviour === 'hang') await new Promise(() => {})
  }),
  offWork: name => boss.offWork(name)
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: method, with: given = [] } = JSON.parse(line)
  let reply
  try {
    reply = { answer: (await methods[method](...given)) ?? null }
  } catch (error) {
    reply = { error: `${error.name}: ${error.message}` }
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
process.exit(0)

// Runs the public HTTP cache test suite (npm package http-cache-tests) against the built binary.
//
//   node scripts/conformance.mjs [--bin target/debug/forebay] [--only test-id]
//
// Prints a table by kind and by group and writes tests/conformance/result.json. Exits 1 when fewer tests pass than that
// file records. A test counts as passed only if all tests it depends on are passed too. --only runs one test and shows
// its requests and responses as client and origin server saw them; nothing is recorded then.

import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const VERSION = '0.4.5'
const KINDS = ['required', 'optimal', 'check']
/** The site's words for each column. Nothing else is set: all other words keep their defaults. */
const SETTINGS = {
  'set_cookie = "rfc"': ['set_cookie = "rfc"'],
  'all defaults': []
}
const RECORDED = Object.keys(SETTINGS)[0]

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cache = path.join(root, 'target', 'conformance')
const suite = path.join(cache, 'node_modules', 'http-cache-tests')
const directory = path.join(root, 'tests', 'conformance')
const { values: options } = parseArgs({ options: { bin: { type: 'string' }, only: { type: 'string' } } })
const binary = path.resolve(options.bin ?? process.env.FOREBAY_BIN ?? path.join(root, 'target', 'debug', 'forebay'))

const children = []
process.on('exit', () => children.forEach(child => child.kill('SIGKILL')))

function install () {
  const manifest = path.join(suite, 'package.json')
  if (fs.existsSync(manifest) && JSON.parse(fs.readFileSync(manifest)).version === VERSION) return
  fs.mkdirSync(cache, { recursive: true })
  const quiet = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  const { status } = spawnSync('npm', ['install', '--prefix', cache, ...quiet, `http-cache-tests@${VERSION}`],
    { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error('npm could not install http-cache-tests')
}

function freePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** Starts a program and waits until `ready` finds something in what it printed. */
function start (command, args, settings, ready) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...settings })
    children.push(child)
    let printed = ''
    const look = chunk => {
      if (printed === undefined) return
      printed += chunk
      const found = ready(printed)
      if (!found) return
      printed = undefined
      resolve({ child, found })
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('error', reject)
    child.on('exit', code => reject(new Error(`${command} ended with ${code}:\n${printed ?? ''}`)))
  })
}

/** The suite's origin server, kept to the loopback interface: by itself it listens on all. */
async function startOrigin (state) {
  const port = await freePort()
  const module = pathToFileURL(path.join(suite, 'server', 'server.mjs')).href
  const program = `
    import net from 'node:net'
    const listen = net.Server.prototype.listen
    net.Server.prototype.listen = function (port) { return listen.call(this, port, '127.0.0.1') }
    await import(${JSON.stringify(module)})`
  const env = {
    ...process.env,
    npm_config_protocol: 'http',
    npm_config_port: `${port}`,
    npm_config_pidfile: path.join(state, 'origin.pid')
  }
  const args = ['--no-warnings', '--input-type=module', '--eval', program]
  const { child } = await start(process.execPath, args, { cwd: suite, env }, text => text.includes('Listening'))
  if (options.only) child.stdout.pipe(process.stdout)
  return port
}

async function startProxy (state, name, origin, lines) {
  const folder = path.join(state, name.replaceAll(/\W+/g, '-'))
  fs.mkdirSync(path.join(folder, 'state'), { recursive: true })
  const config = path.join(folder, 'forebay.toml')
  fs.writeFileSync(config, [
    '[server]', `state_dir = ${JSON.stringify(path.join(folder, 'state'))}`,
    '[[listen]]', 'address = "127.0.0.1:0"',
    '[admin]', 'address = "127.0.0.1:0"',
    '[log]', `path = ${JSON.stringify(path.join(folder, 'access.log'))}`,
    '[[upstream]]', 'name = "origin"', `servers = [{ address = "127.0.0.1:${origin}" }]`,
    '[[site]]', 'hosts = ["*"]', 'upstream = "origin"', ...lines, ''
  ].join('\n'))
  const address = text => /^ready$/m.test(text) && /^listening on http:\/\/([\d.]+:\d+)/m.exec(text)?.[1]
  const { found } = await start(binary, ['run', '--config', config], { cwd: folder }, address)
  return `http://${found}`
}

/** What the suite's own client says of each test: `true`, or the kind of failure and a sentence. */
function runClient (base) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, npm_config_base: base, npm_config_id: options.only ?? '', npm_package_config_id: '' }
    const client = spawn(process.execPath, ['--no-warnings', 'cli.mjs'], { cwd: suite, env, stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(client)
    let printed = ''
    client.stdout.on('data', chunk => { printed += chunk })
    client.on('error', reject)
    client.on('close', () => {
      try {
        resolve(options.only ? printed : JSON.parse(printed))
      } catch {
        reject(new Error(`the suite's client printed no results:\n${printed}`))
      }
    })
  })
}

async function loadTests () {
  const load = async name => (await import(pathToFileURL(path.join(suite, 'tests', `${name}.mjs`)).href)).default
  const groups = [...await load('index'), await load('surrogate-control')]
  return groups.flatMap(group => group.tests.filter(test => !test.browser_only).map(test => ({
    id: test.id, group: group.id, name: test.name, kind: test.kind ?? 'required', needs: test.depends_on ?? []
  })))
}

/** `pass`, `fail`, `setup` (the test could not be made) or `dependency` (a test it builds upon is not passed). */
function judge (tests, results) {
  const byId = new Map(tests.map(test => [test.id, test]))
  const verdicts = new Map()
  const verdict = id => {
    if (!verdicts.has(id)) {
      const result = results[id]
      const own = result === true ? 'pass' : result?.[0] === 'Setup' ? 'setup' : 'fail'
      const needs = byId.get(id)?.needs ?? []
      verdicts.set(id, needs.every(need => verdict(need) === 'pass') ? own : 'dependency')
    }
    return verdicts.get(id)
  }
  tests.forEach(test => verdict(test.id))
  return verdicts
}

function count (tests, verdicts) {
  const of = selected => ({
    passed: selected.filter(test => verdicts.get(test.id) === 'pass').length, of: selected.length
  })
  const kinds = selected => Object.fromEntries(KINDS.map(kind => [kind, of(selected.filter(test => test.kind === kind))]))
  const groups = [...new Set(tests.map(test => test.group))]
  return {
    total: kinds(tests),
    groups: Object.fromEntries(groups.map(group => [group, kinds(tests.filter(test => test.group === group))]))
  }
}

function printTable (columns) {
  const cell = ({ passed, of }) => (of === 0 ? '' : `${passed}/${of}`).padStart(10)
  const row = (name, kinds) => console.log(name.padEnd(20) + KINDS.map(kind => cell(kinds[kind])).join(''))
  for (const [name, { counts }] of Object.entries(columns)) {
    console.log(`\nhttp-cache-tests ${VERSION}, ${name}`)
    console.log(''.padEnd(20) + KINDS.map(kind => kind.padStart(10)).join(''))
    if (name === RECORDED) Object.entries(counts.groups).forEach(([group, kinds]) => row(group, kinds))
    row('all', counts.total)
  }
}

function printFailures (tests, { verdicts, results }, deviations) {
  for (const kind of ['required', 'optimal']) {
    const failed = tests.filter(test => test.kind === kind && verdicts.get(test.id) !== 'pass')
    if (failed.length === 0) continue
    console.log(`\nNot passed, ${kind}:`)
    for (const { id } of failed) {
      const said = Array.isArray(results[id]) ? results[id][1] : ''
      console.log(`  ${id} (${verdicts.get(id)}): ${deviations[id] ?? `UNEXPLAINED: ${said}`}`)
    }
  }
}

/** Writes what is worth keeping: no words that change from run to run. */
function record (file, tests, columns, deviations) {
  const { verdicts } = columns[RECORDED]
  const failed = tests.filter(test => test.kind !== 'check' && verdicts.get(test.id) !== 'pass')
  const answers = tests.filter(test => test.kind === 'check')
  const kept = {
    suite: `http-cache-tests ${VERSION}`,
    setting: RECORDED,
    passed: columns[RECORDED].counts.total,
    passed_with_all_defaults: columns['all defaults'].counts.total,
    groups: columns[RECORDED].counts.groups,
    not_passed: Object.fromEntries(failed.map(({ id, kind }) =>
      [id, { kind, verdict: verdicts.get(id), reason: deviations[id] ?? null }])),
    checks_answered_no: answers.filter(({ id }) => verdicts.get(id) !== 'pass').map(({ id }) => id)
  }
  fs.writeFileSync(file, JSON.stringify(kept, null, 2) + '\n')
}

async function main () {
  install()
  const state = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-conformance-'))
  process.on('exit', () => fs.rmSync(state, { recursive: true, force: true }))
  const origin = await startOrigin(state)
  if (options.only) {
    console.log(await runClient(await startProxy(state, RECORDED, origin, SETTINGS[RECORDED])))
    return 0
  }
  const tests = await loadTests()
  const run = async ([name, lines]) => {
    const results = await runClient(await startProxy(state, name, origin, lines))
    const verdicts = judge(tests, results)
    return [name, { results, verdicts, counts: count(tests, verdicts) }]
  }
  const columns = Object.fromEntries(await Promise.all(Object.entries(SETTINGS).map(run)))
  const deviations = JSON.parse(fs.readFileSync(path.join(directory, 'deviations.json')))
  printTable(columns)
  printFailures(tests, columns[RECORDED], deviations)
  const file = path.join(directory, 'result.json')
  const before = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)).passed : undefined
  const now = columns[RECORDED].counts.total
  const fewer = KINDS.slice(0, 2).filter(kind => now[kind].passed < (before?.[kind].passed ?? 0))
  if (fewer.length > 0) {
    console.error(`\nFewer tests pass than recorded: ${fewer.map(kind => `${kind} ${now[kind].passed} < ${before[kind].passed}`).join(', ')}`)
    return 1
  }
  record(file, tests, columns, deviations)
  return 0
}

main().then(code => process.exit(code), error => {
  console.error(`conformance: ${error.message}`)
  process.exit(2)
})

// Loaded before the language server: whoever wants the network is written down, and gets nothing.
const fs = require('node:fs')
const net = require('node:net')
const dns = require('node:dns')

function note(what, target) {
  fs.appendFileSync(process.env.DOD_ATTEMPTS, `${what} ${target}\n`)
  return Object.assign(new Error(`${what}: there is no network here`), { code: 'ENETUNREACH' })
}

net.Socket.prototype.connect = function (...target) {
  const options = target.flat()[0]
  process.nextTick(() => this.destroy(note('connect', options.host ?? options)))
  return this
}
dns.lookup = (name, ...rest) => process.nextTick(rest.at(-1), note('lookup', name))
dns.promises.lookup = (name) => Promise.reject(note('lookup', name))
globalThis.fetch = (url) => Promise.reject(note('fetch', url))

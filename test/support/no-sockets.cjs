// Preloaded into a process whose every attempt to reach anything over a socket must fail. It leaves
// a mark in the file of NO_SOCKETS_MARK, so that a test can tell that it was there.
const {appendFileSync} = require('node:fs')
const dns = require('node:dns')
const dgram = require('node:dgram')
const net = require('node:net')

const refuse = () => {
  appendFileSync(process.env.NO_SOCKETS_MARK, 'tried\n')
  throw new Error('sockets are blocked')
}
net.Socket.prototype.connect = refuse
dgram.Socket.prototype.bind = refuse
dgram.Socket.prototype.send = refuse
dns.lookup = refuse
appendFileSync(process.env.NO_SOCKETS_MARK, 'loaded\n')

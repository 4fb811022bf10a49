// Kinesis by kinesalite, in memory, on a free loopback port, which it tells in a line: its own command listens on every interface.
const kinesalite = require('kinesalite')

const options = { createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 100 }
const server = kinesalite(options).listen(0, '127.0.0.1', () => console.log(server.address().port))

// Two Socket.IO servers and their adapters over Redis: broadcasts, rooms, sockets of the other server, acknowledgements.
'use strict';

const { createServer } = require('node:http');
const { once } = require('node:events');
const Redis = require('ioredis');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const connect = require('socket.io-client').io;
const pubsub = require('@socket.io/redis-adapter');
const streams = require('@socket.io/redis-streams-adapter');
const { assert, connection, run, until } = require('./helpers');

const driver = () => createClient({ socket: connection }).connect();

// How the adapters are made, over both drivers.
const ADAPTERS = {
  'redis-adapter with redis': async () => pubsub.createAdapter(await driver(), await driver()),
  'redis-adapter with ioredis': async () => pubsub.createAdapter(new Redis(connection), new Redis(connection)),
  'sharded redis-adapter': async () => pubsub.createShardedAdapter(await driver(), await driver()),
  'redis-streams-adapter': async () => streams.createAdapter(await driver()),
};

// One server, and a client of it.
class Side {
  async start(adapter) {
    const http = createServer();
    this.server = new Server(http, { adapter: await adapter() });
    this.server.on('connection', (socket) => socket.on('join', (room, done) => { socket.join(room); done(); }));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    this.client = connect(`http://127.0.0.1:${http.address().port}`, { transports: ['websocket'] });
    this.heard = [];
    this.client.on('news', (text, done) => { this.heard.push(text); done?.(this.client.id); });
    await once(this.client, 'connect');
    return this;
  }

  async stop() {
    this.client.close();
    await this.server.close();
  }
}

async function exercise(a, b) {
  await until(async () => await a.server.of('/').adapter.serverCount() === 2, 10, 'the servers see each other');
  const sockets = await a.server.fetchSockets();
  assert.deepEqual(sockets.map(({ id }) => id).sort(), [a.client.id, b.client.id].sort(), 'fetchSockets');

  a.server.emit('news', 'to all');
  await until(() => a.heard.length && b.heard.length, 10, 'a broadcast arrives on both sides');
  await b.client.emitWithAck('join', 'room');
  a.server.to('room').emit('news', 'to the room');
  a.server.except('room').emit('news', 'to the others');
  await until(() => a.heard.length === 2 && b.heard.length === 2, 10, 'both rooms are served');
  assert.deepEqual([a.heard, b.heard], [['to all', 'to the others'], ['to all', 'to the room']]);

  const answers = await a.server.timeout(5_000).emitWithAck('news', 'acknowledge');
  assert.deepEqual(answers.sort(), [a.client.id, b.client.id].sort(), 'acknowledgements of all clients');
  b.server.on('question', (text, answer) => answer(`${text}: 42`));
  assert.deepEqual(await a.server.serverSideEmitWithAck('question', 'the answer'), ['the answer: 42'], 'serverSideEmit');

  a.server.in(b.client.id).socketsJoin('other room');
  await until(async () => (await a.server.in('other room').fetchSockets()).length === 1, 10, 'socketsJoin of the other server');
  a.server.in('other room').disconnectSockets();
  await until(() => b.client.disconnected, 10, 'disconnectSockets of the other server');
}

run(async () => {
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    const [a, b] = [await new Side().start(adapter), await new Side().start(adapter)];
    await exercise(a, b).catch((error) => { throw new Error(`${name}: ${error.message}`, { cause: error }); });
    await Promise.all([a.stop(), b.stop()]);
  }
  return 'four adapters: broadcast, rooms, acknowledgements, serverSideEmit, fetchSockets, socketsJoin, disconnectSockets';
});

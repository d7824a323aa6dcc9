// rate-limiter-flexible by both drivers: limits hold exactly under concurrency, blocks, penalties, bursts.
'use strict';

const Redis = require('ioredis');
const { createClient } = require('redis');
const { BurstyRateLimiter, RateLimiterRedis, RateLimiterUnion } = require('rate-limiter-flexible');
const { assert, connection, run, until } = require('./helpers');

const POINTS = 50, REQUESTS = 200;

// How many of many simultaneous requests pass; a refusal is no Error, but says how long to wait.
async function passing(limiters, key, requests) {
  const all = Array.from({ length: requests }, (_, n) => limiters[n % limiters.length].consume(key));
  const settled = await Promise.allSettled(all);
  for (const { reason } of settled.filter(({ status }) => status === 'rejected')) {
    if (reason instanceof Error) throw reason;
    assert(reason.msBeforeNext > 0, `msBeforeNext: ${reason.msBeforeNext}`);
  }
  return settled.filter(({ status }) => status === 'fulfilled').length;
}

async function exact(make) {
  const limiters = [make({ points: POINTS, duration: 600 }), make({ points: POINTS, duration: 600 })];
  assert.equal(await passing(limiters, 'somebody', REQUESTS), POINTS);
  assert.equal(await passing(limiters, 'somebody else', REQUESTS), POINTS);
  const state = await limiters[0].get('somebody');
  assert.deepEqual([state.consumedPoints, state.remainingPoints], [REQUESTS, 0]);
  assert(state.msBeforeNext > 590_000 && state.msBeforeNext <= 600_000, `msBeforeNext: ${state.msBeforeNext}`);
  assert.equal(await limiters[0].delete('somebody'), true);
  assert.equal(await limiters[0].get('somebody'), null);
}

async function window(make) {
  const limiter = make({ points: 2, duration: 1, keyPrefix: 'window' });
  assert.equal(await passing([limiter], 'x', 5), 2);
  await until(() => limiter.consume('x').then(() => true, () => false), 5, 'the window ends');
}

async function points(make) {
  const limiter = make({ points: 10, duration: 60, keyPrefix: 'points' });
  assert.equal((await limiter.consume('x', 4)).remainingPoints, 6);
  assert.equal((await limiter.penalty('x', 3)).consumedPoints, 7);
  assert.equal((await limiter.reward('x', 2)).consumedPoints, 5);
  await limiter.set('x', 10, 60);
  assert.equal((await limiter.consume('x').catch((refused) => refused)).remainingPoints, 0);
}

async function blocks(make) {
  const limiter = make({ points: 3, duration: 5, blockDuration: 300, keyPrefix: 'blocks' });
  assert.equal(await passing([limiter], 'x', 10), 3);
  const refused = await limiter.consume('x').catch((reason) => reason);
  assert(refused.msBeforeNext > 290_000 && refused.msBeforeNext <= 300_000, `blocked for ${refused.msBeforeNext} ms`);
  await limiter.block('y', 100);
  const blocked = await limiter.consume('y').catch((reason) => reason);
  assert(blocked.msBeforeNext > 95_000 && blocked.msBeforeNext <= 100_000, `blocked for ${blocked.msBeforeNext} ms`);
}

async function combined(make) {
  const bursty = new BurstyRateLimiter(make({ points: 2, duration: 60, keyPrefix: 'slow' }),
    make({ points: 5, duration: 60, keyPrefix: 'burst' }));
  assert.equal(await passing([bursty], 'x', 20), 7, 'bursts');
  const union = new RateLimiterUnion(make({ points: 2, duration: 60, keyPrefix: 'one' }),
    make({ points: 5, duration: 60, keyPrefix: 'two' }));
  await union.consume('x');
  await union.consume('x');
  const refused = await union.consume('x').catch((reason) => reason);
  assert.deepEqual(Object.keys(refused), ['one'], 'the union says which limit is reached');
}

async function all(make, flush) {
  for (const step of [exact, window, points, blocks, combined]) await step(make);
  await flush();
  assert.equal(await passing([make({ points: 3, duration: 60, keyPrefix: 'flushed' })], 'x', 9), 3);
}

run(async () => {
  const ioredis = new Redis(connection);
  await all((options) => new RateLimiterRedis({ storeClient: ioredis, ...options }), () => ioredis.script('FLUSH'));
  await ioredis.flushall();
  const redis = await createClient({ socket: connection }).connect();
  await all((options) => new RateLimiterRedis({ storeClient: redis, useRedisPackage: true, ...options }),
    () => redis.scriptFlush());
  return `ioredis and redis: exactly ${POINTS} of ${REQUESTS} at once, windows, blocks, penalties, bursts, SCRIPT FLUSH`;
});

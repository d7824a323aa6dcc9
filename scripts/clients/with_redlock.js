// redlock on one instance: contention, locks of several resources, extension, loss, automatic extension.
'use strict';

const Redis = require('ioredis');
const { default: Redlock, ExecutionError, ResourceLockedError } = require('redlock');
const { assert, connection, fail, run, sleep, until } = require('./helpers');

const TASKS = 20, ROUNDS = 5;

async function contention(redis, redlock) {
  await redis.set('counter', 0);
  let inside = 0;
  const work = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const lock = await redlock.acquire(['counter-lock'], 10_000);
      assert.equal(++inside, 1, 'one at a time');
      await redis.set('counter', Number(await redis.get('counter')) + 1);
      inside--;
      await lock.release();
    }
  };
  await Promise.all(Array.from({ length: TASKS }, work));
  assert.equal(await redis.get('counter'), String(TASKS * ROUNDS));
  assert.equal(await redis.exists('counter-lock'), 0);
}

// A lock of several resources is taken as a whole or not at all.
async function several(redis, impatient) {
  const lock = await impatient.acquire(['a', 'b', 'c'], 5_000);
  const refused = await impatient.acquire(['d', 'b'], 5_000).catch((error) => error);
  assert(refused instanceof ExecutionError, `expected an ExecutionError: ${refused}`);
  const [votes] = await Promise.all(refused.attempts);
  assert([...votes.votesAgainst.values()][0] instanceof ResourceLockedError);
  assert.equal(await redis.exists('d'), 0, 'd was not taken');
  await lock.release();
  assert.equal(await redis.exists('a', 'b', 'c'), 0);
}

async function extension(redis, impatient) {
  const lock = await (await impatient.acquire(['e'], 2_000)).extend(20_000);
  const left = await redis.pttl('e');
  assert(left > 18_000 && left <= 20_000, `extended to 20 s: ${left} ms`);
  await redis.set('e', 'somebody else');
  await assert.rejects(lock.extend(5_000), ExecutionError);
  await assert.rejects(lock.release(), ExecutionError);
  assert.equal(await redis.get('e'), 'somebody else', 'what is not ours stays');
}

async function expiry(impatient) {
  await impatient.acquire(['brief'], 300);
  await assert.rejects(impatient.acquire(['brief'], 300), ExecutionError);
  const lock = await until(() => impatient.acquire(['brief'], 5_000).catch(() => null), 5, 'the lock expires');
  await lock.release();
}

// `using` extends the lock again and again while its routine runs.
async function automatic(redis, redlock) {
  const owners = new Set();
  await redlock.using(['long'], 2_000, { automaticExtensionThreshold: 1_000 }, async (signal) => {
    for (let begun = Date.now(); Date.now() - begun < 3_500; await sleep(50)) {
      owners.add(await redis.get('long'));
      assert(!signal.aborted, `aborted: ${signal.error}`);
    }
  });
  assert(owners.size === 1 && !owners.has(null), 'held by one owner for longer than its first time');
  assert.equal(await redis.exists('long'), 0);
}

run(async () => {
  const redis = new Redis(connection);
  const redlock = new Redlock([redis], { retryCount: 1_500, retryDelay: 10, retryJitter: 10 });
  const impatient = new Redlock([redis], { retryCount: 0 });
  // What is locked is tried again; an error of the server ends the program, and not only after all tries.
  redlock.on('error', (error) => error instanceof ResourceLockedError || fail(error));
  await contention(redis, redlock);
  await redis.script('FLUSH');
  await several(redis, impatient);
  await extension(redis, impatient);
  await expiry(impatient);
  await automatic(redis, redlock);
  return `${TASKS} tasks for one lock, several resources, extension, loss, expiry, automatic extension, SCRIPT FLUSH`;
});

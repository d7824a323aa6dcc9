// What every Node program here needs: where the server is, its worker processes, and how a program ends.
'use strict';

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const { setTimeout: sleep } = require('node:timers/promises');

const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) };

// Runs the program; the sentence it returns is what was done. The process ends at once: libraries leave
// timers and connections behind.
function run(program) {
  process.on('unhandledRejection', fail);
  program().then((done) => {
    console.log(done);
    process.exit(0);
  }, fail);
}

function fail(error) {
  console.error(error);
  console.log(`${error.name}: ${error.message}`.replace(/\s+/g, ' '));
  process.exit(1);
}

// Waits for something that the server or a worker will do, and returns it.
async function until(holds, seconds, what) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const result = await holds();
    if (result) return result;
    assert(Date.now() < deadline, `not within ${seconds} s: ${what}`);
    await sleep(20);
  }
}

// Starts this program again as a worker; what the worker says goes where our errors go.
function startWorker(file) {
  return fork(file, ['worker'], { stdio: ['ignore', process.stderr, process.stderr, 'ipc'] });
}

const isWorker = process.argv[2] === 'worker';
if (isWorker) process.on('disconnect', () => process.exit(0));

module.exports = { assert, connection, fail, isWorker, run, sleep, startWorker, until };

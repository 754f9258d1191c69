// Commands, logs and ports of a pod that really runs: ONDOL_TEST_POD names one of busybox in `default` that serves HTTP at port 80
// and prints a line a second.
import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';

import { config, k8s, until } from './cluster.mjs';

test('commands, logs and ports of a pod', { skip: process.env.ONDOL_TEST_POD ? false : 'the nodes run no containers' }, async (context) => {
  const pod = process.env.ONDOL_TEST_POD;
  const collected = () => {
    const chunks = [];
    const stream = new Writable({ write: (chunk, _, done) => { chunks.push(chunk); done(); } });
    return { stream, text: () => Buffer.concat(chunks).toString() };
  };
  await context.test('a command reads, prints and ends with a code', async () => {
    const [out, complaint, input] = [collected(), collected(), new PassThrough()];
    const ended = new Promise((resolve, reject) => {
      const command = ['sh', '-c', 'read line; echo got $line; echo complaint >&2; exit 3'];
      new k8s.Exec(config).exec('default', pod, 'main', command, out.stream, complaint.stream, input, false, resolve).catch(reject);
    });
    input.write('typed in\n');
    const status = await ended;
    assert.equal(status.details.causes[0].message, '3');
    assert.deepEqual([out.text(), complaint.text()], ['got typed in\n', 'complaint\n']);
  });
  await context.test('its output is attached to', async () => {
    const out = collected();
    const socket = await new k8s.Attach(config).attach('default', pod, 'main', out.stream, null, null, false);
    await until('a line', () => out.text().includes('\n'));
    socket.close();
  });
  await context.test('its log is followed', async () => {
    const out = collected();
    const following = await new k8s.Log(config).log('default', pod, 'main', out.stream, { follow: true, tailLines: 1 });
    await until('three lines', () => out.text().split('\n').length > 3);
    following.abort();
  });
  await context.test('its port is forwarded', async () => {
    const [out, input] = [collected(), new PassThrough()];
    const socket = await new k8s.PortForward(config, true).portForward('default', pod, [80], out.stream, null, input);
    input.write('GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n');
    await until('an answer', () => out.text().includes('200 OK'));
    socket.close();
  });
});

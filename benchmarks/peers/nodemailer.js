// Nodemailer, asked by lines of JSON on standard input: {task: {...}} runs a task and prints its figures.
'use strict';
const path = require('path');
const readline = require('readline');
const nodemailer = require(path.join(process.env.PEER_MODULES, 'nodemailer'));

const transports = new Map();

function transport(task) {
  const key = `${task.port}/${task.connections}`;
  if (!transports.has(key)) {
    transports.set(key, nodemailer.createTransport({
      host: '127.0.0.1', port: task.port, secure: task.tls, ignoreTLS: !task.tls,
      tls: { ca: task.ca, servername: 'localhost' }, pool: true, maxConnections: task.connections,
      maxMessages: Infinity, auth: { user: 'anna', pass: 'segreto' },
    }));
  }
  return transports.get(key);
}

function send(task, count) {
  const mailer = transport(task);
  let next = 0;
  const one = async () => {
    while (next < count) {
      const number = next++;
      await mailer.sendMail({
        from: { name: task.sender_name, address: 'anna@example.it' },
        to: { name: task.recipient_name, address: `c${number}@example.com` },
        subject: task.subject, text: task.text,
        attachments: task.file ? [{ path: task.file, filename: 'invoice.pdf', contentType: 'application/pdf' }] : [],
      });
    }
  };
  return Promise.all(Array.from({ length: task.connections * 2 }, one));
}

async function run(task) {
  const before = process.resourceUsage().maxRSS;
  const begun = process.hrtime.bigint(), used = process.cpuUsage();
  await send(task, task.messages);
  const wall = Number(process.hrtime.bigint() - begun) / 1e9, cpu = process.cpuUsage(used);
  const rss = (process.resourceUsage().maxRSS - before) / 1024;
  return { messages: task.messages, wall, cpu: (cpu.user + cpu.system) / 1e6, rss };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { task, warm } = JSON.parse(line);
    if (warm) {
      for (const end = Date.now() + warm * 1000; Date.now() < end;) await send(task, task.file ? task.connections : warm < 1 ? task.connections * 2 : 200);
    }
    process.stdout.write(JSON.stringify(await run(task)) + '\n');
  }
  process.exit(0);
})();

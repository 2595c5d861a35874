import { Redactor } from '../../engine/core/secret.ts';
import { openLocalWith } from '../../engine/transports/local.ts';
import { openSshWith } from '../../engine/transports/ssh.ts';
import { ensurePackages } from '../_apt.ts';
import { jobSuite } from './_jobs.ts';
import { addUser, startSshd } from './_sshd.ts';

const here = { name: 'here', groups: [], vars: {}, connection: { transport: 'local' as const } };
const tools = (): { redactor: Redactor } => ({ redactor: new Redactor() });

for (const shell of ['sh', 'bash', 'busybox sh']) {
  jobSuite(`a job by the local transport with ${shell}`, async () => {
    await ensurePackages(['busybox', 'bsdutils']);
    return { open: () => openLocalWith(here, new Redactor(), shell), stop: () => Promise.resolve() };
  });
  jobSuite(`a job by ssh as root with ${shell}`, async () => {
    const sshd = await startSshd();
    return { open: () => openSshWith(shell)(sshd.host(), tools()), stop: sshd.stop };
  });
}

jobSuite('a job by ssh as a user', async () => {
  const sshd = await startSshd();
  const user = addUser();
  return {
    open: () => openSshWith('sh')(sshd.host({ user: user.name }), tools()),
    async stop() {
      user.remove();
      await sshd.stop();
    },
  };
});

for (const method of ['sudo', 'su'] as const) {
  jobSuite(`a job by ssh as a user who becomes another by ${method}`, async () => {
    const sshd = await startSshd();
    const user = addUser('ALL=(ALL) ALL');
    const other = addUser();
    const become =
      method === 'su'
        ? { user: other.name, method, password: other.password }
        : { user: 'root', method, password: user.password };
    return {
      become,
      open: () => openSshWith('sh')(sshd.host({ user: user.name }), tools()),
      async stop() {
        user.remove();
        other.remove();
        await sshd.stop();
      },
    };
  });
}

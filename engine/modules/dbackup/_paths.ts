import type { Context } from '../../core/module.ts';

const PREFIX = '/opt/scutech/dbackup3';

/** Where the product is installed: `settings.install_dir` of the pair, or its usual place. */
export const programs = ({ cluster }: Context): string => {
  const dir = cluster?.settings['install_dir'];
  return `${typeof dir === 'string' ? dir : PREFIX}/bin`;
};

/** Files of the agent: ha.info, standby/, agent.conf. */
export const AGENT = '/var/opt/scutech/dbackup3/agent';

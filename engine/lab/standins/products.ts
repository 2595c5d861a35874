import type { LabStack } from '../state.ts';

/** What of a product there are stand-ins for; its sources lie in the folder of its name. */
export interface Product {
  readonly releases: readonly string[];
  /** Of every package's name; the rest is the name of its folder in `packages/`. */
  readonly prefix: string;
  readonly packages: readonly string[];
  /** Folder that the product hands out with its packages in it, as one archive for each release. */
  readonly installer?: string;
}

/** By stack. */
export const products: Readonly<Record<LabStack, Product>> = {
  // The Catalog's schema differs between the releases.
  dbackup: {
    releases: ['8.0-9', '8.0-10'],
    prefix: 'dbackup3',
    packages: [
      ...['common', 'backupd', 'nginx', 'keepalived', 'licensed', 'infokist'],
      ...['agent', 'agent-mysql', 'stored'],
    ],
  },
  kwdb: {
    releases: ['2.2.0', '2.2.1'],
    prefix: 'kaiwudb',
    packages: ['libcommon', 'server'],
    installer: 'kwdb_install',
  },
  usphere: { releases: ['1.0-1', '1.0-2'], prefix: 'usphere', packages: ['common', 'vms', 'isc', 'ssp'] },
};

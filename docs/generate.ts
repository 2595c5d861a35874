import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modulesPage } from '../engine/cli/_reference.ts';

writeFileSync(join(import.meta.dirname, 'modules.md'), await modulesPage());

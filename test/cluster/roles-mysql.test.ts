import { rolesOnPair } from './_roles.ts';

rolesOnPair('mysql', 4);

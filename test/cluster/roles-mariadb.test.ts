import { rolesOnPair } from './_roles.ts';

rolesOnPair('mariadb', 10);

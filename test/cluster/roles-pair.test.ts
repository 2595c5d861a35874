import { isFull } from '../_full.ts';
import { rolesOnPair } from './_roles.ts';

rolesOnPair('mariadb', isFull ? 10 : 5);
if (isFull) rolesOnPair('mysql', 4);

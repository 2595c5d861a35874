import { isFull } from '../_full.ts';
import { rolesOnPair } from './_roles.ts';

rolesOnPair('mariadb', 10);
if (isFull) rolesOnPair('mysql', 4);

import { operations } from './_operations.ts';

operations('mariadb');

import { z } from 'zod';

/** How to become another user, in an inventory and in a playbook; what is left out comes from the level above. */
export const becomeSchema = z.strictObject({
  user: z.string().optional().describe('User to become (root)'),
  method: z.enum(['sudo', 'su', 'doas']).optional().describe('Program that does it (sudo)'),
  password: z.string().optional().describe('Its password, sent on standard input only'),
});

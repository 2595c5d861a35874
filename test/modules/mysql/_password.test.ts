import { expect, test } from 'vitest';
import { isPasswordOf } from '../../../engine/modules/mysql/_password.ts';

// HEX(authentication_string) as MySQL 9.7 and MariaDB 10.11 wrote them for this password.
const PASSWORD = 'drill-Book 2026 ü';
const STORED = {
  caching_sha2_password:
    '24412430304124390F253A15391F21142D29155E7A40052F523D474353576639717A503947586B6C475769506437394258594E5963484B4E41717941644A5278362E7262412F',
  mysql_native_password: '2A38364343423130354133373530313139453134314134343631363143453233434536364646303543',
};

test.each(Object.entries(STORED))('%s: the right password is told from a wrong one', (plugin, hex) => {
  const stored = Buffer.from(hex, 'hex');
  expect(isPasswordOf(plugin, stored, PASSWORD)).toBe(true);
  expect(isPasswordOf(plugin, stored, `${PASSWORD}x`)).toBe(false);
  expect(isPasswordOf(plugin, stored, '')).toBe(false);
  expect(isPasswordOf(plugin, Buffer.alloc(0), '')).toBe(true);
  expect(isPasswordOf(plugin, Buffer.alloc(0), PASSWORD)).toBe(false);
});

test('a plugin that keeps no comparable secret is not guessed at', () => {
  expect(isPasswordOf('ed25519', Buffer.from('x'), 'y')).toBeUndefined();
});

import { expect, test } from 'vitest';
import { virtualAddresses } from '../../../engine/modules/keepalived/config.ts';

test('virtual addresses are found in every block, and nowhere else', () => {
  const text = `vrrp_instance a {
    unicast_peer {
        10.0.0.2
    }
    virtual_ipaddress {
        10.0.0.120/24 dev eth0
        # 10.0.0.121/24 dev eth0
        fd00::1/64 dev eth1
    }
    virtual_ipaddress_excluded {
        10.0.1.120
    }
}`;
  expect(virtualAddresses(text)).toEqual(['10.0.0.120', 'fd00::1', '10.0.1.120']);
});

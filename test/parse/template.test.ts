import { expect, test } from 'vitest';
import { renderText } from '../../engine/parse/template.ts';

const SCOPE = {
  ...{ one: 1, two: 2, isSo: true, nothing: null },
  items: [{ x: 1, y: 2 }],
  box: { empty: {}, text: '' },
};

test.each([
  ['{{one}}{{two}}', '12'],
  ['{{one}}{{two}}.', '12.'],
  ['{{isSo}}{{one}}', 'true1'],
  ['{{nothing}}{{one}}{{two}}', '12'],
  ['{{add one two}}{{one}}', '31'],
  ['{{#each items}}{{x}}{{y}}{{/each}}', '12'],
  ['{{#if isSo}}{{one}}{{/if}}{{#if isSo}}{{two}}{{/if}}', '12'],
  ['{{#with items.[0]}}{{x}}{{y}}{{/with}}{{one}}', '121'],
])('numbers side by side are text side by side: %s is %s', (text, expected) => {
  expect(renderText(text, SCOPE, 'text')).toBe(expected);
});

test.each([
  ['{{default none "z"}}', 'z'],
  ['{{default none.of.it "z"}}', 'z'],
  ['{{default box.empty.of.it "z"}}', 'z'],
  ['{{default box.text.of "z"}}', 'z'],
  ['{{default items.[0].x "z"}}', '1'],
  ['{{#if box.none.of}}1{{else}}2{{/if}}', '2'],
  ['{{#unless box.none.of}}1{{/unless}}', '1'],
  ['{{#if box.empty}}{{default box.empty.of "z"}}{{/if}}', 'z'],
  [
    '{{#each items}}{{default x.y.z 3}}{{default this.none.of 4}}{{default ../box.none.of 5}}{{/each}}',
    '345',
  ],
  ['{{#each items as |item|}}{{default item.none.of 3}}{{/each}}', '3'],
  ['{{#each items}}{{default @root.box.none.of 3}}{{/each}}', '3'],
])('what may be missing may be missing from any part of its path on: %s is %s', (text, expected) => {
  expect(renderText(text, SCOPE, 'text')).toBe(expected);
});

test('what may not be missing is told by the part that is', () => {
  expect(() => renderText('{{box.none.of}}', SCOPE, 'text')).toThrow('unknown variable `box.none`');
  expect(() => renderText('{{lookup box.none.of "x"}}', SCOPE, 'text')).toThrow('has no value');
});

/** What a terminal hands on as it was typed: a line of it holds 4095 bytes (termios(3)), and controls do something else. */
export const isTypable = (text: string): boolean =>
  !/[\0-\x08\n-\x1f\x7f]/.test(text) && Buffer.byteLength(text) <= 4000;

export const NOT_TYPABLE = {
  error: 'is one line of at most 4000 bytes without control characters: a terminal takes no other',
};

/** Of vitest: once, after the last test. */
export async function teardown(): Promise<void> {
  const { downLeft } = await import('./lab/_fresh.ts');
  await downLeft(String(process.pid));
}

/** Time for the handshake, which stands still while somebody is asked something. */
export function stopwatch(ms: number, onEnd: () => void): { pause(): void; resume(): void; stop(): void } {
  let left = ms;
  let since = Date.now();
  let timer: NodeJS.Timeout | undefined = setTimeout(onEnd, left);
  const stop = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  return {
    stop,
    pause() {
      if (timer === undefined) return;
      stop();
      left -= Date.now() - since;
    },
    resume() {
      stop();
      since = Date.now();
      timer = setTimeout(onEnd, left);
    },
  };
}

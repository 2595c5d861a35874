import { flushed, type View, type ViewOptions } from './view.ts';

/** One event a line, exactly as the journal has it. */
export const jsonlView = ({ stdout }: ViewOptions): View => ({
  show: (event) => void stdout.write(`${JSON.stringify(event)}\n`),
  aside: (work) => work(),
  close: () => flushed(stdout),
});

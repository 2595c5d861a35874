import { plainView } from './plain.ts';
import type { View, ViewOptions } from './view.ts';
export const liveView = (options: ViewOptions): View => plainView(options);

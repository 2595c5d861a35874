/** `npm run matrix`: every instant and both servers, where `npm test` takes some of them. */
export const isFull = process.env['DRILLBOOK_MATRIX'] === 'full';

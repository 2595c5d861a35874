import { createHash } from 'node:crypto';
import { STYLE } from './html-style.ts';
import { markup, type Html } from './markup.ts';

/** Rows under a heading; nothing where there are none. */
export function table(
  title: string,
  id: string,
  heads: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
): Html {
  if (rows.length === 0) return markup``;
  const body = rows.map(
    (cells) =>
      markup`<tr>
        ${cells.map((cell) => markup`<td>${cell}</td>`)}
      </tr>`,
  );
  return markup`<section id="${id}">
    <h2>${title}</h2>
    <div class="wide">
      <table>
        <thead>
          <tr>
            ${heads.map((head) => markup`<th>${head}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${body}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** One page that needs nothing else: no script, no address, one style that its policy knows by its hash. */
export function pageOf(title: string, body: Html, style = STYLE): string {
  const hash = createHash('sha256').update(style).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        ${{ html: `<style>${style}</style>` }}
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `;
  return page.html;
}

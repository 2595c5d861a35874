/** The library as one file: it loads in a third of the time that its forty modules take. */
declare module 'handlebars/dist/handlebars.js' {
  import Handlebars from 'handlebars';
  export default Handlebars;
}

import { fileURLToPath } from 'node:url';

export default {
  base: './',
  build: { outDir: 'build', emptyOutDir: true, chunkSizeWarningLimit: 20000 },
  resolve: { alias: { 'react-custom-scrollbars-2': fileURLToPath(new URL('src/scrollbars.js', import.meta.url)) } },
};

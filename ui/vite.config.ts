import { defineConfig } from "vite";

// Hashed files and a manifest; Django finds them by name through the manifest.
export default defineConfig({
  base: "/static/dist/",
  build: {
    outDir: "../envol/web/static/dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    rollupOptions: {
      input: { app: "src/app.ts", envol: "styles/envol.css", live: "src/live/main.ts", code: "src/code.ts" },
      output: {
        entryFileNames: "[name]-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
});

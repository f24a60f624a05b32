// What every page loads: htmx without its own style tag, and small elements of ours.
import htmx from "htmx.org/dist/htmx.esm.js";

htmx.config.includeIndicatorCSS = false;

// Each file defines one element or one behaviour; none needs another.
import.meta.glob("./elements/*.ts", { eager: true });

// The live page's chart of the rate.
import uPlot from "uplot";

export { uPlot };

/** QR codes (ISO/IEC 18004) of short texts: what would otherwise be typed from paper. */
import { renderSVG, renderUnicodeCompact } from "uqr";

/** As an SVG element without any script or outside reference. */
export function qrSvg(text: string): string {
  return renderSVG(text);
}

/** As lines of block characters, two modules high each. */
export function qrLines(text: string): string[] {
  return renderUnicodeCompact(text).split("\n");
}

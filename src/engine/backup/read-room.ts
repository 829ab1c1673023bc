/**
 * The memory into which a packer reads: a batch of small files or a part of a large one, never both, as it does one task after
 * another and copies what it packs into the frame before it reads on.
 */
import { MIB } from "../../units.ts";

export const readRoom = Buffer.allocUnsafeSlow(8 * MIB);

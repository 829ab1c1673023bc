/** Which paths an entry may have (format §8.3); what restore relies on before it writes anything. */
import { bytesFromText } from "./byte-text.ts";

const COMPONENT_BYTES_MAX = 255;

/** Why `path` (byte text) may not be an entry's path, or undefined when it may. */
export function pathFault(path: string): string | undefined {
  if (path === "/") return undefined;
  if (!path.startsWith("/")) return "is not absolute";
  if (path.includes("\0")) return "holds a NUL byte";
  for (const component of path.slice(1).split("/")) {
    if (component === "") return "has an empty component";
    if (component === "." || component === "..") return `has a "${component}" component`;
    if (component.length > COMPONENT_BYTES_MAX / 3 && bytesFromText(component).length > COMPONENT_BYTES_MAX) {
      return `has a component over ${COMPONENT_BYTES_MAX} bytes`;
    }
  }
  return undefined;
}

/** `/a/b` of `/a/b/c`; `/` of `/a`. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

/** Whether `path` is `ancestor` or lies below it, by components. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === "/" || path === ancestor || (path.startsWith(ancestor) && path[ancestor.length] === "/");
}

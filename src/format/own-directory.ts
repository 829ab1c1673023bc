/** Where the program's own entries lie in every archive (format §8.6). */
export const OWN_DIRECTORY = "/.coldkeep";

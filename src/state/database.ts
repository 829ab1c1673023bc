/** Opening the databases of the state. */
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** Opens a database with a schema; one that is damaged is begun anew, because all it holds can be learnt again. */
export function openStateDatabase(path: string, schema: string): DatabaseSync {
  try {
    return initialise(new DatabaseSync(path), schema);
  } catch {
    for (const ending of ["", "-wal", "-shm"]) rmSync(path + ending, { force: true });
    return initialise(new DatabaseSync(path), schema);
  }
}

function initialise(database: DatabaseSync, schema: string): DatabaseSync {
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.exec(schema);
  return database;
}

#!/bin/sh
# recover.sh: restores one archive of a coldkeep vault from a local copy of one region, without coldkeep.
#
#   sh recover.sh [--host H] [--archive ID] [--unsigned] [--keep-going] [--scratch DIR] [--report FILE] KIT TARGET
#
# Run it inside the copy of the region, or by its path there. RECOVERY.md, beside it, tells the rest.
# Exit status: 0 restored whole; 1 failed; 2 usage; 3 restored, but the report lists something; 5 refused; 130 stopped.
#
# How it stays safe: nothing is decrypted before the manifest's signature and the digests of all objects are right.
# The catalog alone names paths. A jq program checks each of them and turns the catalog into lists of work, a line a
# step, in printable ASCII: every other byte, and the backslash, is written \0ooo, which `printf %b` turns back.
# No path may lie below anything but a directory, so no write can pass through a link, whatever the archive says.

set -u
LC_ALL=C
export LC_ALL
umask 077

tab=$(printf '\t')
id_pattern='^[0-9]{8}t[0-9]{9}z-[a-z2-7]{16}$'
frame_limit=16777216
host='' archive='' report='' unsigned=false keep_going=false scratch_in=${TMPDIR:-/tmp}
scratch='' stage='' target='' writing=false

say() { printf '%s\n' "recover: $*" >&2; }

# die STATUS MESSAGE...: says what is wrong and ends; the trap below clears the scratch files away.
die() {
  status=$1
  shift
  say "$@"
  if $writing; then say "$target is not complete: empty it before another try"; fi
  exit "$status"
}

usage() {
  die 2 "usage: sh recover.sh [--host H] [--archive ID] [--unsigned] [--keep-going]" \
    "[--scratch DIR] [--report FILE] KIT TARGET"
}

# lost PATH WHAT: notes what the restored tree lacks; PATH stays in its escaped form.
lost() { printf '%s\t%s\n' "$1" "$2" >>"$scratch/losses"; }

cleanup() {
  if [ -n "$stage" ]; then rm -rf "$stage"; fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}

# decode TEXT: leaves in $decoded what the escapes in TEXT stand for; the dot keeps a newline at the end alive.
decode() {
  case $1 in
  *\\*) decoded=$(printf '%b.' "$1") decoded=${decoded%.} ;;
  *) decoded=$1 ;;
  esac
}

# jq_or_die WHAT FILE ARGS...: runs jq over FILE; its error message, which quotes names as JSON, becomes ours.
jq_or_die() {
  what=$1 input=$2
  shift 2
  jq "$@" <"$input" 2>"$scratch/error" || die 1 "$what: $(sed 's/^jq: error[^:]*: //' "$scratch/error" | head -n 1)"
}

# Definitions that all jq programs share. jq numbers are exact up to 2^53.
jq_words='
def int: type == "number" and . >= 0 and . <= 9007199254740991 and . == floor;
def digest: type == "string" and test("^[0-9a-f]{64}$");
def id: type == "string" and test("^[0-9]{8}t[0-9]{9}z-[a-z2-7]{16}$");
def need(check; $what): if check then . else error($what) end;'

# --- before anything is read: arguments, tools, kit, host ---

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
    --host | --archive | --scratch | --report)
      if [ $# -lt 2 ]; then usage; fi
      case $1 in
      --host) host=$2 ;;
      --archive) archive=$2 ;;
      --scratch) scratch_in=$2 ;;
      --report) report=$2 ;;
      esac
      shift
      ;;
    --unsigned) unsigned=true ;;
    --keep-going) keep_going=true ;;
    --) shift && break ;;
    -*) usage ;;
    *) break ;;
    esac
    shift
  done
  if [ $# -ne 2 ] || [ -z "$1" ] || [ -z "$2" ]; then usage; fi
  kit=$(absolute "$1") target=$(absolute "$2")
  while [ "$target" != "${target%/}" ]; do target=${target%/}; done
  report=$(absolute "${report:-$target.not-restored.txt}")
  scratch_in=$(absolute "$scratch_in")
}

absolute() {
  case $1 in
  /*) printf '%s' "$1" ;;
  *) printf '%s' "$PWD/$1" ;;
  esac
}

check_tools() {
  for tool in age zstd jq sha256sum base64 dd df grep head mktemp sed sort tail touch tr uniq wc; do
    command -v "$tool" >/dev/null || die 1 "the program '$tool' is missing; RECOVERY.md says what to install"
  done
  printf abc | dd bs=9 iflag=skip_bytes,count_bytes oflag=seek_bytes skip=1 count=1 of="$scratch/probe" \
    conv=notrunc seek=1 2>/dev/null || die 1 "this dd does not know skip_bytes; install the one of GNU coreutils"
  if touch -h -d '@-0.500000000' "$scratch/probe" 2>/dev/null; then exact_times=true; else exact_times=false; fi
  if $unsigned; then return; fi
  command -v openssl >/dev/null || die 5 "openssl is missing, so the signature cannot be checked;" \
    "install it, or add --unsigned if you trust where this copy comes from"
  # An openssl without Ed25519 would call every signature bad: try it on test 2 of RFC 8032 first.
  printf r >"$scratch/message"
  printf '%s' 'kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==' |
    base64 -d >"$scratch/signature"
  signed_by 'PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=' ||
    die 5 "this openssl cannot check Ed25519 signatures; install OpenSSL 3, or add --unsigned"
}

# signed_by KEY: is scratch/signature a signature of scratch/message by the raw public KEY (base64)?
signed_by() {
  printf '%s\n' '-----BEGIN PUBLIC KEY-----' "MCowBQYDK2VwAyEA$1" '-----END PUBLIC KEY-----' >"$scratch/signer.pem"
  openssl pkeyutl -verify -pubin -inkey "$scratch/signer.pem" -rawin -in "$scratch/message" \
    -sigfile "$scratch/signature" >/dev/null 2>&1
}

find_region() {
  for region in "$PWD" "$(cd "$(dirname "$0")" && pwd)"; do
    if [ -d "$region/hosts" ]; then return; fi
  done
  die 1 "no 'hosts' folder here or beside this script: run it inside the copy of a region"
}

choose_host() {
  hosts=''
  for folder in "$region"/hosts/*/archives; do
    name=${folder%/archives} name=${name##*/}
    case $name in *[!a-z0-9.-]* | [!a-z0-9]*) continue ;; esac
    if [ "$name" = "$host" ]; then return; fi
    hosts="$hosts $name"
  done
  if [ -n "$host" ]; then die 1 "no archives of host '$host' here; there are:${hosts:- none}"; fi
  case $hosts in
  '') die 1 "no archives of any host here" ;;
  ' '*' '*) die 2 "several hosts are here; choose one with --host:$hosts" ;;
  *) host=${hosts# } ;;
  esac
}

read_kit() {
  if [ ! -f "$kit" ] || [ ! -r "$kit" ]; then die 2 "the kit $kit cannot be read"; fi
  vault='' identities=0
  : >"$scratch/signers"
  while read -r mark field role label key || [ -n "$mark" ]; do
    case "$mark $field" in
    '# vault:') vault=$role ;;
    '# signer:')
      key=${key:-$label}
      printf '%s\n' "$key" | grep -Eq '^ed25519:[A-Za-z0-9+/]{43}=$' || die 2 "the kit names a signer of an unknown kind"
      if [ "$role $label" = "host $host" ]; then printf '%s\n' "${key#ed25519:}" >>"$scratch/signers"; fi
      ;;
    AGE-SECRET-KEY-*) identities=$((identities + 1)) ;;
    esac
  done <"$kit"
  if [ $identities -eq 0 ]; then die 2 "the kit $kit holds no AGE-SECRET-KEY- line"; fi
  printf '%s\n' "$vault" | grep -Eq '^[0-9a-f]{32}$' || die 2 "the kit $kit names no vault: is it a coldkeep kit?"
  if ! $unsigned && [ ! -s "$scratch/signers" ]; then die 5 "the kit pins no signer of host '$host'"; fi
}

# --- the manifest and the objects it lists ---

# check_signature FILE: the first line of FILE into scratch/header; is the second its signature by a pinned signer?
check_signature() {
  head -n 1 "$1" | head -c 4097 | tr -d '\n' >"$scratch/header"
  if [ "$(wc -c <"$scratch/header")" -gt 4096 ]; then return 1; fi
  if $unsigned; then return 0; fi
  { printf 'coldkeep/v1/manifest\n' && cat "$scratch/header"; } >"$scratch/message"
  sed -n 2p "$1" | base64 -d >"$scratch/signature" 2>/dev/null || return 1
  while read -r key; do
    if signed_by "$key"; then return 0; fi
  done <"$scratch/signers"
  return 1
}

# choose_archive: the newest complete archive, or the one named. One that is newer but not signed by a signer of the
# kit is never passed over in silence: it may be a forgery, or the kit may be too old to know the host's new key.
choose_archive() {
  folder=$region/hosts/$host/archives
  for file in "$folder"/*.manifest; do
    file=${file##*/}
    printf '%s\n' "${file%.manifest}"
  done | grep -E "$id_pattern" | sort -r >"$scratch/ids"
  if [ "$archive" = latest ]; then archive=''; fi
  if [ -n "$archive" ] && [ "$(grep -c "^$archive" "$scratch/ids")" -ne 1 ]; then
    die 1 "--archive must fit exactly one of: $(tr '\n' ' ' <"$scratch/ids")"
  fi
  while read -r id; do
    case $id in "${archive:-$id}"*) wanted=true ;; *) wanted=false ;; esac
    if ! check_signature "$folder/$id.manifest"; then
      signer=$(jq -c '.signer' <"$scratch/header" 2>/dev/null | head -c 80)
      if grep -Fq "${signer#\"ed25519:}" "$scratch/signers"; then why='bad signature'; else why='unknown signer'; fi
      say "archive $id: signature refused ($why; it names the signer ${signer:-null})"
      if $wanted; then die 5 "nothing was restored; take another region, or name an older archive with --archive"; fi
    elif $wanted; then
      read_header
      if [ "$status" = complete ] || [ -n "$archive" ]; then return; fi
      say "archive $id is partial and is passed over; --archive $id would take it"
    fi
  done <"$scratch/ids"
  die 1 "no complete archive of host '$host' is here"
}

read_header() {
  # shellcheck disable=SC2016 # the dollars are jq's
  jq_or_die "manifest $id" "$scratch/header" -r --arg vault "$vault" --arg host "$host" --arg id "$id" "$jq_words"'
    need(.type == "manifest"; "not a manifest")
    | need(.format == 1; "format \(.format) is not known to this script")
    | need(.vault == $vault; "it belongs to another vault than the kit")
    | need(.host == $host and .id == $id; "it lies under the name of another host or archive")
    | need((.root | (.object | id) and (.sha256 | digest) and (.size | int) and .size <= 67108864); "bad root")
    | need([.root.offset, .root.length, .totals.entries, .totals.sourceBytes, .objects.count, .objects.size]
        | all(int); "bad number")
    | need((.objects.sha256 | digest) and (.status == "complete" or .status == "partial"); "bad field")
    | [.status, .root.object, .root.offset, .root.length, .root.size, .root.sha256, .totals.entries,
        .totals.sourceBytes, .objects.count, .objects.size, .objects.sha256] | join(" ")' >"$scratch/fields"
  read -r status root_object root_offset root_length root_size root_sha256 entries \
    source_bytes list_count list_size list_sha256 <"$scratch/fields"
}

# is FILE SIZE DIGEST: has FILE exactly this size and digest?
is() {
  [ "$(wc -c <"$1")" -eq "$2" ] && [ "$(sha256sum <"$1")" = "$3  -" ]
}

read_object_list() {
  tail -n +3 "$folder/$id.manifest" >"$scratch/list"
  if ! is "$scratch/list" "$list_size" "$list_sha256" || [ "$(wc -l <"$scratch/list")" -ne "$list_count" ]; then
    die 1 "manifest $id: the object list is damaged; take another region"
  fi
  # shellcheck disable=SC2016
  jq_or_die "object list of $id" "$scratch/list" -r "$jq_words"'
    need((.id | id) and (.sha256 | digest) and (.size | int); "bad line")
    | need(.kind == "volume" or .kind == "catalog"; "bad kind")
    | "\(.id) \(.kind) \(.size) \(.sha256)"' >"$scratch/objects"
}

# key_of KIND ID: where the object lies below the region.
key_of() {
  case $1 in
  volume) printf 'hosts/%s/volumes/%s.tar.zst.age' "$host" "$2" ;;
  catalog) printf 'hosts/%s/catalogs/%s.ndjson.zst.age' "$host" "$2" ;;
  esac
}

mebibytes() { printf '%s MiB' $((($1 + 1048575) / 1048576)); }

# free_bytes DIR: bytes an ordinary user may still write there.
free_bytes() {
  df -Pk "$1" | tail -n 1 | {
    read -r _ _ _ free _
    printf '%s' "$((free * 1024))"
  }
}

# The scratch holds one object in plain, one frame, and the catalog with the work lists: about 2 KB an entry, and
# some 500 bytes for each 64 KiB of large files.
check_space() {
  largest=0
  while read -r _ _ size _; do if [ "$size" -gt $largest ]; then largest=$size; fi; done <"$scratch/objects"
  scratch_need=$((largest + 2 * frame_limit + entries * 2000 + source_bytes / 128))
  say "archive $id of host $host: $entries entries, $(mebibytes "$source_bytes") of files"
  say "needs up to $(mebibytes $scratch_need) of scratch space in $scratch_in (free: $(mebibytes "$(free_bytes "$scratch")"))"
  if [ "$(free_bytes "$scratch")" -lt $scratch_need ]; then die 1 "too little scratch space; give --scratch DIR"; fi
  if [ "$(free_bytes "$target")" -lt "$source_bytes" ]; then
    say "warning: $target has less room than the files are long; only holes in them would make them fit"
  fi
}

# check_objects: names every object that is missing or whose bytes are wrong, in scratch/bad.
check_objects() {
  say "checking $list_count objects"
  while read -r object kind _ sha256; do
    printf '%s  %s\n' "$sha256" "$(key_of "$kind" "$object")"
  done <"$scratch/objects" >"$scratch/sums"
  : >"$scratch/verdicts"
  if [ "$list_count" -gt 0 ]; then (cd "$region" && sha256sum -c "$scratch/sums") >"$scratch/verdicts" 2>/dev/null; fi
  grep -v ': OK$' "$scratch/verdicts" >"$scratch/bad"
  if [ "$(grep -c ': OK$' "$scratch/verdicts")" -eq "$list_count" ]; then return; fi
  while IFS=: read -r key _; do say "missing or damaged: $key"; done <"$scratch/bad"
  if ! $keep_going; then
    die 1 "copy these objects from another region, or add --keep-going to restore what is intact"
  fi
}

# --- the catalog ---

# open_object KIND ID: decrypts an object into scratch/plain; false when it is one of the bad ones.
open_object() {
  key=$(key_of "$1" "$2")
  if grep -Fq "$key: " "$scratch/bad"; then return 1; fi
  rm -f "$scratch/plain"
  age -d -i "$kit" -o "$scratch/plain" "$region/$key" 2>"$scratch/error" </dev/null ||
    die 1 "the kit does not open $key: $(head -n 1 "$scratch/error")"
}

# cut_frame OFFSET LENGTH LIMIT: the zstd frame there in scratch/plain, unpacked, never more than LIMIT bytes and one.
cut_frame() {
  tail -c +$(($1 + 1)) "$scratch/plain" | head -c "$2" | zstd -dcq 2>/dev/null | head -c $(($3 + 1))
}

read_catalog() {
  say "reading the catalog"
  open_object catalog "$root_object" || die 1 "the catalog's root is damaged: without it nothing can be restored"
  cut_frame "$root_offset" "$root_length" "$root_size" >"$scratch/root"
  is "$scratch/root" "$root_size" "$root_sha256" || die 1 "the catalog's root has a wrong digest"
  # shellcheck disable=SC2016
  jq_or_die "catalog root" "$scratch/root" -nr --arg vault "$vault" --arg host "$host" --arg id "$id" \
    --argjson entries "$entries" "$jq_words"'
    input as $head | $head
    | need(.type == "catalog" and .format == 1; "not a catalog of format 1")
    | need(.vault == $vault and .host == $host and .id == $id and .entries == $entries; "not of this archive")
    | foreach inputs as $line (0; . + 1; . as $n | $line
        | need((.object | id) and (.sha256 | digest) and ([.offset, .length, .size] | all(int)); "bad segment")
        | need(.size <= 4194304; "segment too large")
        | "\($n) \(.object) \(.offset) \(.length) \(.size) \(.sha256) \(.first // .firstRaw | tojson)")' \
    >"$scratch/segments"
  if [ "$(jq -n 'input.segments' <"$scratch/root")" != "$(wc -l <"$scratch/segments" | tr -d ' ')" ]; then
    die 1 "catalog root: its number of segments is wrong"
  fi
  sort -k 2,2 -k 3,3n "$scratch/segments" >"$scratch/by-object"
  opened='' gaps=false
  while read -r n object offset length size sha256 first; do
    if [ "$opened" != "$object" ]; then
      opened=$object
      if open_object catalog "$object"; then sound=true; else sound=false; fi
    fi
    if $sound; then
      cut_frame "$offset" "$length" "$size" >"$scratch/segment.$n"
      is "$scratch/segment.$n" "$size" "$sha256" || die 1 "catalog segment $n in $object has a wrong digest"
    else
      gaps=true
      lost '?' "everything listed in catalog segment $n, which begins at $first"
      printf '{"gap":true}\n' >"$scratch/segment.$n"
    fi
  done <"$scratch/by-object"
  while read -r n _; do
    cat "$scratch/segment.$n" && rm "$scratch/segment.$n"
  done <"$scratch/segments" >"$scratch/catalog"
}

# The program that turns the catalog into lists of work. Each output line begins with the letter of its list:
# V every path (for check_tree), K what a hard link may name, U parents; D directories, Z empty files, C files made of
# chunks or holes, E extents, N devices and FIFOs, H hard links, S symlinks; O owners, T times, M and m modes of
# others and of directories, X what cannot be kept, L entries that are lost.
# shellcheck disable=SC2016
jq_plan=$jq_words'
def octal: "\\0\(. / 64 | floor)\(. / 8 | floor % 8)\(. % 8)";
def plain: . >= 32 and . < 127 and . != 92;
def utf8: if . < 128 then . elif . < 2048 then 192 + (. / 64 | floor), 128 + . % 64
  elif . < 65536 then 224 + (. / 4096 | floor), 128 + (. / 64 | floor) % 64, 128 + . % 64
  else 240 + (. / 262144 | floor), 128 + (. / 4096 | floor) % 64, 128 + (. / 64 | floor) % 64, 128 + . % 64 end;
def escape: if test("[^ -\\[\\]-~]") then
    explode | map(if plain then [.] | implode else [utf8 | octal] | join("") end) | join("") else . end;
# Escapes of characters that need none ("\0057" is a slash) must not hide them from the checks below.
def canonical: split("\\") | .[0] + (.[1:] | map(. as $s
    | (explode | (.[1] - 48) * 64 + (.[2] - 48) * 8 + .[3] - 48)
    | (if plain then [.] | implode else "\\" + $s[0:4] end) + $s[4:]) | join(""));
# The text of a field, or of its Raw twin, in canonical escapes; null where there is neither.
def text($f): if has($f) then .[$f] | need(type == "string"; "\($f) is not a string") | escape
  elif has($f + "Raw") then .[$f + "Raw"] | need(type == "string"; "\($f)Raw is not a string")
    | need((test("[^ -~]") or test("\\\\(?!0[0-3][0-7]{2})")) | not; "bad escape in \($f)Raw") | canonical
  else null end | need(. == null or (contains("\\0000") | not); "NUL in \($f)");
def bytes: length - 4 * ((split("\\") | length) - 1);
def path($f): text($f) | need(type == "string" and startswith("/"); "\($f) without a leading slash: \(.)")
  | need(. == "/" or ((endswith("/") or contains("//") or test("/\\.\\.?(/|$)")) | not); "unsafe path \(.)")
  | need(length < 256 or (split("/") | all(bytes < 256)); "component too long in \(.)");
# touch reads "@-0.5" as half a second before 1970, the catalog writes that as -1.500000000.
def time: need(type == "string" and test("^-?[0-9]{1,15}\\.[0-9]{9}$"); "bad mtime")
  | if startswith("-") and (endswith(".000000000") | not) then split(".")
    | "-\((.[0] | -tonumber) - 1).\(2000000000 - (.[1] | tonumber) | tostring | .[1:])" else . end;
def owner: need(int and . < 4294967295; "bad owner") | tostring;
def extent: need((.volume | id) and ([.offset, .frame[0], .frame[1]] | all(int)); "bad extent");
def piece($e; $offset; $length; $sha; $f; $at):
  need(($length | int) and $length > 0 and ($sha | digest); "bad extent of \($f.path)")
  | ["E", $e.volume, $e.frame[0], $e.frame[1], $offset, $length, $sha, $f.n, $at, $f.path];
def content($p; $n): need(.size | int; "bad size of \($p)")
  | if .size == 0 then ["Z", $p] elif .chunking then ["C", $n, .size, "-", $p]
    else . as $f | need((.extents | length) == 1 and (.sha256 | digest); "bad content of \($p)") | .extents[0]
      | if .zero then need(.zero == $f.size; "bad extent of \($p)") | ["C", $n, $f.size, $f.sha256, $p]
        else extent | need(.length == $f.size; "bad extent of \($p)")
          | piece(.; .offset; .length; $f.sha256; {n: $n, path: $p}; "-") end end;
def made($p; $n): if .type == "dir" then ["D", $p] elif .type == "file" then content($p; $n)
  elif .type == "symlink" then ["S", (text("target") | need(. != null and . != ""; "no target at \($p)")), $p]
  elif .type == "fifo" then ["N", "p", "-", "-", $p]
  else need(.rdev | type == "string" and test("^[0-9]{1,10}:[0-9]{1,10}$"); "bad device \($p)")
    | ["N", .type[0:1], (.rdev | split(":")[]), $p] end;
def entry($p; $n): .type as $t
  | need($t | IN("file", "dir", "symlink", "fifo", "char", "block"); "bad type at \($p)")
  | ["V", $p, $t], ["U", ($p | .[0:rindex("/")] | if . == "" then "/" else . end)],
  (if has("hardlink") or has("hardlinkRaw") then need($t != "dir"; "hard link to a directory at \($p)")
      | ["H", $t, path("hardlink"), $p]
  else made($p; $n), ["O", "\(.uid | owner):\(.gid | owner)", $p], ["T", (.mtime | time), $p],
    (select($t != "dir") | ["K", $t, $p]),
    (select($t != "symlink") | need(.mode | type == "string" and test("^[0-7]{4}$"); "bad mode of \($p)")
      | [(if $t == "dir" then "m" else "M" end), .mode, $p]),
    (select(.xattrs | length > 0) | ["X", ([.xattrs[] | text("name")] | join(" ")), $p]) end);
# One continuation line of the file $f: moves .at along its extents and collects their pieces.
def span($f): need((.at | int) and .at >= $f.end; "bad offset in \($f.path)") | . as $line
  | reduce .extents[] as $e ({at: .at, out: []};
      if $e | has("zero") then need($e.zero | int; "bad hole in \($f.path)") | .at += $e.zero
      else .offset = ($e | extent | .offset) | reduce $e.chunks[] as $c (.; . as $s
        | .out += [piece($e; $s.offset; $c[0]; $c[1]; $f; $s.at)]
        | .at += $c[0] | .offset = ((.offset + $c[0] + 511) / 512 | floor) * 512 + 512) end)
  | need(.at <= $f.size; "extents past the end of \($f.path)");
foreach inputs as $e ({n: 0, f: null, gap: false, out: []};
  if $e.gap then .out = [select(.f) | ["L", .f.n, .f.path]] | .f = null | .gap = true
  else ($e | path("path")) as $p
  | if $e | has("type") then .n += 1 | .n as $n | .gap = false
    | .f = if $e.chunking then {n: $n, path: $p, size: $e.size, end: 0} else null end
    # The system takes no path of more than 4,095 bytes; such an entry has to be pulled by hand.
    | if [$p, ($e | text("hardlink"))] | any(. != null and bytes > 4090) then .out = [["L", $n, $p]] | .f = null | .gap = true
      else .out = [$e | entry($p; $n)] end
  elif .f and .f.path == $p then .f as $f | ($e | span($f)) as $s | .out = $s.out | .f.end = $s.at
  else need(.gap; "bytes without an entry at \($p)") | .out = [] end end;
  .out[] | join("\t"))'

plan() {
  jq_or_die "catalog" "$scratch/catalog" -nr "$jq_plan" >"$scratch/plan"
  rm "$scratch/catalog"
  set --
  for list in V K U D Z C E N H S O T M m X L; do
    : >"$scratch/$list"
    set -- "$@" -e "s/^$list$tab//w $scratch/$list" -e t
  done
  sed -n "$@" "$scratch/plan" && rm "$scratch/plan" || die 1 "the work lists could not be written"
  count=$(($(wc -l <"$scratch/V") + $(wc -l <"$scratch/L")))
  if ! $gaps && [ "$count" -ne "$entries" ]; then die 1 "the catalog has $count entries instead of $entries"; fi
}

# minus A B: the lines of A that are not in B.
minus() {
  sort -u "$1" >"$scratch/minus"
  sort "$scratch/minus" "$2" "$2" | uniq -u
}

# check_tree: every path stands once and below directories only; hard links name entries; the object list is exact.
# With / turned into a byte below all others, what lies below a path follows it at once.
check_tree() {
  tr "/$tab" "$tab\001" <"$scratch/V" | sort >"$scratch/tree"
  # shellcheck disable=SC2016
  jq_or_die "catalog" "$scratch/tree" -nR '
    def name: gsub("\t"; "/");
    foreach (inputs | split("\u0001")) as [$path, $type] ([null, "dir"];
      if .[0] == $path then error("two entries named \($path | name)")
      elif .[1] != "dir" and (.[0] as $above | $path | startswith($above + "\t")) then
        error("\($path | name) lies below \(.[0] | name), which is no directory")
      else [$path, $type] end; empty)'
  cut -f 1,2 "$scratch/H" >"$scratch/firsts"
  minus "$scratch/firsts" "$scratch/K" >"$scratch/strays"
  if [ -s "$scratch/strays" ] && ! $gaps; then die 1 "hard link to what is no entry: $(head -n 1 "$scratch/strays")"; fi
  { cut -f 1 "$scratch/E" && cut -d ' ' -f 2 "$scratch/segments" && printf '%s\n' "$root_object"; } |
    sort -u >"$scratch/used"
  cut -d ' ' -f 1 "$scratch/objects" >"$scratch/listed"
  minus "$scratch/used" "$scratch/listed" >"$scratch/strays"
  if ! $gaps; then minus "$scratch/listed" "$scratch/used" >>"$scratch/strays"; fi
  if [ -s "$scratch/strays" ]; then die 1 "catalog and object list differ: $(head -n 1 "$scratch/strays")"; fi
}

# --- the restored tree; the current directory is the target, and every name in it is ".$path" ---

apply() {
  action=$1 value=$2
  shift 2
  case $action in
  directory) mkdir -p "$@" ;;
  owner) chown -h "$value" "$@" ;;
  mode) chmod "0$value" "$@" ;;
  time) touch -c -h -m -d "@$value" "$@" ;;
  esac </dev/null 2>/dev/null
}

# batch ACTION LIST: applies ACTION to runs of up to 100 lines "value path" with one value, so that tens of thousands of
# files take few processes. Where a call fails, each name is tried alone and noted if it fails again.
batch() {
  kind=$1 list=$2 current=''
  set --
  while IFS=$tab read -r key path; do
    decode ".$path"
    if [ "$kind" != directory ] && [ ! -e "$decoded" ] && [ ! -L "$decoded" ]; then continue; fi
    if [ $# -eq 100 ] || [ "$key" != "$current" ]; then
      flush "$@"
      set --
    fi
    current=$key
    set -- "$@" "$decoded"
  done <"$scratch/$list"
  flush "$@"
}

flush() {
  if [ $# -eq 0 ] || apply "$kind" "$current" "$@"; then return; fi
  for name; do
    apply "$kind" "$current" "$name" ||
      lost "$(printf %s "${name#.}" | tr '\000-\037\177' '?')" "$kind $current could not be set"
  done
}

make_directories() {
  cut -f 2 "$scratch/D" >"$scratch/known"
  minus "$scratch/U" "$scratch/known" | sed "s/^/0755$tab/" >"$scratch/implied"
  sort "$scratch/D" >"$scratch/directories"
  batch directory directories
  batch directory implied
}

# lose N PATH WHY: entry N is lost; the mark keeps a file that lacks a piece from being put under its name.
lose() {
  if [ ! -e "$stage/lost.$1" ]; then lost "$2" "lost: $3"; fi
  : >"$stage/lost.$1"
}

# Pieces are cut from one unpacked frame at a time, checked together, and only then moved or copied to their place.
restore_contents() {
  while IFS=$tab read -r n size _ _; do
    dd if=/dev/null of="$stage/file.$n" bs=1 seek="$size" count=0 2>/dev/null || die 1 "cannot make a file of $size bytes"
  done <"$scratch/C"
  sort -t "$tab" -k 1,1 -k 2,2n -k 4,4n "$scratch/E" >"$scratch/work" && rm "$scratch/E" || die 1 "no room to sort"
  total=$(cut -f 1 "$scratch/work" | uniq | wc -l)
  done=0 volume='' frame='' pieces=0
  exec 4>"$scratch/sums" 5>"$scratch/pieces"
  while IFS=$tab read -r in_volume in_frame frame_length offset length sha256 n at path; do
    if [ "$in_volume" != "$volume" ] || [ "$in_frame" != "$frame" ]; then place_pieces; fi
    if [ "$in_volume" != "$volume" ]; then
      volume=$in_volume frame='' done=$((done + 1))
      say "volume $done of $total"
      if open_object volume "$volume"; then sound=true; else sound=false; fi
    fi
    if ! $sound; then
      lose "$n" "$path" "volume $volume is missing or damaged"
      continue
    fi
    if [ "$in_frame" != "$frame" ]; then
      frame=$in_frame
      cut_frame "$frame" "$frame_length" "$frame_limit" >"$scratch/frame" || die 1 "no room for a frame in $scratch_in"
    fi
    pieces=$((pieces + 1))
    dd if="$scratch/frame" of="$stage/$pieces" bs=65536 iflag=skip_bytes,count_bytes skip="$offset" count="$length" \
      2>/dev/null || die 1 "cannot write into $target: is it full?"
    printf '%s  %s\n' "$sha256" "$pieces" >&4
    printf '%s\t%s\t%s\t%s\n' "$pieces" "$n" "$at" "$path" >&5
  done <"$scratch/work"
  place_pieces
  exec 4>&- 5>&-
}

place_pieces() {
  if [ "$pieces" -eq 0 ]; then return; fi
  (cd "$stage" && sha256sum -c "$scratch/sums") >"$scratch/verdicts" 2>/dev/null
  while IFS=$tab read -r piece_n piece_of piece_at piece_path && read -r verdict <&6; do
    if [ "$verdict" != "$piece_n: OK" ]; then
      lose "$piece_of" "$piece_path" "its bytes do not have the digest of the catalog"
    elif [ "$piece_at" = - ]; then
      decode ".$piece_path"
      mv "$stage/$piece_n" "$decoded" || die 1 "cannot write $piece_path"
    else
      dd if="$stage/$piece_n" of="$stage/file.$piece_of" bs=65536 oflag=seek_bytes conv=notrunc seek="$piece_at" \
        2>/dev/null || die 1 "cannot write into $target: is it full?"
    fi
  done <"$scratch/pieces" 6<"$scratch/verdicts"
  pieces=0
  exec 4>"$scratch/sums" 5>"$scratch/pieces"
}

finish_files() {
  while IFS=$tab read -r n path; do lose "$n" "$path" "its catalog lines are damaged, or its path is too long"; done \
    <"$scratch/L"
  while IFS=$tab read -r n _ sha256 path; do
    if [ "$sha256" != - ] && [ "$(sha256sum <"$stage/file.$n")" != "$sha256  -" ]; then
      lose "$n" "$path" "its bytes do not have the digest of the catalog"
    fi
    decode ".$path"
    if [ -e "$stage/lost.$n" ]; then continue; fi
    mv "$stage/file.$n" "$decoded" || die 1 "cannot write $path"
  done <"$scratch/C"
  while IFS=$tab read -r path; do
    decode ".$path"
    printf '' >"$decoded" || die 1 "cannot write $path"
  done <"$scratch/Z"
}

make_special() {
  while IFS=$tab read -r kind major minor path; do
    decode ".$path"
    if [ "$kind" = p ]; then set -- p; else set -- "$kind" "$major" "$minor"; fi
    mknod "$decoded" "$@" 2>/dev/null || lost "$path" "lost: device $kind $major:$minor could not be made (root may)"
  done <"$scratch/N"
}

# hard_links symlinks|others: symlinks get theirs once they stand, so that no link exists while others are made. In a
# catalog with gaps the first name of a group may be unchecked, and might lead through a link: none are made then.
hard_links() {
  while IFS=$tab read -r type first path; do
    if [ "$type" = symlink ]; then class=symlinks; else class=others; fi
    if [ "$class" != "$1" ]; then continue; fi
    decode ".$first"
    from=$decoded
    decode ".$path"
    if [ "$class" = symlinks ] && $gaps; then from=''; fi
    ln "$from" "$decoded" 2>/dev/null || lost "$path" "lost: hard link to $first"
  done <"$scratch/H"
}

make_symlinks() {
  while IFS=$tab read -r text path; do
    decode "$text"
    text=$decoded
    decode ".$path"
    ln -s -- "$text" "$decoded" || die 1 "cannot make the symlink $path"
  done <"$scratch/S"
}

# Owners before modes, since chown clears setuid bits; times after all that touches a directory; the modes of
# directories last and from below, since they may shut us out.
restore_metadata() {
  if [ "$(id -u)" -eq 0 ]; then
    sort "$scratch/O" >"$scratch/owners"
    batch owner owners
  elif [ "$(grep -vc "^$(id -u):$(id -g)$tab" "$scratch/O")" -gt 0 ]; then
    lost '*' "owners: only root can restore them; every file is yours now"
  fi
  if [ "$(id -u)" -ne 0 ] || $unsigned; then
    sed -n "s/^\([2-7]...\)$tab\(.*\)/\2${tab}mode \1 without its setuid and setgid bits/p" "$scratch/M" >>"$scratch/losses"
    sed 's/^[2-7]/0/' "$scratch/M" >"$scratch/M2" && mv "$scratch/M2" "$scratch/M"
  fi
  sort "$scratch/M" >"$scratch/modes"
  batch mode modes
  rm -rf "$stage"
  if ! $exact_times; then
    lost '*' "times: this touch knows whole seconds only"
    sed 's/\.[0-9]*//' "$scratch/T" >"$scratch/T2" && mv "$scratch/T2" "$scratch/T"
  fi
  sort "$scratch/T" >"$scratch/times"
  batch time times
  { cat "$scratch/m" "$scratch/implied"; } | sort -r -t "$tab" -k 2 >"$scratch/modes"
  batch mode modes
  while IFS=$tab read -r names path; do lost "$path" "extended attributes: $names"; done <"$scratch/X"
}

open_target() {
  if [ -e "$report" ]; then die 2 "$report exists; move it away or give --report FILE"; fi
  mkdir -p "$target" && cd "$target" || die 1 "cannot use $target"
  if [ -n "$(ls -A .)" ]; then die 5 "$target is not empty"; fi
}

parse_arguments "$@"
trap cleanup EXIT
trap 'die 130 "stopped"' HUP INT TERM
mkdir -p "$scratch_in" && scratch=$(mktemp -d "$scratch_in/recover.XXXXXX") || die 1 "cannot write in $scratch_in"
: >"$scratch/losses"
check_tools
find_region
choose_host
read_kit
choose_archive
read_object_list
open_target
check_space
check_objects
read_catalog
plan
check_tree
stage=$(mktemp -d "$target/.recover.XXXXXX") || die 1 "cannot write in $target"
writing=true
make_directories
restore_contents
finish_files
make_special
hard_links others
make_symlinks
hard_links symlinks
restore_metadata
if [ ! -s "$scratch/losses" ]; then
  say "restored archive $id of host $host whole into $target"
  exit 0
fi
sort -u "$scratch/losses" >"$report" || die 1 "cannot write $report"
say "restored archive $id of host $host into $target, but not all of it; $report lists $(wc -l <"$report") lines:"
head -n 20 "$report" >&2
exit 3

#!/bin/sh
# recover.sh: restores one archive of a coldkeep vault from a local copy of one region, without coldkeep.
#   sh recover.sh [--host H] [--archive ID] [--unsigned] [--keep-going] [--scratch DIR] KIT TARGET
#   sh recover.sh --fetch-program [--to FILE] [--host H] [--scratch DIR] KIT
# Run it inside the copy of the region, or by its path there. RECOVERY.md, beside it, tells the rest. The second form gets
# coldkeep itself, as one executable, from this copy or from the regions that the kit names.
# Exit status: 0 restored whole, or got the program; 1 failed; 2 usage; 3 restored, but not all of it; 5 refused; 130 stopped.
#
# Nothing is decrypted before the manifest's signature and the digest of every object are right. The catalog alone names
# paths: a jq program checks each of them and turns the catalog into lists of work, a line a step, in printable ASCII.
# Every other byte, and the backslash, stands there as \0ooo, which `printf %b` turns back. No path may lie below
# anything but a directory, so no write can pass through a link, whatever the archive says.

# die ends the script, so `A && B || die` is what it looks like; the dollars in single quotes are those of jq.
# shellcheck disable=SC2015,SC2016,SC2317

set -eu
umask 077
LC_ALL=C && export LC_ALL
tab=$(printf '\t')
frame_limit=16777216 program_limit=1073741824
host='' archive='' unsigned=false keep_going=false scratch_in=${TMPDIR:-/tmp}
fetch=false program=$PWD/coldkeep
scratch='' stage='' part='' told=false

say() { printf '%s\n' "recover: $*" >&2; }

# die STATUS MESSAGE...: says what is wrong and ends.
die() {
  code=$1 && shift
  say "$@"
  told=true
  exit "$code"
}

# However the script ends, no plaintext stays in the scratch, and no failure goes without a word.
finish() {
  if ! $told; then say "failed: is $scratch_in full?"; fi
  if [ -n "$stage" ]; then say "$target is not complete: empty it before another try"; fi
  rm -rf ${stage:+"$stage"} ${part:+"$part"} ${scratch:+"$scratch"}
}

# note PATH WHAT: what the restored tree lacks; PATH stays in its escaped form.
note() { printf '%s\t%s\n' "$1" "$2" >>"$scratch/notes"; }

# decode TEXT: leaves in $decoded what the escapes in TEXT stand for; the dot keeps a newline at the end alive.
decode() {
  case $1 in
  *\\*) decoded=$(printf '%b.' "$1") && decoded=${decoded%.} ;;
  *) decoded=$1 ;;
  esac
}

# jq_on FILE WHAT ARGUMENTS...: runs jq over FILE, and ends with its message, which shows names as JSON, if that fails.
jq_on() {
  input=$1 what=$2 && shift 2
  jq "$@" <"$input" 2>"$scratch/error" || die 1 "$what: $(sed 's/^jq: error ([^)]*): //;q' "$scratch/error")"
}

# is FILE SIZE DIGEST: has FILE this size and this SHA-256?
is() { [ "$(wc -c <"$1")" -eq "$2" ] && [ "$(sha256sum <"$1")" = "$3  -" ]; }

# minus A B: the lines of A that are not in B.
minus() {
  sort -u "$1" >"$scratch/minus"
  sort "$scratch/minus" "$2" "$2" >"$scratch/both"
  uniq -u "$scratch/both"
}

absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$PWD/$1" ;; esac }
mebibytes() { printf '%s MiB' $((($1 + 1048575) / 1048576)); }
free_bytes() { df -Pk "$1" | tail -n 1 | { read -r _ _ _ free _ && printf '%s' $((free * 1024)); }; }

# --- before anything is read: arguments, tools, host, kit ---

parse_arguments() {
  while [ $# -gt 1 ]; do
    case $1 in
    --host) host=$2 && shift ;;
    --archive) archive=$2 && shift ;;
    --scratch) scratch_in=$(absolute "$2") && shift ;;
    --to) program=$(absolute "$2") && shift ;;
    --unsigned) unsigned=true ;;
    --keep-going) keep_going=true ;;
    --fetch-program) fetch=true ;;
    *) break ;;
    esac
    shift
  done
  if $fetch; then set -- "$#" "${1:--}" "$program"; else set -- "$(($# - 1))" "${1:--}" "${2:-}"; fi
  case $1$2 in
  1-* | [!1]*) die 2 "usage: $(sed -n '3,4s/^# *//p' "$0")" ;;
  esac
  kit=$(absolute "$2") target=$(absolute "$3")
  report=${target%/}.not-restored.txt
}

check_tools() {
  for tool in age zstd jq sha256sum base64 dd df grep head mktemp sed sort tail touch tr uniq wc; do
    command -v "$tool" >/dev/null || die 1 "the program '$tool' is missing; RECOVERY.md says what to install"
  done
  printf abc | dd bs=9 iflag=skip_bytes,count_bytes oflag=seek_bytes skip=1 count=1 of="$scratch/probe" conv=notrunc \
    seek=1 2>/dev/null && touch -h -d '@-0.500000000' "$scratch/probe" 2>/dev/null ||
    die 1 "dd or touch is too simple here; install GNU coreutils"
  $unsigned || check_openssl
}

check_openssl() {
  command -v openssl >/dev/null || die 5 "openssl is missing, so the signature cannot be checked; install it," \
    "or add --unsigned if you trust where this copy comes from"
  # An openssl without Ed25519 would call every signature bad: let it show its skill on test 2 of RFC 8032 first.
  printf r >"$scratch/message"
  printf '%s' kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA== |
    base64 -d >"$scratch/signature"
  signed_by PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw= ||
    die 5 "this openssl cannot check Ed25519 signatures; install OpenSSL 3, or add --unsigned"
}

# signed_by KEY: is scratch/signature a signature of scratch/message by the raw public KEY (base64)?
signed_by() {
  printf '%s\n' '-----BEGIN PUBLIC KEY-----' "MCowBQYDK2VwAyEA$1" '-----END PUBLIC KEY-----' >"$scratch/signer.pem"
  openssl pkeyutl -verify -pubin -inkey "$scratch/signer.pem" -rawin -in "$scratch/message" \
    -sigfile "$scratch/signature" >/dev/null 2>&1
}

find_copy() {
  region=$PWD
  if [ ! -d "$region/hosts" ]; then region=$(cd "$(dirname "$0")" && pwd); fi
}

choose_host() {
  find_copy
  hosts=''
  for folder in "$region"/hosts/*/archives; do
    name=${folder%/archives} && name=${name##*/}
    case $name in *[!a-z0-9.-]* | [!a-z0-9]*) continue ;; esac
    if [ "$name" = "${host:-$name}" ]; then hosts="$hosts $name"; fi
  done
  case $hosts in
  '') die 1 "no archives of ${host:-any host} in $region: run this inside the copy of a region" ;;
  ' '*' '*) die 2 "several hosts are here; choose one with --host:$hosts" ;;
  esac
  host=${hosts# }
}

read_kit() {
  if [ ! -f "$kit" ] || ! cat "$kit" >/dev/null; then die 2 "the kit $kit cannot be read"; fi
  vault='' identities=0 sealed=false
  for list in signers operators regions credentials programs; do : >"$scratch/$list"; done
  while read -r mark field role label key || [ -n "$mark" ]; do
    case "$mark $field" in
    '# vault:') vault=$role ;;
    '# signer:')
      key=${key:-$label}
      printf '%s\n' "$key" | grep -Eq '^ed25519:[A-Za-z0-9+/]{43}=$' || die 2 "the kit has a signer of an unknown kind"
      if [ "$role" = host ]; then printf '%s %s\n' "$label" "${key#ed25519:}" >>"$scratch/signers"; fi
      if [ "$role" = operator ]; then printf '%s %s\n' "$role" "${key#ed25519:}" >>"$scratch/operators"; fi
      ;;
    '# region:')
      # The name becomes part of a variable's: nothing else may stand there.
      case $role in '' | *[!a-z0-9-]*) die 2 "the kit has a region with a name that is none" ;; esac
      printf '%s %s\n' "$role" "$label" >>"$scratch/regions"
      ;;
    '# credentials:') printf '%s %s %s\n' "$role" "$label" "$key" >>"$scratch/credentials" ;;
    '# program:')
      printf '%s\n' "$role $label" | grep -Eq '^sha256 [0-9a-f]{64}$' || die 2 "the kit names a program by another digest"
      printf '%s\n' "$label" >>"$scratch/programs"
      ;;
    AGE-SECRET-KEY-*) identities=$((identities + 1)) ;;
    '# -----BEGIN') sealed=true ;;
    esac
  done <"$kit"
  printf '%s\n' "$vault" | grep -Eq '^[0-9a-f]{32}$' || die 2 "the kit $kit names no vault: is it a coldkeep kit?"
  if $fetch; then return; fi
  if $sealed; then open_kit; fi
  if [ "$identities" -eq 0 ]; then die 2 "the kit $kit holds no AGE-SECRET-KEY- line"; fi
  if ! $unsigned && ! grep -q "^$host " "$scratch/signers"; then die 5 "the kit pins no signer of host $host"; fi
}

# The identities of a kit with a passphrase, which age asks for at the terminal. The scratch is removed at the end.
open_kit() {
  sed -n '/^# -----BEGIN AGE/,/^# -----END AGE/s/^# //p' "$kit" | tr -d '\r' >"$scratch/sealed"
  say "the identity in the kit is protected by a passphrase"
  age -d -o "$scratch/identities" "$scratch/sealed" || die 1 "age did not open the sealed lines of the kit $kit"
  sed -n '/^AGE-SECRET-KEY-/p' "$kit" >>"$scratch/identities"
  kit=$scratch/identities identities=$(grep -c '^AGE-SECRET-KEY-' "$scratch/identities")
}

# --- the manifest and the objects it lists ---

# check_signature TYPE FILE: takes line 1 of FILE into scratch/header; is line 2 its signature by the host's signer in the kit,
# or by an operator where it is a record? The key stays in signed_with.
check_signature() {
  case $1 in record) limit=65536 pinned=operators whose=operator ;; *) limit=4096 pinned=signers whose=$host ;; esac
  head -n 1 "$2" | head -c $((limit + 1)) | tr -d '\n' >"$scratch/header"
  if [ "$(wc -c <"$scratch/header")" -gt $limit ]; then return 1; fi
  if $unsigned; then return 0; fi
  { printf 'coldkeep/v1/%s\n' "$1" && cat "$scratch/header"; } >"$scratch/message"
  sed -n 2p "$2" | base64 -d >"$scratch/signature" 2>/dev/null || return 1
  while read -r label signed_with; do if [ "$label" = "$whose" ] && signed_by "$signed_with"; then return 0; fi; done <"$scratch/$pinned"
  return 1
}

# read_revocations: the signers that an operator of the kit has revoked. scratch/revoked gets KEY FILE for each record; FILE
# lists the manifests that still count, by the digests of their headers: the last good one, and what that follows.
read_revocations() {
  : >"$scratch/revoked" && : >"$scratch/chain"
  if $unsigned; then return; fi
  for file in "$region/hosts/$host/records"/*.record; do
    if [ ! -f "$file" ] || ! check_signature record "$file"; then continue; fi
    name=${file##*/}
    jq -r --arg vault "$vault" --arg host "$host" --arg id "${name%.record}" "$jq_words"'
      select(.vault == $vault and .host == $host and .id == $id)
      | if .kind == "revoke" and (.last.sha256 | digest) then "revoke \(.revoked | ltrimstr("ed25519:")) \(.last.sha256)"
        elif .kind == "expire" and (.manifest | digest) then "link \(.manifest) \(.previous.sha256 | if digest then . else "" end)"
        else empty end' <"$scratch/header" >>"$scratch/chain" 2>/dev/null || :
  done
  if ! grep '^revoke ' "$scratch/chain" >"$scratch/revocations"; then return; fi
  while read -r id; do
    head -n 1 "$folder/$id.manifest" | head -c 4096 | tr -d '\n' >"$scratch/header"
    previous=$(jq -r "$jq_words"'.previous.sha256 | if digest then . else "" end' <"$scratch/header" 2>/dev/null) || continue
    printf 'link %s %s\n' "$(digest_of "$scratch/header")" "$previous" >>"$scratch/chain"
  done <"$scratch/ids"
  n=0
  while read -r _ key at; do
    n=$((n + 1)) && : >"$scratch/good.$n" && printf '%s good.%s\n' "$key" "$n" >>"$scratch/revoked"
    while [ -n "$at" ] && ! grep -Fqx "$at" "$scratch/good.$n"; do
      printf '%s\n' "$at" >>"$scratch/good.$n"
      at=$(grep "^link $at " "$scratch/chain" | head -n 1) && at=${at##* }
    done
  done <"$scratch/revocations"
}

digest_of() { sha256sum <"$1" | head -c 64; }

# is_void: is scratch/header signed with a revoked key, and none of the manifests that still count?
is_void() {
  while read -r key good; do
    if [ "$key" = "$signed_with" ] && ! grep -Fqx "$(digest_of "$scratch/header")" "$scratch/$good"; then return 0; fi
  done <"$scratch/revoked"
  return 1
}

# The newest complete archive, or the one named. A newer one that no signer of the kit signed is never passed over in
# silence: it may be a forgery, or the kit may be too old to know the host's new signer.
choose_archive() {
  folder=$region/hosts/$host/archives
  for file in "$folder"/*.manifest; do file=${file##*/} && printf '%s\n' "${file%.manifest}"; done |
    grep -E '^[0-9]{8}t[0-9]{9}z-[a-z2-7]{16}$' | sort -r >"$scratch/ids"
  if [ -n "$archive" ] && [ "$(grep -c "^$archive" "$scratch/ids")" -ne 1 ]; then
    die 1 "--archive must fit exactly one of: $(tr '\n' ' ' <"$scratch/ids")"
  fi
  read_revocations
  while read -r id; do
    case $id in "${archive:-$id}"*) wanted=true ;; *) wanted=false ;; esac
    if ! check_signature manifest "$folder/$id.manifest"; then
      signer=$(jq '.signer' <"$scratch/header" 2>/dev/null | head -c 80 | tr -d '"')
      if grep -Fqx "$host ${signer#ed25519:}" "$scratch/signers"; then why='bad signature'; else why='unknown signer'; fi
      say "archive $id: $why; it names the signer $signer"
      if $wanted; then die 5 "nothing was restored; try another region, or name an older archive with --archive"; fi
    elif is_void; then
      say "archive $id is void: its signer was revoked, and the last good archive does not follow it"
      if $wanted && [ -n "$archive" ]; then die 5 "nothing was restored; name an older archive with --archive"; fi
    elif $wanted; then
      read_header
      if [ "$status" = complete ] || [ -n "$archive" ]; then return; fi
      say "archive $id is partial and is passed over; --archive $id would take it"
    fi
  done <"$scratch/ids"
  die 1 "no complete archive of host $host is here"
}

# Definitions that all jq programs share. The numbers of jq are exact up to 2^53.
jq_words='
def int: type == "number" and . >= 0 and . <= 9007199254740991 and . == floor;
def digest: type == "string" and test("^[0-9a-f]{64}$");
def id: type == "string" and test("^[0-9]{8}t[0-9]{9}z-[a-z2-7]{16}$");
def need(check; $what): if check then . else error($what) end;'

read_header() {
  jq_on "$scratch/header" "manifest $id" -r --arg vault "$vault" --arg host "$host" --arg id "$id" "$jq_words"'
    need(.type == "manifest"; "not a manifest") | need(.format == 1; "format \(.format) is not known to this script")
    | need(.vault == $vault; "it belongs to another vault than the kit")
    | need(.host == $host and .id == $id; "it lies under the name of another host or archive")
    | [(.root | .offset, .length, .size), (.totals | .entries, .sourceBytes), (.objects | .count, .size)] as $n
    | need(($n | all(int)) and $n[2] <= 67108864 and (.root.object | id) and (.status | IN("complete", "partial"))
        and ([.root.sha256, .objects.sha256] | all(digest)); "a field has a wrong form")
    | [.status, .root.object, .root.sha256, .objects.sha256, $n[]] | join(" ")' >"$scratch/fields"
  read -r status root_object root_sha256 list_sha256 root_offset root_length root_size entries source_bytes list_count \
    list_size <"$scratch/fields"
}

# key_of KIND ID: where the object lies below the region.
key_of() {
  case $1 in
  volume) printf 'hosts/%s/volumes/%s.tar.zst.age' "$host" "$2" ;;
  catalog) printf 'hosts/%s/catalogs/%s.ndjson.zst.age' "$host" "$2" ;;
  esac
}

read_object_list() {
  tail -n +3 "$folder/$id.manifest" >"$scratch/list"
  is "$scratch/list" "$list_size" "$list_sha256" && [ "$(wc -l <"$scratch/list")" -eq "$list_count" ] ||
    die 1 "manifest $id: the object list is damaged; take another region"
  jq_on "$scratch/list" "object list of $id" -r "$jq_words"'
    need((.id | id) and (.sha256 | digest) and (.size | int) and (.kind | IN("volume", "catalog")); "bad line")
    | "\(.id) \(.kind) \(.size) \(.sha256)"' >"$scratch/objects"
}

# The scratch holds one object in plain, one frame, and the catalog with its lists: about 2 KB an entry, and some 500
# bytes for each 64 KiB of large files.
check_space() {
  largest=0
  while read -r _ _ size _; do if [ "$size" -gt "$largest" ]; then largest=$size; fi; done <"$scratch/objects"
  scratch_need=$((largest + 2 * frame_limit + entries * 2000 + source_bytes / 128))
  scratch_free=$(free_bytes "$scratch") target_free=$(free_bytes "$target")
  say "archive $id of host $host, $status: $entries entries, $(mebibytes "$source_bytes") of files"
  say "needs up to $(mebibytes $scratch_need) of scratch space in $scratch_in ($(mebibytes "$scratch_free") are free)"
  if [ "$scratch_free" -lt $scratch_need ]; then die 1 "too little scratch space; give --scratch DIR"; fi
  if [ "$target_free" -lt "$source_bytes" ]; then
    say "warning: $target has less room than the files are long; only holes in them could make them fit"
  fi
}

# Names every object that is missing or whose bytes are wrong, in scratch/bad.
check_objects() {
  say "checking $list_count objects"
  while read -r object kind _ sha256; do printf '%s  %s\n' "$sha256" "$(key_of "$kind" "$object")"; done \
    <"$scratch/objects" >"$scratch/sums"
  (cd "$region" && sha256sum -c "$scratch/sums") 2>/dev/null | sed -n 's/: OK$//p' >"$scratch/good"
  sed 's/^[^ ]*  //' "$scratch/sums" >"$scratch/needed"
  minus "$scratch/needed" "$scratch/good" >"$scratch/bad"
  if [ ! -s "$scratch/bad" ]; then return; fi
  while read -r key; do say "missing or damaged: $key"; done <"$scratch/bad"
  $keep_going || die 1 "copy these objects from another region, or add --keep-going to restore what is intact"
}

# --- the catalog ---

# open_object KIND ID: decrypts an object into scratch/plain; false when it is one of the bad ones.
open_object() {
  key=$(key_of "$1" "$2") && rm -f "$scratch/plain"
  if grep -Fqx "$key" "$scratch/bad"; then return 1; fi
  age -d -i "$kit" -o "$scratch/plain" "$region/$key" 2>"$scratch/error" </dev/null ||
    die 1 "the kit does not open $key, or $scratch_in is full: $(head -n 1 "$scratch/error")"
}

# cut_frame OFFSET LENGTH LIMIT: the zstd frame there in scratch/plain, unpacked, never more than LIMIT bytes and one.
cut_frame() { tail -c +$(($1 + 1)) "$scratch/plain" | head -c "$2" | zstd -dcq 2>/dev/null | head -c $(($3 + 1)); }

read_catalog() {
  say "reading the catalog"
  open_object catalog "$root_object" && cut_frame "$root_offset" "$root_length" "$root_size" >"$scratch/root" &&
    is "$scratch/root" "$root_size" "$root_sha256" ||
    die 1 "the catalog's root is damaged; RECOVERY.md tells how to unpack volumes without it"
  jq_on "$scratch/root" "catalog root" -nr --arg vault "$vault" --arg host "$host" --arg id "$id" "$jq_words"'
    input as $head | [inputs] as $segments | $head
    | need(.type == "catalog" and .format == 1 and .vault == $vault and .host == $host and .id == $id
        and .segments == ($segments | length); "not the root of this archive")
    | range($segments | length) as $n | $segments[$n]
    | need((.object | id) and (.sha256 | digest) and ([.offset, .length, .size] | all(int)); "bad segment")
    | "\(.object) \(.offset) \(.length) \(.size) \(.sha256) \($n)"' >"$scratch/segments"
  sort -k 1,1 -k 2,2n "$scratch/segments" >"$scratch/by-object" && opened=''
  while read -r object offset length size sha256 n; do
    if [ "$opened" != "$object" ]; then
      open_object catalog "$object" || die 1 "catalog object $object is damaged; copy it from another region"
      opened=$object
    fi
    cut_frame "$offset" "$length" 4194304 >"$scratch/segment.$n"
    is "$scratch/segment.$n" "$size" "$sha256" || die 1 "segment $n of the catalog has a wrong digest"
  done <"$scratch/by-object"
  while read -r _ _ _ _ _ n; do cat "$scratch/segment.$n" && rm "$scratch/segment.$n"; done \
    <"$scratch/segments" >"$scratch/catalog"
}

# The program that turns the catalog into lists. Each line begins with the letter of its list: V every path, K what a
# hard link may name, H what hard links name, U parents; D directories, Z empty files, C files of chunks or holes,
# E pieces, N all that is no file or directory; O owners, T times, M modes, m modes of directories; X what is not kept.
jq_plan=$jq_words'
def octal: "\\0\(. / 64 | floor)\(. / 8 | floor % 8)\(. % 8)";
def plain: . >= 32 and . < 127 and . != 92;
def low($n): [range($n - 1; -1; -1) as $i | pow(64; $i) as $p | 128 + ((. / $p | floor) % 64)][];
def utf8: if . < 128 then . elif . < 2048 then 192 + (. / 64 | floor), low(1)
  elif . < 65536 then 224 + (. / 4096 | floor), low(2) else 240 + (. / 262144 | floor), low(3) end;
def escape: if test("[^ -\\[\\]-~]") then
  explode | map(if plain then [.] | implode else [utf8 | octal] | join("") end) | join("") else . end;
# Escapes of what needs none ("\0057" is a slash) must not hide it from the checks.
def canonical: split("\\") | .[0] + (.[1:] | map(.[4:] as $rest | explode
  | (.[1] * 64 + .[2] * 8 + .[3] - 3504) | (if plain then [.] | implode else octal end) + $rest) | join(""));
# The text of a field, or of its Raw twin, in canonical escapes; null where there is neither.
def text($f): if has($f) then .[$f] | need(type == "string"; "\($f) is no string") | escape
  elif has($f + "Raw") then .[$f + "Raw"] | need(type == "string"; "\($f)Raw is no string")
    | need((test("[^ -~]") or test("\\\\(?!0[0-3][0-7]{2})")) | not; "bad escape in \($f)Raw") | canonical
  else null end | need(. == null or (contains("\\0000") | not); "NUL in \($f)");
def bytes: length - 4 * ((split("\\") | length) - 1);
def path($f): text($f) | need(type == "string" and startswith("/"); "no slash before \($f) \(.)")
  | need(. == "/" or ((endswith("/") or contains("//") or test("/\\.\\.?(/|$)")) | not); "unsafe \($f) \(.)")
  | need(length < 256 or (split("/") | all(bytes < 256)); "component too long in \($f) \(.)");
# touch reads @-0.5 as half a second before 1970; the catalog writes that as -1.500000000.
def time: need(type == "string" and test("^-?[0-9]{1,15}\\.[0-9]{9}$"); "bad mtime") | split(".") as [$s, $n]
  | if startswith("-") and $n != "000000000"
    then "-\(-($s | tonumber) - 1).\(2000000000 - ($n | tonumber) | tostring[1:])" else . end;
def owner: need(int and . < 4294967295; "bad owner") | tostring;
# One piece of file $f: $length bytes at $at of it (or - for the whole file) lie at $offset of the frame of extent $e.
def piece($e; $offset; $length; $sha; $f; $at):
  need(($e.volume | id) and ([$e.frame[0], $e.frame[1], $offset, $length] | all(int)) and $length > 0
    and ($sha | digest); "bad extent of \($f.path)")
  | ["E", $e.volume, $e.frame[0], $e.frame[1], $offset, $length, $sha, $f.n, $at, $f.path];
def content($p; $n): need(.size | int; "bad size of \($p)") | . as $f
  | if .size == 0 then ["Z", $p] elif .chunking then ["C", $n, .size, "-", $p]
  else need((.extents | length) == 1 and (.extents[0] | .length // .zero) == .size; "bad content of \($p)")
    | .extents[0] | if has("zero") then ["C", $n, $f.size, ($f.sha256 | need(digest; "bad digest of \($p)")), $p]
      else piece(.; .offset; .length; $f.sha256; {n: $n, path: $p}; "-") end end;
# N lines begin with their turn: while hard links to others are made, no symlink stands yet.
def made($p; $n): if .type == "dir" then ["D", "-", $p] elif .type == "file" then content($p; $n)
  elif .type == "fifo" then ["N", 1, "p", "-", "-", $p]
  elif .type == "symlink" then text("target") | need(. != null and . != ""; "no target of \($p)")
    | ["N", 3, "symlink", ., "-", $p]
  else need(.rdev | type == "string" and test("^[0-9]{1,10}:[0-9]{1,10}$"); "bad device \($p)")
    | ["N", 1, .type[0:1], (.rdev | split(":")[]), $p] end;
def entry($p; $n): .type as $t
  | need($t | IN("file", "dir", "symlink", "fifo", "char", "block"); "bad type of \($p)")
  | need($p != "/" or $t == "dir"; "/ is no directory") | ["V", $p, $t], ["U", ($p[0:($p | rindex("/"))] + "/")],
  (if has("hardlink") or has("hardlinkRaw") then path("hardlink") as $first | need($t != "dir"; "hard link at \($p)")
    | ["H", $t, $first], ["N", (if $t == "symlink" then 4 else 2 end), "hardlink", $first, "-", $p]
  else made($p; $n), ["O", "\(.uid | owner):\(.gid | owner)", $p], ["T", (.mtime | time), $p],
    (select($t != "dir") | ["K", $t, $p]),
    (select(.xattrs | length > 0) | ["X", $p, ([.xattrs[] | text("name")] | join(" "))]),
    (select($t != "symlink") | need(.mode | type == "string" and test("^[0-7]{4}$"); "bad mode of \($p)")
      | [(if $t == "dir" then "m" else "M" end), .mode, $p]) end);
# A continuation line of file $f: moves .at along its extents and collects their pieces.
def span($f): need((.at | int) and .at == $f.end; "bad offset in \($f.path)")
  | reduce .extents[] as $e ({at: .at, out: []};
    if $e | has("zero") then need($e.zero | int; "bad hole in \($f.path)") | .at += $e.zero
    else .offset = $e.offset | reduce $e.chunks[] as $c (.; . as $s
      | .out += [piece($e; $s.offset; $c[0]; $c[1]; $f; $s.at)]
      | .at += $c[0] | .offset = ((.offset + $c[0] + 511) / 512 | floor) * 512 + 512) end)
  | need(.at <= $f.size; "extents past the end of \($f.path)");
foreach inputs as $e ({n: 0, f: null}; ($e | path("path")) as $p
  | if $e | has("type") then need(.f == null or .f.end == .f.size; "missing extents of \(.f.path)") | .n += 1 | .n as $n | .out = [$e | entry($p; $n)]
    | .f = if $e.chunking then {n: $n, path: $p, size: $e.size, end: 0} else null end
  else need(.f.path == $p; "bytes without an entry at \($p)")
    | .f as $f | ($e | span($f)) as $s | .out = $s.out | .f.end = $s.at end;
  .out[] | join("\t"))'

plan() {
  jq_on "$scratch/catalog" catalog -nr "$jq_plan" >"$scratch/plan" && rm "$scratch/catalog" && set --
  for list in V K H U D Z C E N O T M m X; do
    : >"$scratch/$list" && set -- "$@" -e "s/^$list$tab//w $scratch/$list" -e t
  done
  sed -n "$@" "$scratch/plan"
  rm "$scratch/plan"
  if [ "$(wc -l <"$scratch/V")" -ne "$entries" ]; then die 1 "the catalog does not have $entries entries"; fi
  # Every path stands once and below directories only. With / as the lowest byte, what lies below a path follows it.
  tr "/$tab" "$tab\001" <"$scratch/V" | sort >"$scratch/tree"
  jq_on "$scratch/tree" catalog -nR 'def name: gsub("\t"; "/");
    foreach (inputs | split("\u0001")) as [$path, $type] ([null, "dir"]; .[0] as $above
      | if $above == $path then error("two entries named \($path | name)")
        elif .[1] != "dir" and ($path | startswith($above + "\t")) then
          error("\($path | name) lies below \($above | name), which is no directory")
        else [$path, $type] end; empty)'
  minus "$scratch/H" "$scratch/K" >"$scratch/strays"
  if [ -s "$scratch/strays" ]; then die 1 "a hard link names no entry: $(head -n 1 "$scratch/strays")"; fi
  { cut -f 1 "$scratch/E" && cut -d ' ' -f 1 "$scratch/segments" && printf '%s\n' "$root_object"; } |
    sort -u >"$scratch/used"
  [ "$(cut -d ' ' -f 1 "$scratch/objects" | sort | sha256sum)" = "$(sha256sum <"$scratch/used")" ] ||
    die 1 "the manifest does not list exactly the objects that the catalog needs"
}

# --- the restored tree; the current directory is the target, and every name in it is ".$path" ---

apply() {
  action=$1 value=$2 && shift 2
  case $action in
  directory) mkdir -p "$@" ;;
  owner) chown -h "$value" "$@" ;;
  mode) chmod "0$value" "$@" ;;
  mtime) touch -c -h -m -d "@$value" "$@" ;;
  esac </dev/null 2>/dev/null
}

# batch ACTION LIST: applies ACTION to runs of up to 100 lines "value path" with one value, so that tens of thousands of
# files take few processes. Where a call fails, each name is tried alone and noted if it fails again.
batch() {
  kind=$1 list=$2 current='' && set --
  while IFS=$tab read -r key path; do
    decode ".$path"
    if [ "$kind" != directory ] && [ ! -e "$decoded" ] && [ ! -L "$decoded" ]; then continue; fi
    if [ $# -eq 100 ] || [ "$key" != "$current" ]; then flush "$@" && set --; fi
    current=$key
    set -- "$@" "$decoded"
  done <"$scratch/$list"
  flush "$@"
}

flush() {
  if [ $# -eq 0 ] || apply "$kind" "$current" "$@"; then return 0; fi
  for name; do
    apply "$kind" "$current" "$name" ||
      note "$(printf %s "${name#.}" | tr '\000-\037\177' '?')" "$kind $current could not be set"
  done
}

make_directories() {
  cut -f 2 "$scratch/D" | sed 's|/*$|/|' >"$scratch/known"
  # Folders above a source are in no catalog: they get an ordinary mode.
  minus "$scratch/U" "$scratch/known" >"$scratch/unknown"
  while IFS=$tab read -r path; do
    while [ "$path" != / ]; do printf '%s\n' "$path" && path=${path%/*/}/; done
  done <"$scratch/unknown" >"$scratch/above"
  minus "$scratch/above" "$scratch/known" >"$scratch/unknown"
  sed "s|^|0755$tab|; s|/\$||" "$scratch/unknown" >"$scratch/implied"
  sort "$scratch/D" >"$scratch/directories"
  batch directory directories
  batch directory implied
}

# lose N PATH WHY: entry N is lost; the mark keeps a file that lacks a piece from being put under its name.
lose() {
  if [ ! -e "$stage/lost.$1" ]; then note "$2" "lost: $3"; fi
  : >"$stage/lost.$1"
}

# Pieces are cut from one unpacked frame at a time, checked together, and only then moved or copied to their place.
restore_contents() {
  while IFS=$tab read -r n size _ path; do
    dd if=/dev/null of="$stage/file.$n" bs=1 seek="$size" count=0 2>/dev/null ||
      die 1 "cannot make $path of $size bytes in $target"
  done <"$scratch/C"
  sort -t "$tab" -k 1,1 -k 2,2n -k 4,4n "$scratch/E" >"$scratch/work"
  volumes=$(cut -f 1 "$scratch/work" | uniq | wc -l) volume='' frame='' count=0 pieces=0
  exec 4>"$scratch/sums" 5>"$scratch/pieces"
  while IFS=$tab read -r in_volume in_frame frame_length offset length sha256 n at path; do
    if [ "$in_volume $in_frame" != "$volume $frame" ]; then place_pieces; fi
    if [ "$in_volume" != "$volume" ]; then
      volume=$in_volume frame='' count=$((count + 1))
      say "volume $count of $volumes"
      if open_object volume "$volume"; then sound=true; else sound=false; fi
    fi
    if ! $sound; then lose "$n" "$path" "volume $volume is missing or damaged" && continue; fi
    if [ "$in_frame" != "$frame" ]; then
      frame=$in_frame
      cut_frame "$frame" "$frame_length" "$frame_limit" >"$scratch/frame"
    fi
    pieces=$((pieces + 1))
    dd if="$scratch/frame" of="$stage/$pieces" bs=65536 iflag=skip_bytes,count_bytes skip="$offset" count="$length" \
      2>/dev/null || die 1 "cannot write into $target: is it full?"
    printf '%s  %s\n' "$sha256" "$pieces" >&4
    printf '%s\t%s\t%s\t%s\n' "$pieces" "$n" "$at" "$path" >&5
  done <"$scratch/work"
  place_pieces
}

place_pieces() {
  if [ "$pieces" -eq 0 ]; then return; fi
  (cd "$stage" && sha256sum -c "$scratch/sums") >"$scratch/verdicts" 2>/dev/null || :
  while IFS=$tab read -r piece of at_byte to; do
    read -r verdict <&6 || verdict=missing
    decode ".$to"
    if [ "$verdict" != "$piece: OK" ]; then
      lose "$of" "$to" "its bytes do not have the digest of the catalog"
    elif [ "$at_byte" = - ]; then
      mv "$stage/$piece" "$decoded" 2>/dev/null || lose "$of" "$to" "it could not be put there"
    else
      dd if="$stage/$piece" of="$stage/file.$of" bs=65536 oflag=seek_bytes conv=notrunc seek="$at_byte" 2>/dev/null ||
        die 1 "cannot write into $target: is it full?"
    fi
  done <"$scratch/pieces" 6<"$scratch/verdicts"
  pieces=0
  exec 4>"$scratch/sums" 5>"$scratch/pieces"
}

finish_files() {
  while IFS=$tab read -r n _ sha256 path; do
    decode ".$path"
    if [ "$sha256" != - ] && [ "$(sha256sum <"$stage/file.$n")" != "$sha256  -" ]; then
      lose "$n" "$path" "its bytes do not have the digest of the catalog"
    fi
    [ -e "$stage/lost.$n" ] || mv "$stage/file.$n" "$decoded" 2>/dev/null ||
      lose "$n" "$path" "it could not be put there"
  done <"$scratch/C"
  while IFS=$tab read -r path; do
    decode ".$path"
    { printf '' >"$decoded"; } 2>/dev/null || note "$path" "lost: it could not be put there"
  done <"$scratch/Z"
}

make_others() {
  sort "$scratch/N" >"$scratch/others"
  while IFS=$tab read -r _ kind one two path; do
    decode "$one" && text=$decoded
    decode ".$path"
    case $kind in
    p) mkfifo "$decoded" ;;
    symlink) ln -s -- "$text" "$decoded" ;;
    hardlink) ln ".$text" "$decoded" ;;
    *) mknod "$decoded" "$kind" "$one" "$two" ;;
    esac 2>/dev/null || note "$path" "lost: $kind $one could not be made"
  done <"$scratch/others"
}

# Owners before modes, since chown clears setuid bits; times after all that touches a directory; the modes of
# directories last and from below, since they may shut us out.
restore_metadata() {
  sort "$scratch/O" >"$scratch/owners"
  if [ "$(id -u)" -eq 0 ]; then
    batch owner owners
  elif grep -vq "^$(id -u):$(id -g)$tab" "$scratch/O"; then
    note '*' "owners: only root can set them; everything is yours now"
  fi
  if [ "$(id -u)" -ne 0 ] || $unsigned; then
    sed -n "s/^\([2-7]...\)$tab\(.*\)/\2${tab}mode \1, without setuid and setgid/p" "$scratch/M" >>"$scratch/notes"
    sed 's/^[2-7]/0/' "$scratch/M" | sort >"$scratch/modes"
  else
    sort "$scratch/M" >"$scratch/modes"
  fi
  batch mode modes
  rm -rf "$stage"
  sort "$scratch/T" >"$scratch/times"
  batch mtime times
  sort -r -t "$tab" -k 2 "$scratch/m" "$scratch/implied" >"$scratch/modes"
  batch mode modes
  sed "s/$tab/${tab}extended attributes (also ACLs, capabilities) not set: /" "$scratch/X" >>"$scratch/notes"
}

# --- the program itself; from a bare Debian this needs nothing more, but openssl where the kit names no program, and curl
# for a bucket ---

# open_place NAME URL: lets `get` and `list_names` read that region; false where they cannot.
open_place() {
  place=$1 directory=''
  case $2 in
  file://*%* | s3://*[?\&]credentials-file=* | s3://*[?\&]profile=*) say "region $1: copy it to a disk first" && return 1 ;;
  file:///*) directory=${2#file://} && [ -d "$directory" ] || { say "region $1: $directory is not there" && return 1; } ;;
  s3://*) open_bucket "$1" "$2" ;;
  *) say "region $1: $2 is not known to this script" && return 1 ;;
  esac
}

# parameter URL NAME: the value of a parameter of a region's URL.
parameter() { printf '%s\n' "${1#*\?}" | tr '&' '\n' | sed -n "s/^$2=//p"; }

open_bucket() {
  command -v curl >/dev/null || { say "region $1: curl is missing; install it, or copy the region to a disk" && return 1; }
  variable=COLDKEEP_$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')
  eval "key_id=\${${variable}_ACCESS_KEY_ID:-} secret=\${${variable}_SECRET_ACCESS_KEY:-} token=\${${variable}_SESSION_TOKEN:-}"
  # As the program does: a variable of the region's own, then the kit, then what is there for any.
  if [ -z "$key_id" ] && grep -q "^$1 " "$scratch/credentials"; then
    key_id=$(sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$scratch/credentials") secret=$(sed -n "s/^$1 [^ ]* //p" "$scratch/credentials") token=''
  fi
  if [ -z "$key_id" ]; then
    key_id=${AWS_ACCESS_KEY_ID:-} secret=${AWS_SECRET_ACCESS_KEY:-} token=${AWS_SESSION_TOKEN:-}
  fi
  if [ -z "$key_id" ]; then say "region $1: set ${variable}_ACCESS_KEY_ID and ${variable}_SECRET_ACCESS_KEY" && return 1; fi
  where=${2#s3://} && where=${where%%\?*} && bucket=${where%%/*} && prefix=${where#"$bucket"} && prefix=${prefix#/}
  prefix=${prefix%/}${prefix:+/}
  place_region=$(parameter "$2" aws-region) && place_region=${place_region:-us-east-1}
  endpoint=$(parameter "$2" endpoint) && endpoint=${endpoint:-https://s3.$place_region.amazonaws.com}
  base=${endpoint%/}/$bucket
  if [ "$(parameter "$2" path-style)" = false ]; then base=${endpoint%%://*}://$bucket.${endpoint#*://}; fi
  ca=$(parameter "$2" ca) && proxy=$(parameter "$2" proxy)
}

# request PATH-AND-QUERY FILE LIMIT: the keys go to curl through its standard input, where no list of processes shows them.
request() {
  set -- "$1" "$2" "$3" "$(printf '%s:%s' "$key_id" "$secret" | sed 's/[\\"]/\\&/g')"
  {
    printf 'url = "%s/%s"\noutput = "%s"\nmax-filesize = %s\nuser = "%s"\n' "$base" "$1" "$2" "$3" "$4"
    printf 'header = "x-amz-content-sha256: %s"\n' e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    if [ -n "$token" ]; then printf 'header = "x-amz-security-token: %s"\n' "$token"; fi
    if [ -n "$ca" ]; then printf 'cacert = "%s"\n' "$ca"; fi
    if [ -n "$proxy" ]; then printf 'proxy = "%s"\n' "$proxy"; fi
  } | curl -fsS --aws-sigv4 "aws:amz:$place_region:s3" --connect-timeout 30 --speed-limit 1 --speed-time 60 -K - 2>"$scratch/error" || {
    say "region $place: $1: $(head -n 1 "$scratch/error")"
    return 1
  }
}

# get KEY FILE LIMIT: an object of the region, of at most LIMIT bytes.
get() {
  if [ -z "$directory" ]; then request "$prefix$1" "$2" "$3" && return; fi
  [ -n "$directory" ] && [ -f "$directory/$1" ] && head -c "$3" "$directory/$1" >"$2"
}

# list_names FOLDER: the names of the objects in a folder of the region.
list_names() {
  if [ -n "$directory" ]; then
    for file in "$directory/$1"/*; do printf '%s\n' "${file##*/}"; done
  elif request "?list-type=2&prefix=$(printf '%s' "$prefix$1/" | sed 's|/|%2F|g')" "$scratch/listing" 4194304; then
    sed 's/<Key>/\n/g' "$scratch/listing" | sed -n "s|^[^<]*$1/\([^</]*\)</Key>.*|\1|p"
  fi
}

# take_named: the program that the kit names by its digest; whoever wrote it, it is the right one.
take_named() {
  while read -r sha256 <&3; do
    if get "program/$sha256" "$part" $program_limit && [ "$(sha256sum <"$part")" = "$sha256  -" ]; then return 0; fi
    say "region $place: program $sha256 is not there, or damaged"
  done 3<"$scratch/programs"
  return 1
}

# take_noted: the newest program with a note that a host's signer in the kit signed.
take_noted() {
  while read -r label _ <&3; do
    case ${host_wanted:-$label} in "$label") list_names "hosts/$label/programs" | sed -n "s/^\([0-9]\{8\}t[0-9]\{9\}z-[a-z2-7]\{16\}\)\.note$/\1 $label/p" ;; esac
  done 3<"$scratch/signers" | sort -ru >"$scratch/ids"
  while read -r id host <&3; do
    if ! get "hosts/$host/programs/$id.note" "$scratch/note" 4224; then continue; fi
    if ! check_signature program "$scratch/note" || ! grep -q "\"vault\":\"$vault\",\"host\":\"$host\",\"id\":\"$id\"," "$scratch/header"; then
      say "region $place: the note $id of host $host is not signed by its signer in the kit; it is passed over"
      continue
    fi
    sha256=$(noted sha256 '[0-9a-f]\{64\}') size=$(noted size '[0-9]\{1,12\}') platform=$(noted platform '[a-z0-9-]*')
    if [ "$platform" != "linux-$machine" ]; then say "region $place: the program of note $id is for $platform" && continue; fi
    if get "program/$sha256" "$part" "$size" && is "$part" "$size" "$sha256"; then return 0; fi
    say "region $place: program $sha256 is not there, or damaged"
  done 3<"$scratch/ids"
  return 1
}

# noted FIELD FORM: a value of the signed note.
noted() { sed -n "s/.*\"$1\":\"\{0,1\}\($2\)[\",].*/\1/p;s/.*\"$1\":\"\{0,1\}\($2\)\"\{0,1\}}\$/\1/p" "$scratch/header" | head -n 1; }

take_program() { if [ -s "$scratch/programs" ]; then take_named; else take_noted; fi; }

fetch_program() {
  host_wanted=$host unsigned=false
  if [ -e "$program" ]; then die 2 "$program exists: move it away, or name another file with --to"; fi
  if [ ! -s "$scratch/programs" ]; then check_openssl; fi
  machine=$(uname -m | sed 's/^x86_64$/x64/; s/^aarch64$/arm64/')
  part=$(mktemp "$program.XXXXXX") || die 1 "cannot write in ${program%/*}"
  find_copy
  if [ -d "$region/program" ] && open_place copy "file://$region" && take_program; then keep_program; fi
  while read -r name url <&5; do
    if open_place "$name" "$url" && take_program; then keep_program; fi
  done 5<"$scratch/regions"
  die 1 "no region gave a program that the kit vouches for; \`coldkeep publish-program\` puts it there"
}

keep_program() {
  chmod 755 "$part" && mv "$part" "$program" || die 1 "cannot write $program"
  part='' told=true
  say "$program is coldkeep, from region $place, with the SHA-256 $sha256"
  if [ ! -s "$scratch/programs" ]; then
    say "It was signed by host $host, and the kit does not name it: whoever took over that host could have signed it." \
      "Compare the SHA-256 with that of a release before you run it."
  fi
  say "next: $program restore --kit $kit --to /some/empty/directory"
  exit 0
}

parse_arguments "$@"
trap finish EXIT
trap 'die 130 stopped' HUP INT TERM
scratch=$(mktemp -d "$scratch_in/recover.XXXXXX") || die 1 "cannot write in $scratch_in"
: >"$scratch/notes"
TMPDIR=$scratch && export TMPDIR
if $fetch; then read_kit && fetch_program; fi
check_tools
choose_host
read_kit
choose_archive
read_object_list
if [ -e "$report" ]; then die 2 "$report exists: move it away"; fi
mkdir -p "$target" && cd "$target" || die 1 "cannot use $target"
if [ -n "$(ls -A .)" ]; then die 5 "$target is not empty"; fi
check_space
check_objects
read_catalog
plan
stage=$(mktemp -d "$target/.recover.XXXXXX") || die 1 "cannot write in $target"
make_directories
restore_contents
finish_files
make_others
restore_metadata
stage='' told=true
if [ ! -s "$scratch/notes" ]; then say "restored archive $id of host $host whole into $target" && exit 0; fi
sort -u "$scratch/notes" >"$report" || die 1 "cannot write $report"
say "restored archive $id of host $host into $target, but not all of it. $report tells ($(wc -l <"$report") lines):"
head -n 20 "$report" >&2
exit 3

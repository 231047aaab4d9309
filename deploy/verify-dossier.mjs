#!/usr/bin/env node
// A second verifier of dossiers, for Node 18 or newer, in this one file and without dependencies.
//
//     node verify-dossier.mjs FILE --key VKEY [--witness-key VKEY]... [--since CHECKPOINT_FILE] [--json]
//
// It shares no code with `groupbuy ledger verify-dossier` and must come to the same verdict. Exit status: 0 sound,
// 1 not sound, 2 unusable arguments. Nothing is unpacked and nothing is written.
//
// Sources: RFC 6962 section 2.1 (tree and proofs), c2sp.org/signed-note, c2sp.org/tlog-checkpoint,
// c2sp.org/tlog-cosignature, APPNOTE.TXT 6.3.10 (zip).

import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

const SIZE_MAX_BYTES = 256 * 1024 * 1024;
const FILES_MAX = 60_000;
const NOTE_MAX_BYTES = 1_000_000;
const SIGNATURES_MAX = 100;
const SIZE_MAX = 2n ** 63n - 1n;
const HASH_BYTES = 32;
const ED25519 = 1;
const COSIGNATURE = 4;
const FORMAT = "groupbuy-dossier-1";
const NAME = /^[a-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*){0,2}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const ALWAYS = ["manifest.json", "manifest.note", "checkpoint.note", "explanation.txt", "index.html"];

/** What is wrong with a dossier: the file, or `zip`, and a sentence. */
class Fault extends Error {
  constructor(where, sentence) {
    super(`${where}: ${sentence}`);
    this.where = where;
    this.sentence = sentence;
  }
}

/** Arguments that cannot be used. */
class Unusable extends Error {}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The zip: plain members in order of their names, and for given contents always the same bytes.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function packed(...fields) {
  const buffer = Buffer.alloc(fields.reduce((size, [bytes]) => size + bytes, 0));
  let at = 0;
  for (const [bytes, value] of fields) {
    buffer.writeUIntLE(value, at, bytes);
    at += bytes;
  }
  return buffer;
}

function buildZip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const name of [...files.keys()].sort(byCodePoints)) {
    const content = files.get(name);
    const encoded = Buffer.from(name, "latin1");
    const checksum = crc32(content);
    const sizes = [[4, checksum], [4, content.length], [4, content.length], [2, encoded.length], [2, 0]];
    parts.push(packed([4, 0x04034b50], [2, 20], [2, 0], [2, 0], [2, 0], [2, 0x21], ...sizes), encoded, content);
    directory.push(
      packed(
        ...[[4, 0x02014b50], [1, 20], [1, 3], [2, 20], [2, 0], [2, 0], [2, 0], [2, 0x21]],
        ...[...sizes, [2, 0], [2, 0], [2, 0], [4, 0o100644 * 0x10000], [4, offset]],
      ),
      encoded,
    );
    offset += 30 + encoded.length + content.length;
  }
  const listing = Buffer.concat(directory);
  const counts = [[2, files.size], [2, files.size], [4, listing.length], [4, offset], [2, 0]];
  return Buffer.concat([...parts, listing, packed([4, 0x06054b50], [2, 0], [2, 0], ...counts)]);
}

function readZip(raw) {
  if (raw.length > SIZE_MAX_BYTES) throw new Fault("zip", `it has more than ${SIZE_MAX_BYTES} bytes`);
  const end = raw.length - 22;
  if (end < 0 || raw.readUInt32LE(end) !== 0x06054b50) {
    throw new Fault("zip", "its end is missing: it is no zip, it was cut off, or something was added to it");
  }
  const [count, size, offset] = [raw.readUInt16LE(end + 10), raw.readUInt32LE(end + 12), raw.readUInt32LE(end + 16)];
  if (count > FILES_MAX) throw new Fault("zip", `${count} members are in it: at most ${FILES_MAX} are read`);
  if (offset + size !== end) throw new Fault("zip", "its directory is not where its end says");
  const files = new Map();
  let at = offset;
  for (let number = 0; number < count; number += 1) {
    if (at + 46 > end || raw.readUInt32LE(at) !== 0x02014b50) throw new Fault("zip", "its directory is damaged");
    const nameSize = raw.readUInt16LE(at + 28);
    const name = raw.toString("latin1", at + 46, Math.min(at + 46 + nameSize, end));
    checkName(name);
    if (raw.readUInt16LE(at + 8) || raw.readUInt16LE(at + 10)) {
      throw new Fault("zip", `${name} is compressed or encrypted: everything in a dossier is stored plain`);
    }
    if (((raw.readUInt32LE(at + 38) >>> 16) & 0o170000) === 0o120000) throw new Fault("zip", `${name} is a link`);
    const [packedSize, contentSize, place] = [20, 24, 42].map((field) => raw.readUInt32LE(at + field));
    const begin = place + 30 + nameSize;
    if (packedSize !== contentSize || begin + contentSize > offset) {
      throw new Fault("zip", `${name} does not lie where it is listed`);
    }
    if (files.has(name)) throw new Fault("zip", `${name} is in it twice`);
    files.set(name, raw.subarray(begin, begin + contentSize));
    at += 46 + nameSize + raw.readUInt16LE(at + 30) + raw.readUInt16LE(at + 32);
  }
  if (at !== end) throw new Fault("zip", "its directory has another length than it says");
  if (!buildZip(files).equals(raw)) {
    throw new Fault("zip", "something in it is not as this kind of zip is made: hidden, moved, added or changed bytes");
  }
  return files;
}

function checkName(name) {
  const leadsOut = /^[/\\]/.test(name) || name.includes(":") || name.split(/[/\\]/).includes("..");
  if (leadsOut) throw new Fault("zip", `${JSON.stringify(name.slice(0, 80))} leads out of the folder`);
  if (!NAME.test(name) || name.length > 200) {
    throw new Fault("zip", `${JSON.stringify(name.slice(0, 80))} is no name of a file in a dossier`);
  }
}

/** Order names as Python does; they are ASCII. */
function byCodePoints(left, right) {
  return left < right ? -1 : left > right ? 1 : 0;
}

// Keys and notes.

function parseKey(text, kind) {
  const parts = text.split("+");
  const encoded = parts.slice(2).join("+");
  const body = BASE64.test(encoded) ? Buffer.from(encoded, "base64") : Buffer.alloc(0);
  if (parts.length < 3 || body.length !== 33 || body[0] !== kind) {
    throw new Unusable(`${text.slice(0, 80)} is no verifier key of ${kind === ED25519 ? "a log" : "a witness"}`);
  }
  const id = sha256(`${parts[0]}\n`, body).subarray(0, 4);
  if (hex(id) !== parts[1]) throw new Unusable(`${text.slice(0, 80)} names another key than it holds`);
  const prefix = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410: an Ed25519 key in SPKI
  const key = createPublicKey({ key: Buffer.concat([prefix, body.subarray(1)]), format: "der", type: "spki" });
  return { name: parts[0], id, kind, key };
}

/** Return the text of a note once `key` is known to have signed it, and no signature by that key is wrong. */
function openNote(raw, key, where) {
  const whole = utf8(raw, where);
  const split = whole.lastIndexOf("\n\n");
  if (raw.length > NOTE_MAX_BYTES || split < 0 || !whole.endsWith("\n") || split + 2 >= whole.length) {
    throw new Fault(where, "no signed note");
  }
  const text = whole.slice(0, split + 1);
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) throw new Fault(where, "a note has no control characters");
  const lines = whole.slice(split + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) throw new Fault(where, "too many signatures");
  let signed = false;
  for (const line of lines) signed = checkLine(line, text, key, where) || signed;
  if (!signed) throw new Fault(where, `it is not signed by ${key.name}`);
  return text;
}

function checkLine(line, text, key, where) {
  const space = line.indexOf(" ", 2);
  const [name, encoded] = [line.slice(2, space), line.slice(space + 1)];
  const body = BASE64.test(encoded) ? Buffer.from(encoded, "base64") : Buffer.alloc(0);
  const isLine = line.startsWith("— ") && space > 2 && body.length > 4 && body.toString("base64") === encoded;
  if (!isLine || /[\s+]/u.test(name)) throw new Fault(where, "a signature line is none");
  if (name !== key.name || !body.subarray(0, 4).equals(key.id)) return false;
  if (!isSigned(key, text, body.subarray(4))) throw new Fault(where, `the signature of ${name} is not valid`);
  return true;
}

function isSigned(key, text, signature) {
  if (key.kind === ED25519) return signature.length === 64 && verifySignature(null, Buffer.from(text), key.key, signature);
  if (signature.length !== 72) return false;
  const at = signature.readBigUInt64BE(0);
  const message = Buffer.from(`cosignature/v1\ntime ${at}\n${text}`);
  return at <= SIZE_MAX && verifySignature(null, message, key.key, signature.subarray(8));
}

function openCheckpoint(raw, key, where) {
  const lines = openNote(raw, key, where).slice(0, -1).split("\n");
  const [origin, size, root] = lines;
  const isSize = /^(?:0|[1-9][0-9]{0,18})$/.test(size ?? "") && BigInt(size) <= SIZE_MAX;
  const isRoot = BASE64.test(root ?? "-") && Buffer.from(root, "base64").length === HASH_BYTES;
  if (lines.length < 3 || lines.includes("") || !isSize || !isRoot || Buffer.from(root, "base64").toString("base64") !== root) {
    throw new Fault(where, "no checkpoint");
  }
  if (origin !== key.name) throw new Fault(where, "the checkpoint is of another log");
  return { size: BigInt(size), root: Buffer.from(root, "base64") };
}

// The tree.

const leafHash = (leaf) => sha256(Buffer.from([0]), leaf);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

function checkHashes(hashes, where) {
  for (const hash of hashes) if (hash.length !== HASH_BYTES) throw new Fault(where, "a hash has not 32 bytes");
}

function checkInclusion(index, size, hash, proof, root, where) {
  if (index < 0n || index >= size) throw new Fault(where, `there is no leaf ${index} in a tree of ${size}`);
  checkHashes(proof, where);
  let [node, last, result] = [index, size - 1n, hash];
  for (const sibling of proof) {
    if (last === 0n) throw new Fault(where, "the proof is too long");
    if (node & 1n || node === last) {
      result = nodeHash(sibling, result);
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      result = nodeHash(result, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new Fault(where, "the proof is too short");
  if (!result.equals(root)) throw new Fault(where, "the proof leads to another root");
}

function checkConsistency(before, after, proof, where) {
  if (before.size < 1n || before.size > after.size) throw new Fault(where, "no such trees");
  checkHashes(proof, where);
  if (before.size === after.size) {
    if (proof.length || !before.root.equals(after.root)) throw new Fault(where, "two trees of one size differ");
    return;
  }
  let rest = proof;
  let first = before.root;
  if (before.size & (before.size - 1n)) {
    if (!proof.length) throw new Fault(where, "the proof is empty");
    [first, rest] = [proof[0], proof.slice(1)];
  }
  let [node, last] = [before.size - 1n, after.size - 1n];
  while (node & 1n) [node, last] = [node >> 1n, last >> 1n];
  let [smaller, larger] = [first, first];
  for (const sibling of rest) {
    if (last === 0n) throw new Fault(where, "the proof is too long");
    if (node & 1n || node === last) {
      [smaller, larger] = [nodeHash(sibling, smaller), nodeHash(sibling, larger)];
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      larger = nodeHash(larger, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new Fault(where, "the proof is too short");
  if (!smaller.equals(before.root) || !larger.equals(after.root)) throw new Fault(where, "the proof leads elsewhere");
}

// Reading files: every field that is expected, and none that is not.

const isText = (value) => typeof value === "string";
const isCount = (value) => Number.isSafeInteger(value);
const isListOf = (check) => (value) => Array.isArray(value) && value.every(check);
const isObject = (shape) => (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.keys(value).sort().join() === Object.keys(shape).sort().join() &&
  Object.entries(shape).every(([field, check]) => check(value[field]));

const isFileLine = isObject({ path: isText, size_bytes: isCount, sha256: isText });
const isManifest = isObject({
  ...{ format: isText, market: isText, origin: isText, about: isText, reader: isText, made_at: isText },
  audience: (value) => ["member", "merchant", "auditor"].includes(value),
  ...{ rule_versions: isListOf(isCount), entries: isCount, parts_opened: isCount, parts_shut: isCount },
  ...{ erased: isListOf(isText), files: isListOf(isFileLine) },
});
const isEntry = isObject({
  ...{ entry: isText, leaf_index: isCount, leaf: isText, proof: isListOf(isText) },
  opened: isListOf(isObject({ number: isCount, salt: isText, text: isText })),
});
const isConsistency = isObject({ proof: isListOf(isText) });
const isTextFile = isObject({ salt: isText, content: isText });

function utf8(raw, where) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw new Fault(where, "it is not UTF-8");
  }
}

function readJson(raw, check, where) {
  let value;
  try {
    value = JSON.parse(utf8(raw, where));
  } catch {
    throw new Fault(where, "it cannot be read");
  }
  if (!check(value)) throw new Fault(where, "it has not the fields that it must have");
  return value;
}

function base64(text, where) {
  if (!BASE64.test(text)) throw new Fault(where, "something in it is no base64");
  return Buffer.from(text, "base64");
}

// The dossier.

function fileOf(files, name) {
  const content = files.get(name);
  if (content === undefined) throw new Fault(name, "it is missing");
  return content;
}

function checkManifest(files, key) {
  const raw = fileOf(files, "manifest.json");
  const text = openNote(fileOf(files, "manifest.note"), key, "manifest.note");
  if (text !== `${key.name}/dossier\n${hex(sha256(raw))}\n`) {
    throw new Fault("manifest.json", "it is not the one that the log signed");
  }
  const manifest = readJson(raw, isManifest, "manifest.json");
  if (manifest.format !== FORMAT || manifest.origin !== key.name) {
    throw new Fault("manifest.json", `it is no ${FORMAT} of the log ${key.name}`);
  }
  const listed = new Map(manifest.files.map((line) => [line.path, line]));
  if (listed.size !== manifest.files.length) throw new Fault("manifest.json", "it lists a file twice");
  const there = [...files.keys()].filter((name) => name !== "manifest.json" && name !== "manifest.note");
  const odd = [...there.filter((name) => !listed.has(name)), ...[...listed.keys()].filter((name) => !files.has(name))];
  for (const name of odd.sort(byCodePoints)) {
    throw new Fault(name, listed.has(name) ? "it is missing" : "the manifest does not know it");
  }
  for (const name of [...listed.keys()].sort(byCodePoints)) {
    const [line, content] = [listed.get(name), files.get(name)];
    if (content.length !== line.size_bytes || hex(sha256(content)) !== line.sha256) {
      throw new Fault(name, "it is not the file that the manifest lists: it was changed");
    }
  }
  for (const name of ALWAYS) fileOf(files, name);
  return manifest;
}

function checkEntry(name, raw, signed) {
  const entry = readJson(raw, isEntry, name);
  const leaf = base64(entry.leaf, name);
  const proof = entry.proof.map((each) => base64(each, name));
  checkInclusion(BigInt(entry.leaf_index), signed.size, leafHash(leaf), proof, signed.root, name);
  if (leaf.length < 50 || leaf.toString("latin1", 0, 17) !== "groupbuy-leaf-v1\n") {
    throw new Fault(name, "its leaf is none");
  }
  const count = leaf.readUInt32BE(46);
  const position = `${leaf.readBigUInt64BE(17)}.${leaf.readUInt32BE(25)}.${leaf.readUInt32BE(29)}`;
  if (entry.entry !== position || leaf.length !== 50 + count * HASH_BYTES) {
    throw new Fault(name, "its leaf is that of another entry");
  }
  let before = -1;
  for (const part of entry.opened) {
    if (part.number <= before || part.number >= count) {
      throw new Fault(name, "its opened parts are not some of its parts, in order");
    }
    before = part.number;
    const committed = leaf.subarray(50 + part.number * HASH_BYTES, 50 + (part.number + 1) * HASH_BYTES);
    if (!sha256(base64(part.salt, name), Buffer.from(part.text)).equals(committed)) {
      throw new Fault(name, `its part ${part.number} is not what was committed to`);
    }
  }
  return [entry.opened.length, count - entry.opened.length];
}

function checkSince(files, key, signed, held) {
  if (!files.has("since.note")) {
    if (held) throw new Fault("since.note", "it is missing: the dossier does not go on from the checkpoint you hold");
    return null;
  }
  const before = openCheckpoint(files.get("since.note"), key, "since.note");
  if (held && !held.equals(files.get("since.note"))) throw new Fault("since.note", "it is not the one that you hold");
  const { proof } = readJson(fileOf(files, "consistency.json"), isConsistency, "consistency.json");
  const hashes = proof.map((each) => base64(each, "consistency.json"));
  checkConsistency(before, signed, hashes, "consistency.json");
  return Number(before.size);
}

function verifyDossier(raw, key, witnesses, held) {
  const files = readZip(raw);
  const manifest = checkManifest(files, key);
  const signed = openCheckpoint(fileOf(files, "checkpoint.note"), key, "checkpoint.note");
  for (const witness of witnesses) openNote(files.get("checkpoint.note"), witness, "checkpoint.note");
  const since = checkSince(files, key, signed, held);
  const under = (folder) => [...files.keys()].filter((name) => name.startsWith(folder)).sort(byCodePoints);
  let [opened, shut] = [0, 0];
  for (const name of under("entries/")) {
    const [more, others] = checkEntry(name, files.get(name), signed);
    [opened, shut] = [opened + more, shut + others];
  }
  const counts = [under("entries/").length, opened, shut];
  if (counts.join() !== [manifest.entries, manifest.parts_opened, manifest.parts_shut].join()) {
    throw new Fault("manifest.json", "it counts other entries or parts than there are");
  }
  for (const name of under("texts/")) {
    const text = readJson(files.get(name), isTextFile, name);
    const digest = hex(sha256(base64(text.salt, name), base64(text.content, name)));
    if (name !== `texts/${digest}.json`) throw new Fault(name, "it is not what was committed to");
  }
  return {
    ...{ sound: true, origin: manifest.origin, about: manifest.about, audience: manifest.audience },
    ...{ made_at: manifest.made_at, entries: manifest.entries, parts_opened: opened, parts_shut: shut },
    ...{ tree_size: Number(signed.size), cosigned_by: witnesses.map((witness) => witness.name), since_size: since },
  };
}

// The command.

function readArguments(given) {
  const found = { files: [], keys: [], witnesses: [], since: null, json: false };
  for (let at = 0; at < given.length; at += 1) {
    const [argument, value] = [given[at], given[at + 1]];
    if (argument === "--json") {
      found.json = true;
    } else if (["--key", "--witness-key", "--since"].includes(argument)) {
      if (value === undefined) throw new Unusable(`${argument} needs a value`);
      at += 1;
      if (argument === "--key") found.keys.push(value);
      else if (argument === "--witness-key") found.witnesses.push(value);
      else found.since = value;
    } else if (argument.startsWith("-")) {
      throw new Unusable(`${argument} is not known here`);
    } else {
      found.files.push(argument);
    }
  }
  if (found.files.length !== 1 || found.keys.length !== 1) {
    throw new Unusable("usage: node verify-dossier.mjs FILE --key VKEY [--witness-key VKEY] [--since FILE] [--json]");
  }
  return found;
}

/** Return at most `atMost` bytes of a file: what is larger is not read into memory. */
function readFile(path, atMost) {
  let descriptor;
  try {
    descriptor = openSync(path, "r");
    const chunks = [];
    let left = atMost;
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, 1 << 20));
      const size = readSync(descriptor, chunk);
      if (size === 0) break;
      chunks.push(chunk.subarray(0, size));
      left -= size;
    }
    return Buffer.concat(chunks);
  } catch (error) {
    throw new Unusable(`${path} cannot be read: ${error.code}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function inWords({ entries, parts_opened: parts }) {
  return `${entries} ${entries === 1 ? "entry" : "entries"}, ${parts} ${parts === 1 ? "part" : "parts"} opened`;
}

function main(given) {
  const found = readArguments(given);
  const key = parseKey(found.keys[0], ED25519);
  const witnesses = found.witnesses.map((text) => parseKey(text, COSIGNATURE));
  const held = found.since === null ? null : readFile(found.since, NOTE_MAX_BYTES);
  const raw = readFile(found.files[0], SIZE_MAX_BYTES + 1);
  let report;
  try {
    report = verifyDossier(raw, key, witnesses, held);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    report = { sound: false, where: fault.where, sentence: fault.sentence };
  }
  const words = report.sound
    ? `sound: ${report.about} of the log ${report.origin}, ${inWords(report)}`
    : `NOT SOUND  ${report.where}: ${report.sentence}`;
  process.stdout.write(`${found.json ? JSON.stringify(report) : words}\n`);
  return report.sound ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Unusable)) throw error;
  process.stderr.write(`verify-dossier: ${error.message}\n`);
  process.exitCode = 2;
}

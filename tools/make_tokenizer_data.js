// make_tokenizer_data: asks the original implementation, Hugging Face's tokenizers (Rust), what it makes of the lines of
// test/hostile_lines.h, and keeps that beside the files in test/data/tokenizers.
//
//   npm install tokenizers@0.23.2          in a folder of its own; the package has the library compiled
//   ./print_hostile_lines > lines          tools/print_hostile_lines.c
//   NODE_PATH=FOLDER/node_modules node tools/make_tokenizer_data.js lines test/data/tokenizers
//
// Of each family: NAME.ids, a hash of the ids of every line (with the tokens of the post_processor), and NAME.text, one of
// what the first 1,000 decode to without special tokens; of each variant: NAME.both, ids and text in one, of the first
// 1,000. FNV-1a of 32 bits, little-endian. NAME.examples has the ids of some lines as they are: "LINE: id id id".
//
//   ... --ids TOKENIZER.json lines > out   prints all ids instead: "LINE: id id id"; for tokenizers that are not kept here
'use strict';
const fs = require('fs');
const path = require('path');
const {Tokenizer} = require('tokenizers');

const families = ['gpt2', 'llama3', 'qwen2', 'llama2', 'mistral'];
const variants = ['digits', 'metaspace', 'whitespace', 'strip', 'replace', 'next', 'contiguous', 'removed', 'added', 'holes',
    'gpt4o', 'deepseek', 'unigram', 'unigram_bytes'];
const decodedLines = 1000;
const exampleBegin = 1, exampleEnd = 33, exampleIdsMost = 80;

// Bytes that are not UTF-8 become U+FFFD here, by WHATWG's rule, before the library sees them.
function readLines(file) {
    const bytes = fs.readFileSync(file);
    const lines = [];
    for (let at = 0; at < bytes.length;) {
        const count = bytes.readUInt32LE(at);
        lines.push(bytes.subarray(at + 4, at + 4 + count).toString('utf8'));
        at += 4 + count;
    }
    return lines;
}

function hash(begin, bytes) {
    let value = begin;
    for (const byte of bytes)
        value = Math.imul(value ^ byte, 16777619) >>> 0;
    return value;
}
const hashBegin = 2166136261;
const hashIds = ids => hash(hashBegin, Buffer.from(Uint32Array.from(ids).buffer));

function writeHashes(file, hashes) {
    const bytes = Buffer.alloc(4 * hashes.length);
    hashes.forEach((value, i) => bytes.writeUInt32LE(value, 4 * i));
    fs.writeFileSync(file, bytes);
}

async function encode(tokenizer, text) {
    return Array.from((await tokenizer.encode(text, null, {addSpecialTokens: true})).getIds());
}

async function makeData(lines, folder, name, isFamily) {
    const tokenizer = Tokenizer.fromFile(path.join(folder, name + '.json'));
    const ids = [], texts = [], both = [];
    let examples = '';
    for (let i = 0; i < (isFamily ? lines.length : decodedLines); i++) {
        const line = await encode(tokenizer, lines[i]);
        ids.push(hashIds(line));
        if (i < decodedLines) {
            const text = Buffer.from(await tokenizer.decode(line, true), 'utf8');
            texts.push(hash(hashBegin, text));
            both.push(hash(hashIds(line), text));
        }
        if (i >= exampleBegin && i < exampleEnd && line.length <= exampleIdsMost)
            examples += `\n${i}: ${line.join(' ')}`;
    }
    if (isFamily) {
        writeHashes(path.join(folder, name + '.ids'), ids);
        writeHashes(path.join(folder, name + '.text'), texts);
        fs.writeFileSync(path.join(folder, name + '.examples'), examples + '\n');
    } else {
        writeHashes(path.join(folder, name + '.both'), both);
    }
}

async function main(words) {
    if (words[0] === '--ids') {
        const tokenizer = Tokenizer.fromFile(words[1]);
        const lines = readLines(words[2]);
        for (let i = 0; i < lines.length; i++)
            fs.writeSync(1, `${i}: ${(await encode(tokenizer, lines[i])).join(' ')}\n`);
        return;
    }
    if (words.length !== 2)
        throw new Error('usage: node tools/make_tokenizer_data.js LINES FOLDER');
    const lines = readLines(words[0]);
    for (const name of families)
        await makeData(lines, words[1], name, true);
    for (const name of variants)
        await makeData(lines, words[1], name, false);
}

main(process.argv.slice(2)).catch(error => {
    console.error(error.message);
    process.exit(1);
});

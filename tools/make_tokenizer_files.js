// make_tokenizer_files: small tokenizer.json files with the structure of GPT-2's, Llama 3's, Qwen2's, Llama 2's and
// Mistral's, and variants that together use every component; their vocabularies are trained here, on our own documents.
//
//   node tools/make_tokenizer_files.js test/data/tokenizers
//
// Needs nothing but node. The files are kept with the tests: run it again only to change them, and then make their data
// again as well (tools/make_tokenizer_data.js).
'use strict';
const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..');
const out = process.argv[2];
if (!out) {
    console.error('usage: node tools/make_tokenizer_files.js FOLDER');
    process.exit(2);
}

const documents = ['README.md', 'CONTRIBUTING.md', 'docs/METHOD.md', 'docs/ROBUSTNESS.md', 'docs/STATISTICS.md'];
const sentences = [
    'Die Waage misst das Gewicht, und über Nacht wird es kälter. Größe, Äpfel, Öl.',
    'Le modèle fait une réponse très rapide; où est-il passé ?',
    'Модель читает текст и пишет ответ. Скорость и точность вместе.',
    'Το μοντέλο διαβάζει το κείμενο και γράφει την απάντηση.',
    'המודל קורא את הטקסט וכותב תשובה.',
    'النموذج يقرأ النص ويكتب الجواب.',
    'मॉडल पाठ पढ़ता है और उत्तर लिखता है।',
    'โมเดลอ่านข้อความและเขียนคำตอบ',
    '模型读取文本并写出答案。速度和精度在一起。',
    'モデルは文章を読んで答えを書きます。速さと正確さ。',
    '모델은 글을 읽고 답을 씁니다. 속도와 정확도.',
    '😀 👍🏽 👩‍💻 🇩🇪 🎉🎉',
    'for (int i = 0; i < n; i++) {\n    sum += x[i];\n}\n\n\treturn sum;\n',
    'def f(x):\n    return x * 2\n\nprint(f(21))\r\n',
    "I'm sure they'll say it's done, but we've seen that you're not and he'd know. DON'T! IT'S OK.",
    '1234567890 3.14159 2026 0x1F 1,000,000 ½ ² ٣٤٥',
];
const corpus = documents.map(name => fs.readFileSync(path.join(root, name), 'utf8')).concat(sentences, sentences);

// ---- Training -------------------------------------------------------------------------------------------------------

const byteCharacters = (() => {
    const map = [];
    let next = 256;
    for (let byte = 0; byte < 256; byte++) {
        const printed = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
        map.push(String.fromCodePoint(printed ? byte : next++));
    }
    return map;
})();
const asBytes = text => Array.from(Buffer.from(text, 'utf8'), byte => byteCharacters[byte]);

// The most frequent pairs of neighbours within words, one after the other; ties by text.
function train(words, mergeCount) {
    const counts = new Map();
    for (const word of words)
        counts.set(word.join('\u0000'), (counts.get(word.join('\u0000')) || 0) + 1);
    const lists = Array.from(counts, ([key, count]) => ({symbols: key.split('\u0000'), count}));
    const merges = [];
    const seen = new Set();
    while (merges.length < mergeCount) {
        const pairs = new Map();
        for (const {symbols, count} of lists)
            for (let i = 0; i + 1 < symbols.length; i++) {
                const key = symbols[i] + '\u0000' + symbols[i + 1];
                pairs.set(key, (pairs.get(key) || 0) + count);
            }
        let best = null;
        for (const [key, count] of pairs)
            if (!seen.has(key.replace('\u0000', '')) &&
                (!best || count > best.count || (count === best.count && key < best.key)))
                best = {key, count};
        if (!best || best.count < 2)
            break;
        const [left, right] = best.key.split('\u0000');
        merges.push([left, right]);
        seen.add(left + right);
        for (const list of lists) {
            const merged = [];
            for (let i = 0; i < list.symbols.length; i++) {
                if (i + 1 < list.symbols.length && list.symbols[i] === left && list.symbols[i + 1] === right) {
                    merged.push(left + right);
                    i++;
                } else {
                    merged.push(list.symbols[i]);
                }
            }
            list.symbols = merged;
        }
    }
    return merges;
}

function wordsBy(pattern, texts = corpus) {
    const words = [];
    for (const text of texts)
        for (const match of text.normalize('NFC').matchAll(pattern))
            words.push(match[0]);
    return words;
}

function numbered(tokens, first = 0) {
    const vocab = {};
    for (const token of tokens)
        if (!(token in vocab))
            vocab[token] = first++;
    return vocab;
}

function byteLevel(pattern, mergeCount) {
    const merges = train(wordsBy(pattern).map(asBytes), mergeCount);
    return {vocab: numbered(byteCharacters.concat(merges.map(pair => pair.join('')))), merges};
}

// Characters, the most frequent first, and merges between them.
function characterLevel(words, characterCount, mergeCount) {
    const counts = new Map();
    for (const word of words)
        for (const character of word)
            counts.set(character, (counts.get(character) || 0) + 1);
    const characters = Array.from(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const kept = new Set(characters.slice(0, characterCount).map(pair => pair[0]));
    const known = words.map(word => Array.from(word)).filter(word => word.every(character => kept.has(character)));
    return {characters: Array.from(kept), merges: train(known, mergeCount)};
}

// ---- Patterns, as their files have them -------------------------------------------------------------------------------

const patterns = {
    llama3: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
        '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    qwen2: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
        '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    gpt4o: "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|" +
        "'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|" +
        "'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    deepseek: ['\\p{N}{1,3}', '[一-龥぀-ゟ゠-ヿ]+',
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?" +
        '[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'],
};
const gpt2Words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const llama3Words =
    /'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu;

// ---- Components -------------------------------------------------------------------------------------------------------

const sequence = (list, ...items) => ({type: 'Sequence', [list]: items});
const byteLevelStep = (addPrefixSpace, trimOffsets, useRegex) => {
    const step = {type: 'ByteLevel', add_prefix_space: addPrefixSpace, trim_offsets: trimOffsets};
    return useRegex === undefined ? step : {...step, use_regex: useRegex};
};
const split = (pattern, behavior = 'Isolated', invert = false) =>
    ({type: 'Split', pattern: typeof pattern === 'string' ? {Regex: pattern} : pattern, behavior, invert});
const added = (id, content, more = {}) => ({
    id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more});
const replace = (from, to) => ({type: 'Replace', pattern: typeof from === 'string' ? {String: from} : from, content: to});
const metaspace = (scheme, splits) =>
    ({type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, ...(splits === undefined ? {} : {split: splits})});
const before = (token, id) => ({
    type: 'TemplateProcessing',
    single: [{SpecialToken: {id: token, type_id: 0}}, {Sequence: {id: 'A', type_id: 0}}],
    pair: [{SpecialToken: {id: token, type_id: 0}}, {Sequence: {id: 'A', type_id: 0}},
        {SpecialToken: {id: token, type_id: 1}}, {Sequence: {id: 'B', type_id: 1}}],
    special_tokens: {[token]: {id: token, ids: [id], tokens: [token]}},
});
const model = (vocabulary, more = {}) => ({
    type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
    fuse_unk: false, byte_fallback: false, ignore_merges: false, ...more,
    vocab: vocabulary.vocab, merges: vocabulary.merges});
const file = parts => ({
    version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null,
    post_processor: null, decoder: null, ...parts});
const asLines = vocabulary => ({vocab: vocabulary.vocab, merges: vocabulary.merges.map(pair => pair.join(' '))});
const size = vocabulary => Math.max(...Object.values(vocabulary.vocab)) + 1;

function write(name, parts) {
    fs.writeFileSync(path.join(out, name + '.json'), JSON.stringify(file(parts)) + '\n');
}

// ---- Families ---------------------------------------------------------------------------------------------------------

{
    const vocabulary = byteLevel(gpt2Words, 1000), id = size(vocabulary);
    vocabulary.vocab['<|endoftext|>'] = id;
    write('gpt2', {
        added_tokens: [added(id, '<|endoftext|>')],
        pre_tokenizer: byteLevelStep(false, true),
        post_processor: byteLevelStep(true, false),
        decoder: byteLevelStep(true, true),
        model: {dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false,
            ...asLines(vocabulary)},
    });
}
{
    const vocabulary = byteLevel(llama3Words, 1000), id = size(vocabulary);
    vocabulary.vocab['ĠcafÃ©'] = id; // a word that no merge leads to: ignore_merges finds it
    const special = ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'];
    write('llama3', {
        added_tokens: special.map((text, i) => added(id + 1 + i, text)),
        pre_tokenizer: sequence('pretokenizers', split(patterns.llama3), byteLevelStep(false, true, false)),
        post_processor: sequence('processors', byteLevelStep(true, false, true), before('<|begin_of_text|>', id + 1)),
        decoder: byteLevelStep(true, true, true),
        model: model(vocabulary, {ignore_merges: true}),
    });
}
{
    const vocabulary = byteLevel(llama3Words, 800), id = size(vocabulary);
    write('qwen2', {
        added_tokens: ['<|endoftext|>', '<|im_start|>', '<|im_end|>'].map((text, i) => added(id + i, text)),
        normalizer: {type: 'NFC'},
        pre_tokenizer: sequence('pretokenizers', split(patterns.qwen2), byteLevelStep(false, false, false)),
        post_processor: byteLevelStep(false, false, false),
        decoder: byteLevelStep(false, false, false),
        model: {type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '',
            fuse_unk: false, byte_fallback: false, ...asLines(vocabulary)},
    });
}
const bytes = Array.from({length: 256}, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
function withFallback(mergeCount) {
    const words = wordsBy(/ ?[^ ]+| +/gu).map(word => (word[0] === ' ' ? '' : '▁') + word.replaceAll(' ', '▁'));
    const {characters, merges} = characterLevel(words, 200, mergeCount);
    const runs = [['▁', '▁'], ['▁▁', '▁▁'], ['▁▁▁▁', '▁▁▁▁']];
    const all = merges.concat(runs.filter(run => !merges.some(pair => pair.join('') === run.join(''))));
    return {vocab: numbered(['<unk>', '<s>', '</s>'].concat(bytes, all.map(pair => pair.join('')), characters)), merges: all};
}
const sentencePieceDecoder = sequence('decoders', replace('▁', ' '), {type: 'ByteFallback'}, {type: 'Fuse'},
    {type: 'Strip', content: ' ', start: 1, stop: 0});
const threeSpecial = ['<unk>', '<s>', '</s>'].map((text, id) => added(id, text));
write('llama2', {
    added_tokens: threeSpecial,
    normalizer: sequence('normalizers', {type: 'Prepend', prepend: '▁'}, replace(' ', '▁')),
    post_processor: before('<s>', 1),
    decoder: sentencePieceDecoder,
    model: model(asLines(withFallback(900)), {unk_token: '<unk>', fuse_unk: true, byte_fallback: true}),
});
{
    const vocabulary = withFallback(700), id = size(vocabulary);
    write('mistral', {
        added_tokens: threeSpecial.concat(added(id, '[INST]'), added(id + 1, '[/INST]')),
        pre_tokenizer: metaspace('first', false),
        post_processor: before('<s>', 1),
        decoder: sentencePieceDecoder,
        model: model(vocabulary, {unk_token: '<unk>', fuse_unk: true, byte_fallback: true}),
    });
}

// ---- Variants ---------------------------------------------------------------------------------------------------------

const smallBytes = byteLevel(gpt2Words, 60);
const smallWords = characterLevel(wordsBy(/[^\s]+/gu), 160, 120);
const unknown = {vocab: numbered(['<unk>'].concat(smallWords.characters, smallWords.merges.map(pair => pair.join('')))),
    merges: smallWords.merges};
const withUnknown = more => model(unknown, {unk_token: '<unk>', ...more});

write('digits', {
    pre_tokenizer: sequence('pretokenizers', {type: 'Digits', individual_digits: true}, {type: 'Punctuation'},
        byteLevelStep(true, true)),
    decoder: byteLevelStep(true, true),
    model: model(smallBytes),
});
{
    const small = characterLevel(wordsBy(/ ?[^ ]+/gu).map(word => word.replaceAll(' ', '▁')), 150, 120);
    write('metaspace', {
        added_tokens: [added(0, '<unk>')],
        pre_tokenizer: metaspace('always'),
        decoder: metaspace('always'),
        model: model({vocab: numbered(['<unk>', '▁'].concat(small.characters, small.merges.map(pair => pair.join('')))),
            merges: small.merges}, {unk_token: '<unk>'}),
    });
}
write('whitespace', {
    normalizer: sequence('normalizers', {type: 'NFKC'}, {type: 'Lowercase'}),
    pre_tokenizer: {type: 'Whitespace'},
    model: withUnknown({fuse_unk: true}),
});
write('strip', {
    normalizer: sequence('normalizers', {type: 'NFD'}, {type: 'Strip', strip_left: true, strip_right: true}),
    pre_tokenizer: {type: 'WhitespaceSplit'},
    decoder: sequence('decoders', {type: 'Strip', content: 'e', start: 0, stop: 1}, {type: 'Fuse'}),
    model: withUnknown({}),
});
write('replace', {
    normalizer: sequence('normalizers', {type: 'NFKD'}, replace({Regex: '\\s+|[aeiou]{2}'}, ' _'), replace('the', 'THE')),
    pre_tokenizer: split({String: '_'}, 'MergedWithPrevious'),
    decoder: sequence('decoders', replace({Regex: '_|t'}, ' '), replace('e', '')),
    model: withUnknown({fuse_unk: true}),
});
write('next', {
    pre_tokenizer: sequence('pretokenizers', split('[aeiou ]', 'MergedWithNext', true), byteLevelStep(false, true, false)),
    decoder: byteLevelStep(false, true),
    model: model(smallBytes),
});
write('contiguous', {
    pre_tokenizer: sequence('pretokenizers', split('\\p{Lu}|\\s', 'Contiguous'), {type: 'Digits', individual_digits: false},
        {type: 'Punctuation', behavior: 'Contiguous'}, byteLevelStep(false, true, false)),
    decoder: byteLevelStep(false, true),
    model: model(smallBytes),
});
write('removed', {
    pre_tokenizer: sequence('pretokenizers', split('\\w+\\b|\\h|(?m:<.s)', 'Removed', true), split('s*', 'MergedWithNext'),
        byteLevelStep(true, true, false)),
    decoder: byteLevelStep(false, true),
    model: model(smallBytes),
});
{
    const id = size(smallBytes);
    write('added', {
        added_tokens: [
            added(id, '<mask>', {lstrip: true}),
            added(id + 1, '</s>', {rstrip: true}),
            added(id + 2, '<s>', {single_word: true}),
            added(id + 3, '<|im_start|>', {lstrip: true, rstrip: true, special: false}),
            added(id + 4, 'ADDED', {normalized: true, special: false}),
            added(id + 5, 'Added Token', {normalized: true, special: false, single_word: true}),
            added(id + 6, '<|IM_end|>', {normalized: true, rstrip: true}),
            added(id + 7, 'zwei Wörter', {normalized: true, lstrip: true, special: false}),
        ],
        normalizer: {type: 'Lowercase'},
        pre_tokenizer: byteLevelStep(false, true),
        post_processor: {
            type: 'TemplateProcessing',
            single: [{SpecialToken: {id: 'mask', type_id: 0}}, {Sequence: {id: 'A', type_id: 0}},
                {SpecialToken: {id: 'two', type_id: 0}}],
            pair: [{Sequence: {id: 'A', type_id: 0}}, {Sequence: {id: 'B', type_id: 1}}],
            special_tokens: {
                mask: {id: 'mask', ids: [id], tokens: ['<mask>']},
                two: {id: 'two', ids: [id + 1, id + 2], tokens: ['</s>', '<s>']},
            },
        },
        decoder: byteLevelStep(false, true),
        model: model(smallBytes),
    });
}
{
    // Some bytes have no token, some ids no text; unknown characters among those that fall back to bytes.
    const vocabulary = {vocab: {}, merges: unknown.merges};
    const kept = bytes.filter((_, byte) => byte % 5 !== 3);
    let id = 0;
    for (const token of ['<unk>'].concat(kept, smallWords.characters, smallWords.merges.map(pair => pair.join('')))) {
        vocabulary.vocab[token] = id;
        id += 1 + (id % 7 === 0 ? 2 : 0);
    }
    write('holes', {
        added_tokens: [added(0, '<unk>')],
        decoder: sentencePieceDecoder,
        model: model(vocabulary, {unk_token: '<unk>', byte_fallback: true}),
    });
}
write('gpt4o', {
    pre_tokenizer: sequence('pretokenizers', split(patterns.gpt4o), byteLevelStep(false, true, false)),
    decoder: byteLevelStep(false, true),
    model: model(smallBytes),
});
write('deepseek', {
    normalizer: sequence('normalizers'),
    pre_tokenizer: sequence('pretokenizers', ...patterns.deepseek.map(pattern => split(pattern)),
        byteLevelStep(false, true, false)),
    decoder: byteLevelStep(false, true, false),
    model: model(smallBytes),
});

// The report in a browser: that it asks nothing of the network, is whole without its script, fits a phone and a desk in
// light and dark, has no serious issue of accessibility, saves pictures with their captions, and takes a hostile result
// for text. Called by run_report_browser.sh; screenshots stay in FOLDER/screens.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const [, , qmark, makeResults, source, folder, executablePath] = process.argv;
const require = createRequire(path.join(folder, 'npm', 'package.json'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const data = path.join(source, 'test', 'data');
const results = path.join(folder, 'results');
const screens = path.join(folder, 'screens');
const kinds = ['trade', 'vendors', 'sustained', 'roofline', 'accuracy'];
const sections = ['results', 'trade', 'vendors', 'sustained', 'roofline', 'accuracy', 'disclosure', 'files'];
const views = [[1440, 'light'], [1440, 'dark'], [390, 'light'], [390, 'dark']];

let failures = 0;
function check(holds, what) {
  if (holds) return;
  failures++;
  console.log(`FAILED: ${what}`);
}
const started = Date.now();
function at(what) {
  console.log(`${((Date.now() - started) / 1000).toFixed(1)} s: ${what}`);
}

// ---- Eight results: software drivers, narrow and wide, one throttled, one with a wrong row, one wrong altogether ------

function run(name, more, clock) {
  const env = { ...process.env, QM_SIMULATE: clock, QM_CEILINGS_MS: '0', QM_DATA_DIR: source,
    QM_CACHE_DIR: path.join(folder, 'cache') };
  const out = path.join(results, name);
  return new Promise((resolve, reject) => execFile(qmark, ['run', '--profile', path.join(source, 'test/browser/small.yaml'),
    '--device', 'reference', '--out', out, '--progress', 'none', ...more], { env }, (error, stdout, stderr) =>
    error ? reject(new Error(`run of ${name}: ${stderr}`)) : resolve()));
}

async function makeEight() {
  fs.rmSync(results, { recursive: true, force: true });
  fs.mkdirSync(results, { recursive: true });
  // One after the other the first time: both make the same artifacts.
  await run('throttled', [], 'noise=0.01,seed=5,throttle_s=45,throttle_to=0.7');
  await run('wide', ['--widen', '2', '--scheme', 'f16,w8a8'], 'noise=0.01,seed=6,speed=20');
  for (const name of ['example', 'other-device', 'sets'])
    fs.copyFileSync(path.join(data, `result-${name}.yaml`), path.join(results, `${name}.yaml`));
  for (const api of ['opencl', 'vulkan']) {
    fs.mkdirSync(path.join(results, api));
    execFileSync(makeResults, ['roof', api, path.join(data, 'result-sustained.yaml'), path.join(results, api)]);
  }
  fs.mkdirSync(path.join(results, 'wrong'));
  execFileSync(makeResults, ['wrong', 'A driver with wrong kernels', path.join(data, 'result-pocl.yaml'),
    path.join(results, 'wrong')]);
}

function report(operands, out) {
  const begun = Date.now();
  execFileSync(qmark, ['report', ...operands, '-o', out]);
  return { seconds: (Date.now() - begun) / 1000, bytes: fs.statSync(out).size };
}

// ---- The browser ------------------------------------------------------------------------------------------------------

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });

// A page that counts what must not happen.
async function open(file, options, title) {
  const context = await browser.newContext({ acceptDownloads: true, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const url = `file://${file}`;
  page.on('console', m => check(!['error', 'warning'].includes(m.type()), `${title}: console: ${m.text()}`));
  page.on('pageerror', e => check(false, `${title}: ${e.message}`));
  page.on('dialog', d => { check(false, `${title}: a dialog: ${d.message()}`); d.dismiss(); });
  page.on('request', r => check(r.url() === url || /^(data|blob):/.test(r.url()), `${title}: asks for ${r.url()}`));
  await page.goto(url);
  return page;
}

async function look(file, [width, colorScheme]) {
  const title = `${width} ${colorScheme}`;
  const page = await open(file, { viewport: { width, height: 1000 }, colorScheme }, title);
  const seen = await page.evaluate(kinds => ({
    sections: [...document.querySelectorAll('main > section')].map(s => s.id),
    headings: [...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1]),
    overflow: document.documentElement.scrollWidth - innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    pictures: kinds.map(kind => [...document.querySelectorAll(`#${kind} figure.picture`)].map(figure => {
      const drawn = [...figure.querySelectorAll('svg')].filter(s => s.getClientRects().length);
      return { drawn: drawn.length, shapes: drawn[0] ? drawn[0].querySelectorAll('path,rect,circle,line,polyline,polygon').length : 0,
        told: drawn[0] ? [...drawn[0].querySelectorAll('title')].length : 0,
        text: drawn[0] ? drawn[0].textContent : '',
        small: drawn[0] ? Math.min(...[...drawn[0].querySelectorAll('text')].map(t => t.getBoundingClientRect().height)) : 0,
        hidden: !figure.checkVisibility() };
    })),
    rows: document.querySelectorAll('tbody tr').length,
    wrong: [...document.querySelectorAll('tr.not-ok')].map(r => r.textContent),
  }), kinds);
  check(seen.sections.join() === sections.join(), `${title}: sections ${seen.sections}`);
  check(seen.headings.every((h, i) => i === 0 || h <= seen.headings[i - 1] + 1), `${title}: headings skip a level`);
  check(seen.overflow <= 0, `${title}: the page scrolls sideways by ${seen.overflow} px`);
  check((parseInt(seen.ground.match(/\d+/)[0]) < 128) === (colorScheme === 'dark'), `${title}: ground is ${seen.ground}`);
  seen.pictures.forEach((list, k) => {
    check(list.some(p => p.shapes > 8), `${title}: no picture of ${kinds[k]} has marks`);
    list.filter(p => !p.hidden).forEach((p, i) => {
      check(p.drawn === 1, `${title}: ${kinds[k]} ${i} is drawn ${p.drawn} times`);
      check(p.shapes > 8 || p.text.includes('Nothing to draw'), `${title}: ${kinds[k]} ${i} has ${p.shapes} shapes`);
      check(/qmark \d/.test(p.text), `${title}: ${kinds[k]} ${i} has no caption`);
      check(p.small > 9, `${title}: ${kinds[k]} ${i} has text of ${p.small} px`);
    });
  });
  check(width < 1440 || seen.pictures[0][0].told >= 8, `${title}: the trade has ${seen.pictures[0][0].told} titles on marks`);
  check(seen.wrong.length > 0 && seen.wrong.every(t => !/t\/s|tokens\/s/.test(t)), `${title}: a wrong row has a speed`);
  check(seen.wrong.some(t => t.includes('WRONG')), `${title}: no row says WRONG`);
  await page.screenshot({ path: path.join(screens, `report-${width}-${colorScheme}.png`), fullPage: true });
  for (const id of width === 1440 && colorScheme === 'light' ? sections : [])
    await page.locator(`#${id}`).screenshot({ path: path.join(screens, `${id}-${width}-${colorScheme}.png`) });
  await accessible(page, title);
  await page.context().close();
  return seen.rows;
}

async function accessible(page, title) {
  await page.evaluate(() => document.querySelectorAll('details').forEach((d, i) => { d.open = i < 12; }));
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  for (const v of found.violations)
    if (v.impact === 'serious' || v.impact === 'critical')
      check(false, `${title}: axe: ${v.id} (${v.impact}): ${v.help}; ${v.nodes.length} times, such as ${v.nodes[0].html.slice(0, 160)}`);
}

// ---- Saving -----------------------------------------------------------------------------------------------------------

async function save(file, colorScheme) {
  const page = await open(file, { viewport: { width: 1440, height: 1000 }, colorScheme }, `saving, ${colorScheme}`);
  for (const kind of kinds) {
    const figure = page.locator(`#${kind} figure.picture`).first();
    const said = await figure.locator('.wide svg').textContent();
    const hash = (said.match(/\b[0-9a-f]{12}\b/) || [])[0];
    check(hash, `saving: the picture of ${kind} tells no hash`);
    for (const form of ['SVG', 'PNG']) {
      const [download] = await Promise.all([page.waitForEvent('download'), figure.getByText(`Save as ${form}`).click()]);
      const to = path.join(screens, `saved-${colorScheme}-${download.suggestedFilename()}`);
      await download.saveAs(to);
      if (form === 'SVG') {
        const text = fs.readFileSync(to, 'utf8');
        const parsed = await page.evaluate(t => {
          const doc = new DOMParser().parseFromString(t, 'image/svg+xml');
          return { broken: !!doc.querySelector('parsererror'), text: doc.documentElement.textContent };
        }, text);
        check(!parsed.broken, `saving: ${to} is not well-formed`);
        check(parsed.text.includes(hash) && /qmark \d/.test(parsed.text), `saving: ${to} has no caption`);
        check(text.includes('<style'), `saving: ${to} has no style`);
      } else {
        await pixels(page, to, kind);
      }
    }
  }
  await page.context().close();
}

// The caption is the last fifth of the drawing; there must be ink in it, and more colours than one in the whole.
async function pixels(page, file, kind) {
  const url = `data:image/png;base64,${fs.readFileSync(file).toString('base64')}`;
  const ink = await page.evaluate(async url => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.width;
    canvas.height = image.height;
    const g = canvas.getContext('2d');
    g.drawImage(image, 0, 0);
    const d = g.getImageData(0, 0, image.width, image.height).data;
    const ground = [d[0], d[1], d[2]];
    const count = (from, to) => {
      let n = 0;
      for (let i = from * image.width * 4; i < to * image.width * 4; i += 4)
        n += Math.abs(d[i] - ground[0]) + Math.abs(d[i + 1] - ground[1]) + Math.abs(d[i + 2] - ground[2]) > 120;
      return n;
    };
    return { width: image.width, height: image.height, all: count(0, image.height),
      caption: count(Math.floor(image.height * 0.8), image.height) };
  }, url);
  check(ink.width >= 1800 && ink.all > 2000, `saving: the PNG of ${kind} is ${ink.width} wide with ${ink.all} pixels drawn`);
  check(ink.caption > 400, `saving: the PNG of ${kind} has ${ink.caption} pixels in its caption`);
}

// The same without a browser.
async function only() {
  const page = await browser.newPage();
  for (const kind of kinds) {
    const svg = path.join(folder, `${kind}.svg`), png = path.join(screens, `only-${kind}.png`);
    execFileSync(qmark, ['report', results, '--only', kind, '-o', svg]);
    const text = fs.readFileSync(svg, 'utf8').replace(/<[^>]*>/g, ' ');
    check(/\b[0-9a-f]{12}\b/.test(text) && /qmark \d/.test(text), `--only ${kind}: the SVG has no caption`);
    execFileSync(qmark, ['report', results, '--only', kind, '-o', png]);
    await pixels(page, png, kind);
  }
  await page.close();
}

// ---- Without script, by keyboard, printed --------------------------------------------------------------------------------

async function withoutScript(file, rows) {
  const page = await open(file, { viewport: { width: 1440, height: 1000 }, javaScriptEnabled: false }, 'no script');
  check(await page.locator('main > section').count() === sections.length, 'no script: sections are missing');
  check(await page.locator('tbody tr').count() === rows, 'no script: rows are missing');
  check(await page.locator('figure.picture .wide svg').count() >= kinds.length, 'no script: pictures are missing');
  check(await page.locator('button:visible').count() === 0, 'no script: a button that does nothing is seen');
  await page.locator('details.trade summary').first().click();
  check(await page.locator('details.trade table').first().isVisible(), 'no script: a disclosure does not open');
  check(/qmark reproduce .*--scheme/.test(await page.locator('details.trade').first().textContent()),
    'no script: no command that reproduces');
  await page.context().close();
}

async function byKeyboard(file) {
  const page = await open(file, { viewport: { width: 1440, height: 1000 } }, 'keyboard');
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement.className) === 'skip', 'keyboard: the skip link is not first');
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => document.activeElement.id) === 'main', 'keyboard: the skip link leads nowhere');
  const head = page.locator('#trade table.sortable thead th', { hasText: 'decode gain' });
  await head.locator('button').focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  check(await head.getAttribute('aria-sort') === 'descending', 'keyboard: a table is not sorted');
  const gains = await page.evaluate(() => [...document.querySelectorAll('#trade tbody tr')]
    .map(r => r.cells[3] && r.cells[3].querySelector('b')).filter(b => b).map(b => parseFloat(b.textContent)));
  check(gains.length > 3 && gains.every((g, i) => i === 0 || g <= gains[i - 1]), `keyboard: gains are ${gains}`);
  await page.locator('.filter input').fill('w8a8');
  const shown = await page.locator('#trade tbody tr:visible th').allTextContents();
  check(shown.length > 0 && shown.every(t => t.includes('w8a8')), `filter: ${shown}`);
  await page.locator('.filter input').fill('');
  await page.locator('.filter select').selectOption('0');
  check(await page.locator('article.card:visible').count() === 1, 'filter: not one card of one result');
  await page.emulateMedia({ media: 'print' });
  check(!await page.locator('nav.contents').isVisible(), 'print: the contents are printed');
  check(await page.locator('.save:visible').count() === 0, 'print: buttons are printed');
  await page.context().close();
}

// ---- A stranger's result ----------------------------------------------------------------------------------------------

function within(what, limit, args, codes) {
  // Of the processor's time, which a busy machine does not change: beyond it the shell's limit ends the program.
  const done = spawnSync('sh', ['-c', `ulimit -t ${limit}; exec "$@"`, 'sh', qmark, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 28 });
  check(done.signal === null, `${what}: ended by ${done.signal}: more than ${limit} s`);
  check(codes.includes(done.status), `${what}: exit code ${done.status}: ${done.stderr}`);
  check(!/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(done.stdout + done.stderr),
    `${what}: prints what steers a terminal`);
  return done;
}

async function hostile() {
  const bad = path.join(folder, 'hostile.yaml'), many = path.join(folder, 'many.yaml'), tooMany = path.join(folder, 'too-many.yaml');
  const base = path.join(data, 'result-sustained.yaml'), page = path.join(folder, 'hostile.html');
  execFileSync(makeResults, ['hostile', base, bad]);
  execFileSync(makeResults, ['many', '10000', path.join(data, 'result-sets.yaml'), many]);
  execFileSync(makeResults, ['many', '20000', path.join(data, 'result-sets.yaml'), tooMany]); // more than a file may hold
  for (const file of [bad, many]) {
    const name = path.basename(file);
    within(`show ${name}`, 2, ['show', '--points', '--sustained', '--kernels', '--tasks', '--details', file], [0]);
    JSON.parse(within(`show --json ${name}`, 2, ['show', '--json', file], [0]).stdout);
    for (const form of ['csv', 'md', 'jsonl']) {
      within(`show --print ${form} ${name}`, 2, ['show', '--print', form, file], [0]);
      within(`compare --print ${form} ${name}`, 2, ['compare', '--print', form, file, base], [0, 13]);
    }
    within(`report ${name}`, 2, ['report', file, '-o', page], [0]);
  }
  const refused = within('report of 20,000 schemes', 2, ['report', tooMany, '-o', page], [2]);
  check(refused.stderr.split('\n').filter(l => l).length === 1, `20,000 schemes: ${refused.stderr}`);
  const own = within('report over a result', 2, ['report', bad, '-o', bad], [2]);
  check(own.stderr.includes('is one of the results'), `report over a result: ${own.stderr}`);

  const operands = [bad, many, base];
  within('report of hostile results', 2, ['report', ...operands, '-o', page], [0]);
  for (const javaScriptEnabled of [true, false]) {
    const view = await open(page, { viewport: { width: 390, height: 900 }, javaScriptEnabled }, 'hostile');
    const count = q => view.locator(q).count();
    check(await count('hostile, img, iframe, object, embed, base, link[rel=stylesheet]') === 0, 'hostile: an element came of a text');
    check(await count('a:not([href^="#"])') === 0, 'hostile: a link leads out');
    check(await count('script') === 1 && await count('style') === 2, 'hostile: further script or style');
    check(await count('[style],[onload],[onerror],[onclick],[onmouseover]') === 0, 'hostile: an attribute came of a text');
    check(await count('main > section') === sections.length, 'hostile: sections are missing');
    if (javaScriptEnabled) {
      check(await view.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'hostile: the page scrolls sideways');
      check(await view.evaluate(() => /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.outerHTML)) === false,
        'hostile: a text changes direction');
      await view.screenshot({ path: path.join(screens, 'hostile-390.png'), fullPage: true });
    }
    await view.context().close();
  }
}

// ---- All of it --------------------------------------------------------------------------------------------------------

try {
  fs.rmSync(screens, { recursive: true, force: true });
  fs.mkdirSync(screens, { recursive: true });
  await makeEight();
  at('eight results');
  const page = path.join(folder, 'report.html');
  const made = report([results], page);
  at(`a report of ${made.bytes} bytes`);
  const fixtures = ['example', 'other-device', 'pocl', 'sets', 'sustained'].map(n => path.join(data, `result-${n}.yaml`));
  const twenty = report([...fixtures, ...fixtures, ...fixtures, ...fixtures], path.join(folder, 'twenty.html'));
  check(twenty.bytes < 2e6, `a report of 20 results has ${twenty.bytes} bytes`);
  let rows = 0;
  for (const view of views) {
    rows = await look(page, view);
    at(`seen at ${view}`);
  }
  await save(page, 'light');
  await save(page, 'dark');
  await only();
  at('pictures saved');
  await withoutScript(page, rows);
  await byKeyboard(page);
  await hostile();
  at('hostile results');
} finally {
  await browser.close();
}
console.log(failures ? `${failures} failed` : `all held; screenshots in ${screens}`);
process.exit(failures ? 1 : 0);

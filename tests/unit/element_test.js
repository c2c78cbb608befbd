// What the page's components share, run by test_desk.py: node element_test.js WEB_FOLDER
const assert = require("assert");
const { readFileSync } = require("fs");
const { runInThisContext } = require("vm");

runInThisContext(readFileSync(process.argv[2] + "/element.js", "utf8"));

assert(overtaken({ turn: 4 }, { turn: 5 }));
assert(!overtaken({ turn: 5 }, { turn: 5 }));
assert(!overtaken({ turn: 6 }, { turn: 5 }));
// what says nothing of its turn is not held back, and holds nothing back: a page's own words, a part that is empty
for (const plain of [{ key: "status.lost" }, {}, null, undefined]) {
  assert(!overtaken(plain, { turn: 5 }));
  assert(!overtaken({ turn: 1 }, plain));
}

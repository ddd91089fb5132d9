//! The architecture as a test: the floor table, and the rules that every file of the house obeys.
//!
//! The scanner removes comments and the insides of strings, cuts what is left into words and follows
//! paths through `crate`, `self`, `super`, grouped `use`, aliases, globs and re-exports. It expands
//! no macro; what it could not follow is refused as `hidden`.
//!
//! - `floor`: a path leads to a module that the table does not allow. Tests inside `src` are held to
//!   it too.
//! - `hidden`: an alias or glob of the crate root, `#[path]`, `include!`, `extern crate`,
//!   `macro_use`, `macro_export`.
//! - `core`: floors 0 to 2 and `link`, tests included, name no tokio, futures, `async`, clock,
//!   socket, thread, lock, static, entropy or file (`crypto` names `std::fs`, for key files), and no
//!   `HashMap` or `HashSet` but on a line with the comment `// lookup only`, which states that
//!   nothing iterates over it.
//! - `opens`: every file opens with `//!`.
//! - `length`: a file of `src` has at most 500 code lines; comments, blank lines and test items do
//!   not count.
//! - `shell`: a `mod.rs`, and `lib.rs`, holds documentation, attributes, `mod` and `use`.
//! - `name`: no file, folder or module has a name that hides a muddle.
//! - `escape`: no `unsafe` in `src`; outside tests no `unwrap`, `expect`, `todo!`, `unimplemented!`,
//!   `dbg!` or printing macro. A line may hold one `expect` if it ends in `// checked: reason`.
//! - `sleep`: no test sleeps.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fmt, fs, process};

/// Bottom-up. To change a row is a decision that a commit explains; docs/ARCHITECTURE.md shows the
/// same rows.
const TABLE: &[Row] = &[
    row(0, "ids", BELOW),
    row(0, "priority", BELOW),
    row(0, "time", BELOW),
    row(0, "limits", BELOW),
    row(1, "header", BELOW),
    row(1, "wire", BELOW),
    row(1, "crypto", BELOW),
    row(1, "body", BELOW),
    row(2, "session", BELOW),
    row(2, "delivery", BELOW),
    row(2, "channel", BELOW),
    row(2, "call", BELOW),
    row(3, "link", BELOW),
    row(3, "transport", "ids priority time limits header"),
    row(3, "store", "ids priority time limits"),
    row(3, "engine", "ids priority time limits"),
    row(4, "error", BELOW),
    row(5, "runtime", BELOW),
    row(6, "agent", BELOW),
    row(6, "backend", BELOW),
    row(6, "relay", "ids limits header transport error"),
    row(7, LIB, BELOW),
    row(7, "fuzzing", BELOW),
    row(7, "testing", BELOW),
];

/// Every floor below.
const BELOW: &str = "";
const LIB: &str = "lib.rs";
const CODE_LINES: usize = 500;
const MUDDLES: &str = "util utils common types manager helper helpers context data info misc";

/// Words that no line of the core holds, and why not.
const CORE_WORDS: &[(&str, &str)] = &[
    ("async await", "a task; return what is to be done and let `runtime` do it"),
    ("Mutex RwLock Condvar", "a lock; take `&mut self`"),
    ("OnceLock LazyLock thread_local static", "a global; use a `const` or an argument"),
    ("OsRng SysRng", "entropy; take a seed as an argument"),
];

/// Paths that the core does not enter, nor import a module on the way to.
const CORE_PATHS: &[(&str, &str)] = &[
    ("std::time::Instant", "a clock; take `now: crate::time::Instant`"),
    ("std::time::SystemTime", "a clock; take the time as an argument"),
    ("std::time::UNIX_EPOCH", "a clock; take the time as an argument"),
    ("std::net", "a socket, the work of `transport`; plain addresses are in `core::net`"),
    ("std::os::unix::net", "a socket, the work of `transport`"),
    ("std::thread", "a thread, the work of `runtime`"),
    ("std::fs", "a file, the work of `store`"),
    ("rand", "entropy; take a seed as an argument"),
    ("getrandom", "entropy; take a seed as an argument"),
];

/// Shapes that this test does not see through.
const HIDING: &[(&[&str], &str)] = &[
    (&["[", "path", "="], "`#[path]` puts a file where its name does not say"),
    (&["include", "!"], "`include!` brings code that is not read here"),
    (&["extern", "crate"], "`extern crate` gives a crate a second name"),
    (&["macro_use"], "`macro_use` brings names without a path"),
    (&["macro_export"], "`macro_export` puts a name at the crate root"),
];

#[test]
fn the_code_obeys_the_house() {
    let house = House::read(&root());
    assert!(house.files.contains_key("src/lib.rs"), "no src/lib.rs in {}", root().display());
    let found = house.inspect();
    let lines: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "{} violations\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_table_is_bottom_up() {
    let mut names = BTreeSet::new();
    let mut floor = 0;
    for row in TABLE {
        let name = row.module;
        assert!(row.floor >= floor, "`{name}` stands under a row of a higher floor");
        assert!(names.insert(name), "`{name}` has two rows");
        floor = row.floor;
        for other in row.only.split_whitespace() {
            let below = find(other).is_some_and(|other| other.floor < row.floor);
            assert!(below, "`{name}` may name `{other}`, which is not below it");
        }
        for other in TABLE.iter().filter(|other| row.allows(other)) {
            assert!(other.floor < row.floor, "`{name}` may name `{}`", other.module);
        }
    }
}

#[test]
fn the_architecture_page_shows_this_table_and_files_that_exist() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the page");
    let mut shown = BTreeSet::new();
    for file in
        page.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains('\n'))
    {
        assert!(
            root().join(file).exists(),
            "docs/ARCHITECTURE.md names {file}, which is not there"
        );
    }
    for line in page.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let floor = cells.next().and_then(|cell| cell.parse::<u8>().ok());
        if let (Some(floor), Some(modules)) = (floor, cells.next()) {
            shown.extend(modules.split('`').skip(1).step_by(2).map(|name| (floor, name)));
        }
    }
    let table: BTreeSet<_> = TABLE.iter().map(|row| (row.floor, row.module)).collect();
    assert_eq!(shown, table, "docs/ARCHITECTURE.md (left) and tests/house.rs (right)");
}

/// One row of the floor table.
struct Row {
    floor: u8,
    module: &'static str,
    /// The only modules it names, or [`BELOW`].
    only: &'static str,
}

const fn row(floor: u8, module: &'static str, only: &'static str) -> Row {
    Row { floor, module, only }
}

fn find(module: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.module == module)
}

fn lists(words: &str, word: &str) -> bool {
    words.split(' ').any(|listed| listed == word)
}

impl Row {
    fn allows(&self, other: &Row) -> bool {
        match self.only {
            BELOW => other.floor < self.floor,
            only => lists(only, other.module),
        }
    }

    /// What is told the time and the seed, and asks for nothing.
    fn is_core(&self) -> bool {
        self.floor <= 2 || self.module == "link"
    }

    fn refuses(&self, other: &Row) -> String {
        let why = match self.only {
            BELOW if self.floor == other.floor => "siblings never name each other".to_owned(),
            BELOW => "a floor names only floors below it".to_owned(),
            only => format!("it names only {only}"),
        };
        format!(
            "`{}` (floor {}) names `{}` (floor {}); {why}: take it as an argument, move what is \
             shared down, or move the caller up",
            self.module, self.floor, other.module, other.floor
        )
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rule {
    Floor,
    Hidden,
    Core,
    Opens,
    Length,
    Shell,
    Name,
    Escape,
    Sleep,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Violation {
    file: String,
    line: usize,
    rule: Rule,
    text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = format!("{:?}", self.rule).to_lowercase();
        write!(f, "{}:{}: {rule}: {}", self.file, self.line, self.text)
    }
}

type Report<'a> = &'a mut dyn FnMut(usize, Rule, &str);
type ModPath = Vec<String>;
type Names = BTreeMap<ModPath, BTreeSet<ModPath>>;

/// Every Rust file of the repository, scanned, and where the names of `src` come from.
#[derive(Default)]
struct House {
    files: BTreeMap<String, Source>,
    manifest: String,
    /// Modules that exist, as files or inline.
    modules: BTreeSet<ModPath>,
    /// Modules that are compiled for tests only.
    test_modules: BTreeSet<ModPath>,
    /// A name that a `use` brings into a module, and where it comes from.
    brought: Names,
    /// A module, and the modules whose names a glob brings into it.
    globs: Names,
}

impl House {
    fn read(root: &Path) -> Self {
        let mut texts = BTreeMap::new();
        for folder in ["src", "tests", "examples", "benches", "fuzz"] {
            collect(root, &root.join(folder), &mut texts);
        }
        if let Ok(text) = fs::read_to_string(root.join("build.rs")) {
            texts.insert("build.rs".to_owned(), text);
        }
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
        Self::of(&texts, manifest)
    }

    fn of(texts: &BTreeMap<String, String>, manifest: String) -> Self {
        let scan = |(file, text): (&String, &String)| (file.clone(), Source::scan(text));
        let mut house =
            Self { files: texts.iter().map(scan).collect(), manifest, ..Self::default() };
        for (path, source) in house.files.iter().filter_map(in_src) {
            for module in &source.modules {
                let child = join(&path, &module.path);
                if module.test {
                    house.test_modules.insert(child.clone());
                }
                house.modules.insert(child);
            }
            house.modules.insert(path);
        }
        let (mut brought, mut globs) = (Names::new(), Names::new());
        for (path, source) in house.files.iter().filter_map(in_src) {
            for mention in &source.mentions {
                let Some(target) = house.absolute(&path, mention) else { continue };
                let mut place = join(&path, &mention.inside);
                match &mention.brings {
                    Brings::Nothing => {}
                    Brings::Everything => _ = globs.entry(place).or_default().insert(target),
                    Brings::Name(name) => {
                        place.push(name.clone());
                        brought.entry(place).or_default().insert(target);
                    }
                }
            }
        }
        Self { brought, globs, ..house }
    }

    fn inspect(&self) -> Vec<Violation> {
        let mut found = BTreeSet::new();
        for (file, source) in &self.files {
            let mut report = |line: usize, rule: Rule, text: &str| {
                let (file, text) = (file.clone(), text.to_owned());
                found.insert(Violation { file, line, rule, text });
            };
            opens(source, &mut report);
            names(file, source, &mut report);
            shell(file, source, &mut report);
            if file == "build.rs" {
                report(1, Rule::Escape, "a build script runs wherever this is built; do without");
            }
            let Some((path, _)) = in_src((file, source)) else {
                sleeps(source, file.starts_with("tests/"), &mut report);
                continue;
            };
            let test_file = source.test_file || self.is_test(&path);
            self.floors(&path, source, &mut report);
            hidden(source, &mut report);
            core(top(&path), source, &mut report);
            length(source, test_file, &mut report);
            escapes(source, test_file, &mut report);
            sleeps(source, test_file, &mut report);
            let forbids = || {
                let manifest = self.manifest.lines().any(|line| line == "unsafe_code = \"forbid\"");
                manifest || !source.lines_of(&["forbid", "(", "unsafe_code", ")"]).is_empty()
            };
            if file == "src/lib.rs" && !forbids() {
                report(1, Rule::Escape, "unsafe code is allowed; add `#![forbid(unsafe_code)]`");
            }
        }
        found.into_iter().collect()
    }

    fn is_test(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|n| self.test_modules.contains(&path[..n]))
    }

    fn floors(&self, path: &[String], source: &Source, report: Report) {
        let Some(own) = find(top(path)) else {
            let text = "the module is not in the floor table; give it a floor in tests/house.rs and \
                        docs/ARCHITECTURE.md";
            return report(1, Rule::Floor, text);
        };
        for mention in source.mentions.iter().filter(|_| own.module != LIB) {
            let Some(target) = self.absolute(path, mention) else { continue };
            let said = mention.path.join("::");
            if target.is_empty() {
                let text = format!("`{said}` brings the whole crate root; name what is meant");
                report(mention.line, Rule::Hidden, &text);
            }
            let mut homes = BTreeSet::new();
            self.homes(&target, &mut BTreeSet::new(), &mut homes);
            for home in homes.iter().filter(|home| *home != own.module) {
                let text = match find(home) {
                    Some(other) if own.allows(other) => continue,
                    Some(other) => own.refuses(other),
                    None => "no module of the floor table; name it where it is defined".to_owned(),
                };
                report(mention.line, Rule::Floor, &format!("`{said}`: {text}"));
            }
        }
    }

    /// The path from the crate root, or `None` for what comes from another crate or from a `use`
    /// that is judged itself.
    fn absolute(&self, file: &[String], mention: &Mention) -> Option<ModPath> {
        let place = join(file, &mention.inside);
        let mut path = match mention.path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => place,
            "super" => place[..place.len().saturating_sub(1)].to_vec(),
            first => {
                let child = join(&place, &[first.to_owned()]);
                self.modules.contains(&child).then_some(child)?
            }
        };
        for part in &mention.path[1..] {
            match part.as_str() {
                "self" => {}
                "super" => _ = path.pop(),
                _ => path.push(part.clone()),
            }
        }
        Some(path)
    }

    /// The top-level modules that a path passes through once every re-export is followed.
    fn homes(&self, path: &[String], seen: &mut BTreeSet<ModPath>, homes: &mut BTreeSet<String>) {
        if path.is_empty() || !seen.insert(path.to_vec()) {
            return;
        }
        let mut moved = false;
        for n in 1..=path.len() {
            let (head, tail) = path.split_at(n);
            let (place, name) = head.split_at(n - 1);
            let brought = self.brought.get(head).into_iter().flatten().cloned();
            let globbed = self.globs.get(place).into_iter().flatten();
            let globbed = globbed.filter(|from| self.declares(from, &name[0]));
            let targets = brought.chain(globbed.map(|from| join(from, name)));
            // An item inside the module whose name it bears is at home there already.
            for target in targets.filter(|target| !target.starts_with(head)) {
                moved |= n == 1;
                self.homes(&join(&target, tail), seen, homes);
            }
        }
        if !moved || self.modules.contains(&path[..1]) {
            homes.insert(path[0].clone());
        }
    }

    /// Whether an item of this name stands somewhere in a module.
    fn declares(&self, module: &[String], name: &str) -> bool {
        let mut files = self.files.iter().filter_map(in_src);
        files.any(|(path, source)| path.starts_with(module) && source.declares(name))
    }
}

fn opens(source: &Source, report: Report) {
    if !source.opens_with_doc {
        let text =
            "the first line is not `//!`; say what the file answers and what it does not know";
        report(1, Rule::Opens, text);
    }
}

fn names(file: &str, source: &Source, report: Report) {
    let parts = file.split('/').map(|part| (1, part.trim_end_matches(".rs")));
    let modules = source.modules.iter().map(|module| (module.line, top(&module.path)));
    for (line, name) in parts.chain(modules).filter(|(_, name)| lists(MUDDLES, name)) {
        let text = format!("`{name}` says nothing; name it after the one idea in it");
        report(line, Rule::Name, &text);
    }
}

fn hidden(source: &Source, report: Report) {
    for (shape, what) in HIDING {
        for line in source.lines_of(shape) {
            let text = format!("{what}; use a path that can be followed");
            report(line, Rule::Hidden, &text);
        }
    }
}

fn core(module: &str, source: &Source, report: Report) {
    if !find(module).is_some_and(Row::is_core) {
        return;
    }
    let mut refuse = |line: usize, what: &str, why: &str| {
        report(line, Rule::Core, &format!("`{what}` in `{module}` is {why}"));
    };
    for Token { text: word, line, .. } in &source.tokens {
        let marked = source.comment(*line).contains("// lookup only");
        if let Some((_, why)) = CORE_WORDS.iter().find(|(words, _)| lists(words, word)) {
            refuse(*line, word, why);
        } else if word.starts_with("tokio") || word.starts_with("futures") {
            refuse(*line, word, "the work of `transport` and `runtime`");
        } else if lists("HashMap HashSet hash_map hash_set", word) && !marked {
            let why = "ordered anew in every run; use a `BTreeMap`, or say `// lookup only` on the \
                       line if nothing iterates";
            refuse(*line, word, why);
        }
    }
    let enters = |path: &str, other: &str| {
        path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    for mention in &source.mentions {
        let path = mention.path.join("::");
        let path = path.trim_end_matches("::self");
        let whole = mention.brings != Brings::Nothing;
        let refused = CORE_PATHS.iter().find(|(refused, _)| {
            (enters(path, refused) || whole && enters(refused, path))
                && !(module == "crypto" && *refused == "std::fs")
        });
        if let Some((_, why)) = refused {
            refuse(mention.line, path, why);
        }
    }
}

fn length(source: &Source, test_file: bool, report: Report) {
    let lines = source.code_lines.difference(&source.test_lines).count();
    if lines > CODE_LINES && !test_file {
        let text = format!("{lines} code lines, {CODE_LINES} are allowed; split it by idea");
        report(1, Rule::Length, &text);
    }
}

/// `lib.rs` may also hold a module without a body, to carry the doctests of a page.
fn shell(file: &str, source: &Source, report: Report) {
    let lib = file == "src/lib.rs";
    if !lib && !file.ends_with("/mod.rs") {
        return;
    }
    let mut at = 0;
    while let Some(Token { line, .. }) = source.tokens.get(at) {
        at = source.after_visibility(source.after_attributes(at));
        at = match source.words(at) {
            ["", _, _, _] => return,
            ["use", _, _, _] => source.after(at, ";"),
            ["mod", _, ";", _] => at + 3,
            ["mod", _, "{", "}"] if lib => at + 4,
            _ => {
                let text = "only documentation, `mod` and `use` stand here; move the rest to a file \
                            named after its idea";
                return report(*line, Rule::Shell, text);
            }
        };
    }
}

fn escapes(source: &Source, test_file: bool, report: Report) {
    let mut expects: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, Token { text: word, line, test }) in source.tokens.iter().enumerate() {
        let mut refuse = |text: &str| report(*line, Rule::Escape, &format!("`{word}`: {text}"));
        if word == "unsafe" {
            refuse("use a crate that wraps what needs it");
        }
        if test_file || *test {
            continue;
        }
        let called = at > 0 && lists(". ::", source.word(at - 1));
        let macro_call = source.word(at + 1) == "!";
        match word.as_str() {
            "unwrap" if called => refuse("return a typed error"),
            "expect" if called => *expects.entry(*line).or_default() += 1,
            "todo" | "unimplemented" if macro_call => refuse("finish it, or leave it out"),
            "dbg" | "println" | "print" | "eprintln" | "eprint" if macro_call => {
                refuse("a library prints nothing; use `tracing`");
            }
            _ => {}
        }
    }
    for (line, count) in expects {
        let (_, reason) = source.comment(line).split_once("// checked:").unwrap_or_default();
        if reason.trim().is_empty() || count > 1 {
            let text = "`expect`: return a typed error, or end the line of this one `expect` in \
                        `// checked: reason`";
            report(line, Rule::Escape, text);
        }
    }
}

fn sleeps(source: &Source, test_file: bool, report: Report) {
    for mention in source.mentions.iter().filter(|mention| test_file || mention.test) {
        let path = mention.path.join("::");
        let (_, last) = path.rsplit_once("::").unwrap_or_default();
        if lists("sleep sleep_until sleep_ms", last) {
            let text = format!("`{path}` in a test; step the time, or wait for the event itself");
            report(mention.line, Rule::Sleep, &text);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        let made = ["target", "corpus", "artifacts"].iter().any(|made| path.ends_with(made));
        if path.is_dir() && !made {
            collect(root, &path, texts);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let file = path.strip_prefix(root).expect("a path under the root");
            let file: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
            texts.insert(file.join("/"), fs::read_to_string(&path).expect("a text in UTF-8"));
        }
    }
}

/// A file of `src` under its module path: `src/session/open.rs` is `session::open`.
fn in_src<'a>((file, source): (&String, &'a Source)) -> Option<(ModPath, &'a Source)> {
    let inside = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let path = inside.split('/').filter(|_| inside != "lib").map(str::to_owned);
    Some((path.collect(), source))
}

fn top(path: &[String]) -> &str {
    path.first().map_or(LIB, String::as_str)
}

fn join(path: &[String], more: &[String]) -> ModPath {
    path.iter().chain(more).cloned().collect()
}

/// A path as written, and where.
#[derive(Debug)]
struct Mention {
    line: usize,
    test: bool,
    /// The inline modules it stands in, outermost first.
    inside: ModPath,
    path: ModPath,
    brings: Brings,
}

/// What a path brings into the scope it stands in.
#[derive(Debug, Eq, PartialEq)]
enum Brings {
    Nothing,
    Name(String),
    Everything,
}

/// A `mod` item, by its path inside the file.
struct Module {
    line: usize,
    test: bool,
    path: ModPath,
}

struct Token {
    text: String,
    line: usize,
    test: bool,
}

/// A file without its comments and the insides of its strings.
#[derive(Default)]
struct Source {
    tokens: Vec<Token>,
    mentions: Vec<Mention>,
    modules: Vec<Module>,
    comments: BTreeMap<usize, String>,
    code_lines: BTreeSet<usize>,
    test_lines: BTreeSet<usize>,
    test_file: bool,
    opens_with_doc: bool,
}

impl Source {
    fn scan(text: &str) -> Self {
        let mut source = Scanner::scan(text);
        source.opens_with_doc = text.starts_with("//!");
        source.mark_tests();
        source.find_paths();
        source
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn words<const N: usize>(&self, at: usize) -> [&str; N] {
        std::array::from_fn(|i| self.word(at + i))
    }

    fn comment(&self, line: usize) -> &str {
        self.comments.get(&line).map_or("", String::as_str)
    }

    fn lines_of(&self, shape: &[&str]) -> Vec<usize> {
        let fits = |run: &&[Token]| run.iter().zip(shape).all(|(token, word)| token.text == *word);
        self.tokens.windows(shape.len()).filter(fits).map(|run| run[0].line).collect()
    }

    fn declares(&self, name: &str) -> bool {
        let items = "struct enum union trait fn const static type mod";
        self.tokens.windows(2).any(|run| run[1].text == name && lists(items, &run[0].text))
    }

    /// The position after the bracket that closes the one at `at`.
    fn after_bracket(&self, at: usize) -> usize {
        let mut depth = 0;
        for i in at..self.tokens.len() {
            match self.word(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return i + 1;
            }
        }
        self.tokens.len()
    }

    fn after(&self, at: usize, word: &str) -> usize {
        let found = (at..self.tokens.len()).find(|i| self.word(*i) == word);
        found.map_or(self.tokens.len(), |i| i + 1)
    }

    fn after_attributes(&self, mut at: usize) -> usize {
        while self.word(at) == "#" {
            at = self.after_bracket(if self.word(at + 1) == "!" { at + 2 } else { at + 1 });
        }
        at
    }

    fn after_visibility(&self, at: usize) -> usize {
        match self.words(at) {
            ["pub", "("] => self.after_bracket(at + 1),
            ["pub", _] => at + 1,
            _ => at,
        }
    }

    /// The position after the item, field or statement that starts at `at`.
    fn after_item(&self, at: usize) -> usize {
        let start = self.after_visibility(self.after_attributes(at));
        let field = self.word(start + 1) == ":";
        let mut i = start;
        while i < self.tokens.len() {
            match self.word(i) {
                "{" => return self.after_bracket(i),
                "(" | "[" => i = self.after_bracket(i),
                ";" => return i + 1,
                "," if field => return i + 1,
                "}" | ")" | "]" => return i,
                _ => i += 1,
            }
        }
        i
    }

    /// Finds the items that are compiled for tests only.
    fn mark_tests(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            let (open, inner) = match self.words(at) {
                ["#", "[", _] => (at + 1, false),
                ["#", "!", "["] => (at + 2, true),
                _ => {
                    at += 1;
                    continue;
                }
            };
            let close = self.after_bracket(open);
            let test = self.is_test_attribute(open + 1, close - 1);
            self.test_file |= inner && test;
            let end = if test && !inner { self.after_item(close) } else { close };
            if test && !inner {
                self.tokens[at..end].iter_mut().for_each(|token| token.test = true);
                self.test_lines.extend(self.tokens[at].line..=self.tokens[end - 1].line);
            }
            at = end;
        }
    }

    fn is_test_attribute(&self, start: usize, end: usize) -> bool {
        if self.words(start) == ["cfg", "("] {
            return self.is_test_predicate(start + 2);
        }
        let name_end = (start..end).find(|i| self.word(*i) == "(").unwrap_or(end);
        name_end > start && self.word(name_end - 1) == "test"
    }

    /// Whether a `cfg` predicate holds in tests only.
    fn is_test_predicate(&self, at: usize) -> bool {
        if self.word(at + 1) != "(" {
            return self.word(at) == "test";
        }
        let end = self.after_bracket(at + 1) - 1;
        let mut parts = Vec::new();
        let mut i = at + 2;
        while i < end {
            parts.push(self.is_test_predicate(i));
            while i < end && self.word(i) != "," {
                i = if self.word(i) == "(" { self.after_bracket(i) } else { i + 1 };
            }
            i += 1;
        }
        match self.word(at) {
            "all" => parts.contains(&true),
            "any" => !parts.is_empty() && !parts.contains(&false),
            _ => false,
        }
    }

    /// Finds the modules and every path, with the inline modules around it.
    fn find_paths(&mut self) {
        let (mut mentions, mut modules) = (Vec::new(), Vec::new());
        let mut open: Vec<Option<String>> = Vec::new();
        let mut entered = None;
        let mut at = 0;
        while at < self.tokens.len() {
            let inside = || open.iter().flatten().cloned();
            let known = mentions.len();
            let next = match self.words(at) {
                ["mod", name, end @ (";" | "{")] => {
                    let Token { line, test, .. } = self.tokens[at];
                    let path = inside().chain([name.to_owned()]).collect();
                    modules.push(Module { line, test, path });
                    entered = (end == "{").then(|| name.to_owned());
                    at + 2
                }
                ["use", next, _] if next != "<" => self.tree(at + 1, &[], &mut mentions),
                ["{", ..] => {
                    open.push(entered.take());
                    at + 1
                }
                ["}", ..] => {
                    open.pop();
                    at + 1
                }
                _ => self.path(at, &mut mentions),
            };
            for mention in &mut mentions[known..] {
                mention.inside = open.iter().flatten().cloned().collect();
            }
            at = next.max(at + 1);
        }
        (self.mentions, self.modules) = (mentions, modules);
    }

    /// One branch of a `use`; returns the position after it.
    fn tree(&self, start: usize, stem: &[String], out: &mut Vec<Mention>) -> usize {
        let mut path = stem.to_vec();
        let mut brings = None;
        let mut at = start;
        loop {
            match self.word(at) {
                "" | "," | ";" | "}" => break,
                "::" => at += 1,
                "{" => {
                    let end = self.after_bracket(at);
                    at += 1;
                    while at < end - 1 {
                        at = self.tree(at, &path, out).max(at + 1);
                    }
                    return end;
                }
                "*" => {
                    brings = Some(Brings::Everything);
                    at += 1;
                }
                "as" => {
                    brings = Some(Brings::Name(self.word(at + 1).to_owned()));
                    at += 2;
                }
                word => {
                    path.push(word.to_owned());
                    at += 1;
                }
            }
        }
        if at > start {
            let Token { line, test, .. } = self.tokens[start];
            let name = path.iter().rfind(|part| *part != "self").cloned().unwrap_or_default();
            let brings = brings.unwrap_or(Brings::Name(name));
            out.push(Mention { line, test, inside: Vec::new(), path, brings });
        }
        at
    }

    /// A path outside `use`, if one starts here; returns the position after it.
    fn path(&self, at: usize, out: &mut Vec<Mention>) -> usize {
        let is_name =
            |at: usize| self.word(at).starts_with(|c: char| c.is_alphabetic() || c == '_');
        let continues = at > 0 && self.word(at - 1) == "::" && !lists("std rand", self.word(at));
        if continues || !is_name(at) || self.word(at + 1) != "::" {
            return at + 1;
        }
        let Token { ref text, line, test } = self.tokens[at];
        let mut path = vec![text.clone()];
        let mut end = at + 1;
        while self.word(end) == "::" && is_name(end + 1) {
            path.push(self.word(end + 1).to_owned());
            end += 2;
        }
        out.push(Mention { line, test, inside: Vec::new(), path, brings: Brings::Nothing });
        end
    }
}

/// Cuts a text into words, without comments and the insides of strings.
struct Scanner {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Source,
}

impl Scanner {
    fn scan(text: &str) -> Source {
        let chars = text.chars().collect();
        let mut scanner = Self { chars, at: 0, line: 1, out: Source::default() };
        while let Some(c) = scanner.peek(0) {
            match (c, scanner.peek(1)) {
                ('/', Some('/')) => scanner.line_comment(),
                ('/', Some('*')) => scanner.block_comment(),
                ('"', _) => scanner.string(None),
                ('\'', _) => scanner.quote(),
                (':', Some(':')) => scanner.push("::", 2),
                _ if c.is_whitespace() => scanner.step(),
                _ if c.is_alphanumeric() || c == '_' => scanner.run_of_letters(),
                _ => scanner.push(&c.to_string(), 1),
            }
        }
        scanner.out
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        self.line += usize::from(self.peek(0) == Some('\n'));
        self.at += 1;
    }

    fn push(&mut self, text: &str, chars: usize) {
        self.out.code_lines.insert(self.line);
        self.out.tokens.push(Token { text: text.to_owned(), line: self.line, test: false });
        self.at += chars;
    }

    fn line_comment(&mut self) {
        let text = self.letters(|c| c != '\n');
        self.out.comments.insert(self.line, text);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.step();
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
    }

    /// A string from its first quote on; `raw` is the number of `#` that close a raw one.
    fn string(&mut self, raw: Option<usize>) {
        self.push("\"\"", 1);
        while let Some(c) = self.peek(0) {
            self.out.code_lines.insert(self.line);
            self.step();
            match (c, raw) {
                ('\\', None) => self.step(),
                ('"', None) => return,
                ('"', Some(hashes)) if (0..hashes).all(|n| self.peek(n) == Some('#')) => {
                    self.at += hashes;
                    return;
                }
                _ => {}
            }
        }
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.push("''", 3);
            self.letters(|c| c != '\'');
            self.at += 1;
        } else if self.peek(2) == Some('\'') {
            self.push("''", 3);
        } else {
            self.at += 1;
            let name = self.letters(|c| c.is_alphanumeric() || c == '_');
            self.push(&format!("'{name}"), 0);
        }
    }

    fn letters(&mut self, more: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&more) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// A name, a number, or the prefix of a string.
    fn run_of_letters(&mut self) {
        let word = self.letters(|c| c.is_alphanumeric() || c == '_');
        let hashes = (0..).take_while(|n| self.peek(*n) == Some('#')).count();
        match (word.as_str(), self.peek(hashes)) {
            ("r" | "br" | "cr", Some('"')) => {
                self.at += hashes;
                self.string(Some(hashes));
            }
            _ => self.push(&word, 0),
        }
    }
}

#[test]
fn a_clean_tree_is_accepted() {
    assert_eq!(Tree::clean().inspect(), []);
}

#[test]
fn every_planted_violation_is_refused() {
    let mut failures = Vec::new();
    for (head, text) in sections(PLANTS) {
        let [rule, place, name] = *head.splitn(3, ' ').collect::<Vec<_>>() else {
            panic!("`{head}` is not `rule path:line name`");
        };
        let (file, _) = place.split_once(':').expect("path:line");
        let found = Tree::clean().with(file, text).inspect();
        if !is_only(&found, rule, place) {
            failures.push(format!("{name}: wanted {rule} at {place}, found {found:#?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_rule_has_a_plant_or_a_test_of_its_own() {
    let planted: BTreeSet<_> =
        sections(PLANTS).filter_map(|(head, _)| head.split(' ').next()).collect();
    let rules = "core escape floor hidden name opens shell sleep".split(' ').collect();
    assert_eq!(planted, rules, "`length` has a test of its own");
}

#[test]
fn a_file_of_more_than_500_code_lines_is_refused() {
    let lines = "const _: &str = \"two\nlines\"; // one comment\n\n".repeat(CODE_LINES / 2);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{lines}}}\n");
    let full = format!("//! Long.\n{tests}{lines}");
    let file = "src/session/open.rs";
    assert_eq!(Tree::clean().with(file, &full).inspect(), []);
    let found = Tree::clean().with(file, &format!("{full}const _: () = ();\n")).inspect();
    assert!(is_only(&found, "length", "src/session/open.rs:1"), "{found:?}");
}

#[test]
fn a_crate_that_does_not_forbid_unsafe_code_is_refused() {
    let found = Tree::clean().with("Cargo.toml", "unsafe_code = \"deny\"\n").inspect();
    assert!(is_only(&found, "escape", "src/lib.rs:1"), "{found:?}");
}

/// A re-export below the crate root is followed too.
#[test]
fn a_restricted_module_gains_nothing_from_a_re_export() {
    let tree = Tree::clean()
        .with("src/error.rs", "//! Errors.\npub use crate::session::Session as Cause;\n")
        .with("src/relay.rs", "//! Relay.\nuse crate::error::Cause;\n");
    let found = tree.inspect();
    assert!(is_only(&found, "floor", "src/relay.rs:2"), "{found:?}");
}

/// The table judges the arrow, not the way it is written. `B` stands for the other module.
#[test]
fn every_spelling_of_every_arrow_is_judged_alike() {
    const SPELLINGS: &str = "//! A.
        use crate::B::Item;
        use super::B::Item;
        use crate::{B::{self, Item as Other}};
        use {crate::B::Item};
        use crate::B;
        use crate::B::*;
        fn f() -> bool { crate::B::Item::new().is_some() }
        fn f(_: Vec<crate::B::Item>) {}
        fn f(_: &dyn self::super::B::Item) {}
        macro_rules! m { () => { $crate::B::Item } }
        mod inner { use super::super::B::Item; }
        #[cfg(test)] mod tests { use crate::B::Item; }
        use crate::Item;
        use crate::{Renamed};
        fn f(_: super::moved::Item) {}
        use crate::Globbed;";
    const ROOT: &str = "//! Root.\nuse B::Item;\npub use B::Item as Renamed;\npub use {B as moved};\n\
                        pub use B::*;\n";
    let rows = || TABLE.iter().filter(|row| row.module != LIB);
    for own in rows() {
        for other in rows().filter(|other| other.module != own.module) {
            let own_file =
                format!("src/{}{}.rs", own.module, if own.floor % 2 == 0 { "" } else { "/mod" });
            let texts = BTreeMap::from([
                ("src/lib.rs".to_owned(), ROOT.replace('B', other.module)),
                (
                    format!("src/{}.rs", other.module),
                    "//! B.\nstruct Item;\nstruct Globbed;\n".to_owned(),
                ),
                (own_file.clone(), SPELLINGS.replace('B', other.module)),
            ]);
            let found = House::of(&texts, String::new()).inspect();
            let arrows = found.iter().filter(|v| v.rule == Rule::Floor && v.file == own_file);
            let lines: BTreeSet<usize> = arrows.map(|violation| violation.line).collect();
            let wanted = if own.allows(other) { BTreeSet::new() } else { (2..=17).collect() };
            assert_eq!(lines, wanted, "lines on which `{}` names `{}`", own.module, other.module);
        }
    }
}

/// The scanner stays in step with every file of the house to its last line.
#[test]
fn a_violation_at_the_end_of_any_real_file_is_refused() {
    let mut texts = BTreeMap::new();
    collect(&root(), &root().join("src"), &mut texts);
    for (file, text) in texts {
        let planted =
            format!("{}\nfn f() {{ unsafe {{ crate::nowhere::f() }} }}\n", text.trim_end());
        let last = planted.lines().count();
        let house = House::of(&BTreeMap::from([(file.clone(), planted)]), String::new());
        let found = house.inspect();
        let seen = |rule| found.iter().any(|v| v.rule == rule && v.line == last);
        assert!(seen(Rule::Escape), "{file}:{last}: `unsafe` was not seen");
        assert!(seen(Rule::Floor) || file == "src/lib.rs", "{file}:{last}: the arrow was not seen");
    }
}

fn is_only(found: &[Violation], rule: &str, place: &str) -> bool {
    let wanted = format!("{place}: {rule}: ");
    matches!(found, [one] if one.to_string().starts_with(&wanted))
}

fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n== ").skip(1).map(|section| section.split_once('\n').expect("a head and a text"))
}

/// A small house in a temporary folder, removed when the test is done with it.
struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Holds what looks like a violation to a careless reader and is none.
    fn clean() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("house-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let tree = Self { root: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name) };
        sections(CLEAN).fold(tree, |tree, (file, text)| tree.with(file, text))
    }

    fn with(self, file: &str, text: &str) -> Self {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder that can be made");
        fs::write(path, text).expect("a file that can be written");
        self
    }

    fn inspect(&self) -> Vec<Violation> {
        House::read(&self.root).inspect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

/// `== path`, then the file.
const CLEAN: &str = r##"
== Cargo.toml
[lints.rust]
unsafe_code = "forbid"
== src/lib.rs
//! Root.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod ids;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use crypto::{Key as PublicKey};
pub use ids::*;
pub use session::Session;
pub use bytes::Bytes;
#[cfg(feature = "__fuzz")]
pub use fuzzing::target;
== src/ids.rs
//! Ids. Not `use crate::session::Session`.
/* use crate::session::Session; /* unsafe { } */ .unwrap() */
pub struct Id<'a>(&'a str, &'static str);
const TEXT: (&str, &str, char, u8) = ("use crate::session; \" .unwrap()", r#"unsafe " // todo!()"#, '{', b'"');
fn f<'a>(r#type: &'a str) -> Option<&'a str> { r#type.split('\'').next() } // .unwrap()
fn g() { assert!(true); unreachable!("println!") }
#[expect(dead_code)]
fn h() -> u8 { [1].first().copied().unwrap_or(b'\'') }

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn f() { println!("{}", TEXT.0.parse::<u8>().unwrap()); todo!() }
}
== src/time.rs
//! Time.
pub struct Instant(u64);
use std::time::Duration;
use core::fmt;
== src/limits.rs
//! Limits.
pub const MAX: usize = 1;
== src/header.rs
//! Header.
use crate::{ids::{self, Id}, limits::MAX as M};
fn f(_: super::ids::Id, _: ids::Id) {}
== src/wire.rs
//! Wire.
use core::net::IpAddr;
use crate::time::Instant;
pub struct Frame(crate::ids::Id);
== src/crypto/mod.rs
//! Crypto.

mod key;
mod seal;

pub(crate) use key::Key;
pub use self::seal::*;
== src/crypto/key.rs
//! Key files.
use std::fs::{self, File};
use super::seal::Seal;
pub struct Key;
fn f() -> Key {
    g().expect("one") // checked: g returns one
}
== src/crypto/seal.rs
//! Seal.
use crate::crypto::Key;
use super::key;
pub struct Seal(self::key::Key);
mod inner { use super::super::Key; }
== src/session/mod.rs
//! Session.
mod open;
#[cfg(test)]
mod tests;
pub use open::Session;
== src/session/open.rs
//! Open.
use std::collections::HashMap; // lookup only
use crate::{crypto::{Key, Seal}, ids::Id, time::Instant, wire};
pub struct Session;
pub(in crate::session) struct Part;
impl Session { fn now(_: Instant, m: &HashMap<u8, u8>) {} } // lookup only
== src/session/tests.rs
//! Tests.
use super::{Session, open::Part};
fn f() { None.unwrap() }
== src/delivery.rs
//! Delivery.
use crate::ids::Id;
== src/channel.rs
//! Channel.
== src/call.rs
//! Call.
pub struct Call;
== src/link.rs
//! Link.
use crate::{session::Session, delivery, Session as Same, PublicKey, Id};
== src/transport/mod.rs
//! Transport.
#[cfg(feature = "runtime")]
mod memory;
== src/transport/memory.rs
//! Memory.
use crate::{header::Header, ids::Id};
use std::{net::TcpStream, sync::Mutex, time::Instant, thread};
async fn f() { tokio::task::yield_now().await }
== src/store.rs
//! Store.
use crate::limits;
== src/engine.rs
//! Engine.
== src/error.rs
//! Error.
use crate::session::Session;
pub enum Error {}
== src/runtime/mod.rs
//! Runtime.
mod driver;
#[cfg(test)]
mod tests;
== src/runtime/driver.rs
//! Driver.
use crate::{Id, Session, error::Error};
async fn f() { tokio::time::sleep(d).await }
== src/runtime/tests.rs
//! Tests.
== src/runtime/steps.rs
//! Steps.
#![cfg(test)]
fn f() { None.unwrap() }
== src/agent.rs
//! Agent.
use crate::runtime;
== src/backend.rs
//! Backend.
pub struct Backend;
== src/relay.rs
//! Relay.
use crate::{error::Error, header::Header, ids, limits, transport};
== src/fuzzing.rs
//! Fuzzing.
use crate::{Session, relay, wire::Frame};
== tests/it/main.rs
//! Tests.
use waxwire::Session;
fn f() { None.unwrap(); unsafe {} clock.sleep(); println!("thread::sleep"); }
== examples/echo.rs
//! Echo.
fn main() { println!("hello"); std::thread::sleep(d) }
== benches/seal.rs
//! Seal.
fn main() { dbg!(1); }
== fuzz/fuzz_targets/header.rs
//! Header.
#![no_main]
== fuzz/target/debug/made.rs
not ours
"##;

/// `== rule path:line name`, then what is written over that file of the clean tree. The violation
/// must be the only one.
const PLANTS: &str = r##"
== floor src/ids.rs:2 upwards
//! Ids.
use crate::crypto::Key;
pub struct Id;
== floor src/delivery.rs:2 to a sibling
//! D.
use crate::session::Session;
== floor src/time.rs:2 to a sibling of floor 0
//! T.
use crate::limits::MAX;
pub struct Instant;
== floor src/limits.rs:2 by super
//! L.
use super::session::Session;
== floor src/crypto/key.rs:3 by two supers
//! K.
pub struct Key;
use super::super::session::Session;
== floor src/limits.rs:3 super out of an inline module
//! L.
mod inner {
    use super::super::wire::Frame;
}
== floor src/delivery.rs:4 second branch of a group
//! D.
use crate::{
    ids::Id,
    call::{Call as C},
};
== floor src/limits.rs:2 group after super
//! L.
use super::{relay::{self}};
== floor src/limits.rs:3 in an expression
//! L.
fn f() -> usize {
    crate::header::HEADER_BYTES
}
== floor src/limits.rs:2 in a type
//! L.
struct S { f: Vec<crate::header::Header> }
== floor src/limits.rs:2 in a macro
//! L.
macro_rules! m { () => { $crate::session::Session } }
== floor src/limits.rs:4 in a test
//! L.
#[cfg(test)]
mod tests {
    use crate::session::Session;
}
== floor src/limits.rs:3 after a string that opens a comment
//! L.
const A: &str = "/*";
use crate::session::Session;
== floor src/limits.rs:3 after a quote in a char
//! L.
const A: (char, u8) = ('"', b'\'');
use crate::session::Session;
== floor src/limits.rs:3 after a quoted quote
//! L.
const A: (char, char) = ('\'','"');
use crate::session::Session;
== floor src/limits.rs:3 after a raw string
//! L.
const A: &str = r#""/* \"#;
use crate::session::Session;
== floor src/limits.rs:3 after a nested comment
//! L.
/* /* */ " */
use crate::session::Session;
== floor src/limits.rs:2 by a re-export of the root
//! L.
use crate::Session;
== floor src/ids.rs:2 by a renamed re-export
//! I.
use crate::PublicKey;
pub struct Id;
== floor src/limits.rs:2 by a glob of the root
//! L.
use crate::Id;
== floor src/limits.rs:2 by super to a re-export
//! L.
fn f(_: super::Session) {}
== floor src/delivery.rs:2 re-export two steps away
//! D.
pub use crate::Session;
== floor src/runtime/driver.rs:2 unknown name of the root
//! D.
use crate::Bytes;
== floor src/gadget.rs:1 module without a floor
//! G.
== floor src/transport/memory.rs:2 transport to wire
//! M.
use crate::wire::Frame;
== floor src/store.rs:2 store to header
//! S.
use crate::header::Header;
== floor src/engine.rs:2 engine to session
//! E.
use crate::session::Session;
== floor src/relay.rs:2 relay to crypto
//! R.
use crate::crypto::Key;
== floor src/relay.rs:2 relay to time
//! R.
use crate::time::Instant;
== floor src/agent.rs:2 agent to backend
//! A.
use crate::backend::Backend;
== hidden src/limits.rs:2 glob of the root
//! L.
use super::*;
== hidden src/limits.rs:2 alias of the root
//! L.
use crate as root;
== hidden src/limits.rs:2 alias of the root in a group
//! L.
use crate::{self as root};
== hidden src/crypto/key.rs:3 alias of the root by super
//! K.
pub struct Key;
use super::super::{self as root};
== hidden src/session/open.rs:2 a path attribute
//! O.
#[path = "../call.rs"]
mod call;
pub struct Session;
== hidden src/limits.rs:2 included code
//! L.
include!("session.in");
== hidden src/limits.rs:2 extern crate
//! L.
extern crate self as root;
== hidden src/session/open.rs:2 macro_use
//! O.
#[macro_use]
mod m;
pub struct Session;
== hidden src/limits.rs:2 macro_export
//! L.
#[macro_export]
macro_rules! m { () => {} }
== core src/session/open.rs:2 tokio
//! O.
use tokio::sync::mpsc;
pub struct Session;
== core src/wire.rs:2 tokio-tungstenite
//! W.
fn f(_: tokio_tungstenite::Message) {}
== core src/wire.rs:4 tokio in a test
//! W.
#[cfg(test)]
mod tests {
    #[tokio::test]
    fn f() {}
}
== core src/wire.rs:2 futures
//! W.
use futures_util::SinkExt;
== core src/session/open.rs:2 clock
//! O.
use std::time::Instant;
pub struct Session;
== core src/wire.rs:2 clock in a group
//! W.
use std::{fmt, time::{Duration, SystemTime}};
== core src/wire.rs:2 clock in an expression
//! W.
fn f() { let _ = ::std::time::Instant::now(); }
== core src/wire.rs:2 clock by its module
//! W.
use std::time::{self, Duration};
== core src/wire.rs:2 clock by a glob
//! W.
use std::time::*;
== core src/wire.rs:2 clock by an alias of std
//! W.
use std as s;
== core src/header.rs:2 socket
//! H.
fn f(_: std::net::TcpStream) {}
== core src/header.rs:2 Unix socket
//! H.
use std::os::unix::net::UnixStream;
== core src/header.rs:2 thread
//! H.
use std::{thread};
== core src/link.rs:2 Mutex
//! L.
use std::sync::Mutex;
== core src/link.rs:2 RwLock
//! L.
fn f(_: parking_lot::RwLock<u8>) {}
== core src/link.rs:2 Condvar
//! L.
use std::sync::{Arc, Condvar};
== core src/link.rs:2 OnceLock
//! L.
use std::sync::OnceLock;
== core src/link.rs:2 static
//! L.
static COUNT: AtomicU64 = AtomicU64::new(0);
== core src/link.rs:2 thread_local
//! L.
thread_local! { }
== core src/call.rs:2 async fn
//! C.
async fn f() {}
== core src/call.rs:2 await
//! C.
fn f() { g().await; }
== core src/channel.rs:2 HashMap
//! C.
use std::collections::HashMap;
== core src/channel.rs:2 HashSet with another comment
//! C.
fn f(_: HashSet<u8>) {} // for speed
== core src/channel.rs:2 hash_map
//! C.
use std::collections::hash_map::Entry;
== core src/crypto/key.rs:3 entropy of rand
//! K.
pub struct Key;
fn f() -> u8 { rand::random() }
== core src/crypto/key.rs:3 entropy of the system
//! K.
pub struct Key;
fn f() { SysRng.fill() }
== core src/session/open.rs:2 files outside crypto
//! O.
use std::fs::File;
pub struct Session;
== opens src/limits.rs:1 source without doc
pub const MAX: usize = 1;
== opens src/limits.rs:1 source with a blank line first

//! L.
== opens tests/it/main.rs:1 test without doc
// t
== opens examples/echo.rs:1 example without doc
fn main() {}
== opens benches/seal.rs:1 bench without doc
/// b
fn main() {}
== opens fuzz/fuzz_targets/header.rs:1 fuzz target without doc
#![no_main]
== shell src/session/mod.rs:6 function in mod.rs
//! S.
mod open;
#[cfg(test)]
mod tests;
pub use open::Session;
pub(crate) fn f() {}
== shell src/lib.rs:4 struct in lib.rs
//! R.
#![forbid(unsafe_code)]
pub mod ids;
#[derive(Debug)]
pub struct S;
pub use crypto::Key as PublicKey;
pub use session::Session;
pub use ids::*;
== shell src/session/mod.rs:3 inline module in mod.rs
//! S.
mod open;
#[cfg(test)]
mod tests {}
== shell src/session/mod.rs:4 macro in mod.rs
//! S.
#[cfg(test)]
mod tests;
make!(Open);
== shell tests/it/mod.rs:2 function in a mod.rs of the tests
//! T.
fn f() {}
== name src/session/utils.rs:1 file
//! U.
== name src/session/common/keys.rs:1 folder
//! K.
== name src/limits.rs:2 inline module
//! L.
mod helpers { }
== name src/session/mod.rs:3 declared module
//! S.
mod open;
mod context;
#[cfg(test)]
mod tests;
pub use open::Session;
== name tests/it/helper.rs:1 test folder
//! H.
== name examples/misc.rs:1 example
//! M.
== escape src/limits.rs:2 unsafe
//! L.
fn f() { unsafe {} }
== escape src/limits.rs:3 unsafe in a test
//! L.
#[cfg(test)]
unsafe fn f() {}
== escape src/limits.rs:3 unwrap
//! L.
fn f() {
    None.unwrap();
}
== escape src/limits.rs:2 unwrap with a reason
//! L.
fn f() { None.unwrap() } // checked: x
== escape src/limits.rs:2 unwrap as a function
//! L.
fn f() { a.map(Option::unwrap); }
== escape src/limits.rs:6 unwrap after the tests
//! L.
#[cfg(test)]
mod tests {
    fn f() { None.unwrap() }
}
fn f() { None.unwrap() }
== escape src/limits.rs:3 unwrap under not(test)
//! L.
#[cfg(not(test))]
fn f() { None.unwrap() }
== escape src/limits.rs:3 unwrap under any(test, feature)
//! L.
#[cfg(any(test, feature = "a"))]
fn f() { None.unwrap() }
== escape src/limits.rs:5 unwrap after a test-only field
//! L.
fn f() -> S {
    S { #[cfg(test)]
        a: 1,
        b: None.unwrap() }
}
== escape src/limits.rs:4 unwrap after a test-only use
//! L.
#[cfg(test)]
use std::{fmt, vec};
fn f() { None.unwrap() }
== escape src/limits.rs:2 expect
//! L.
fn f() { None.expect("x") }
== escape src/limits.rs:2 expect without a reason
//! L.
fn f() { None.expect("x") } // checked: 
== escape src/limits.rs:2 two expects for one reason
//! L.
fn f() { a.expect("x").expect("y") } // checked: z
== escape src/limits.rs:2 the reason in a string
//! L.
fn f() { None.expect("// checked: z") }
== escape src/limits.rs:2 todo
//! L.
fn f() { todo!() }
== escape src/limits.rs:2 unimplemented
//! L.
fn f() { unimplemented!() }
== escape src/runtime/driver.rs:2 dbg
//! D.
fn f() { dbg!(1); }
== escape src/runtime/driver.rs:2 println
//! D.
fn f() { println!("x"); }
== escape src/runtime/driver.rs:2 eprintln
//! D.
fn f() { std::eprintln!("x"); }
== escape build.rs:1 build script
//! B.
fn main() {}
== sleep tests/it/main.rs:2 thread in tests
//! T.
fn f() { std::thread::sleep(d); }
== sleep tests/it/main.rs:3 tokio in tests
//! T.
use tokio::time;
fn f() { time::sleep(d); }
== sleep tests/it/main.rs:2 imported sleep
//! T.
use tokio::time::{sleep as rest, timeout};
== sleep src/runtime/driver.rs:4 sleep in a test module
//! D.
#[cfg(all(test, feature = "a"))]
mod tests {
    fn f() { tokio::time::sleep_until(d); }
}
== sleep src/runtime/driver.rs:3 sleep in a test function
//! D.
#[tokio::test]
async fn f() { tokio::time::sleep(d).await; }
== sleep src/runtime/tests.rs:2 sleep in a file of tests
//! T.
fn f() { std::thread::sleep(d); }
"##;

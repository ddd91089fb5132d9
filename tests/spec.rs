//! Every requirement of `proto-spec/` has an id that a test cites, and no test cites an id that no
//! requirement has.

#![allow(clippy::panic, reason = "a test stops where it cannot read the tree")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One file: its path below the repository, and its text.
struct Source {
    path: String,
    text: String,
}

/// Where pages and citations disagree. `place` is `path:line`.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fault {
    /// A line of a page does not hold one MUST beside one id, and holds either.
    Unnumbered { place: String },
    /// Two requirements share an id.
    DefinedTwice { id: String, place: String },
    /// No test cites a requirement.
    NotCited { id: String, place: String },
    /// A comment cites an id that no requirement has.
    Undefined { id: String, place: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnumbered { place } => write!(f, "{place}: not one MUST with one id"),
            Self::DefinedTwice { id, place } => write!(f, "{place}: [{id}] is defined again"),
            Self::NotCited { id, place } => write!(f, "{place}: [{id}] is cited by no test"),
            Self::Undefined { id, place } => write!(f, "{place}: [{id}] does not exist"),
        }
    }
}

/// An id cited in a comment.
struct Citation {
    id: String,
    place: String,
    by_test: bool,
}

fn faults(pages: &[Source], code: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let defined = definitions(pages, &mut faults);
    let mut tested = BTreeSet::new();
    for citation in code.iter().flat_map(citations) {
        if !defined.contains_key(&citation.id) {
            faults.push(Fault::Undefined { id: citation.id, place: citation.place });
        } else if citation.by_test {
            tested.insert(citation.id);
        }
    }
    let untested = defined.into_iter().filter(|(id, _)| !tested.contains(id));
    faults.extend(untested.map(|(id, place)| Fault::NotCited { id, place }));
    faults.sort();
    faults
}

/// Where each id is defined.
fn definitions(pages: &[Source], faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut defined = BTreeMap::new();
    for page in pages {
        for (number, line) in page.text.lines().enumerate() {
            let place = format!("{}:{}", page.path, number + 1);
            let ids = bracketed_ids(line);
            match (musts(line), ids.as_slice()) {
                (0, []) => {}
                (1, [id]) if defined.contains_key(id) => {
                    faults.push(Fault::DefinedTwice { id: id.clone(), place });
                }
                (1, [id]) => {
                    defined.insert(id.clone(), place);
                }
                _ => faults.push(Fault::Unnumbered { place }),
            }
        }
    }
    defined
}

fn musts(line: &str) -> usize {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "MUST").count()
}

/// Every `[X-n]` of a line.
fn bracketed_ids(line: &str) -> Vec<String> {
    line.match_indices('[')
        .filter_map(|(at, _)| leading_id(&line[at..]))
        .map(|(id, _)| id)
        .collect()
}

/// The `[X-n]` at the front of `text`, and what follows it.
fn leading_id(text: &str) -> Option<(String, &str)> {
    let (id, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (letter, number) = id.split_once('-')?;
    let is_letter = letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_letter && is_number).then(|| (id.to_owned(), rest))
}

/// Every `proto-spec [X-n], [X-m]` in the comments of a file.
fn citations(source: &Source) -> Vec<Citation> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        for (at, marker) in comment.match_indices("proto-spec ") {
            let mut rest = &comment[at + marker.len()..];
            while let Some((id, behind)) = leading_id(rest) {
                let place = format!("{}:{}", source.path, number + 1);
                let by_test = source.path.starts_with("tests/") || belongs_to_test(&lines, number);
                found.push(Citation { id, place, by_test });
                rest = behind.strip_prefix(", ").unwrap_or_default();
            }
        }
    }
    found
}

/// Whether a comment of a source file stands in its test module or in front of a test.
fn belongs_to_test(lines: &[&str], comment: usize) -> bool {
    let is_test = |line: &&&str| line.trim_start().starts_with("#[") && line.contains("test");
    let (before, from) = lines.split_at(comment);
    let in_test_module = before.iter().any(|line| line.trim() == "#[cfg(test)]");
    let opens_item = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    in_test_module || from.iter().take_while(opens_item).any(|line| is_test(&line))
}

/// The files of a folder with this ending, in order of their paths.
fn read(root: &Path, folder: &str, ending: &str, recursive: bool) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root.join(folder), ending, recursive, &mut paths);
    paths.sort();
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        Source { path, text }
    };
    paths.into_iter().map(source).collect()
}

fn collect(folder: &Path, ending: &str, recursive: bool, out: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|cause| panic!("{}: {cause}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|cause| panic!("{}: {cause}", folder.display())).path();
        if path.is_dir() {
            if recursive {
                collect(&path, ending, recursive, out);
            }
        } else if path.extension().is_some_and(|extension| extension == ending) {
            out.push(path);
        }
    }
}

/// This file plants citations that do not exist, so it is not read.
#[test]
fn every_requirement_is_cited_and_every_citation_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = read(root, "proto-spec", "md", false);
    let mut code = read(root, "tests", "rs", true);
    code.retain(|source| source.path != "tests/spec.rs");
    code.extend(read(root, "src", "rs", true));

    let faults = faults(&pages, &code);

    assert!(pages.iter().any(|page| musts(&page.text) > 0), "proto-spec holds no requirement");
    let list: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(list.is_empty(), "{} faults:\n{}", list.len(), list.join("\n"));
}

#[test]
fn pages_and_tests_that_agree_have_no_fault() {
    let pages = [page("# Title\n- [S-1] A side MUST stop.\n| [S-2] | A side MUST NOT go. |\n")];
    let both = test_file("/// proto-spec [S-1], [S-2]: it stops.\n#[test]\nfn it_stops() {}\n");
    assert_eq!(faults(&pages, &[both]), []);
}

#[test]
fn a_requirement_without_an_id_is_found() {
    for line in [
        "A side MUST stop.",
        "- A side MUST NOT go (S-1).",
        "[S1] A side MUST stop.",
        "See [S-1].",
        "[S-1] A side MUST stop and MUST NOT go.",
        "[S-1] [S-2] A side MUST stop.",
    ] {
        let found = faults(&[page(&format!("# Title\n{line}\n"))], &[]);
        assert_eq!(found, [Fault::Unnumbered { place: "proto-spec/p.md:2".to_owned() }], "{line}");
    }
    assert_eq!(faults(&[page("The MUSTER, a must, [16] bytes, x[..16], [a-1].")], &[]), []);
}

#[test]
fn an_id_that_is_defined_twice_is_found() {
    let pages = [page("[S-1] A side MUST stop."), page("\n[S-1] A side MUST go.")];
    let cited = test_file("// proto-spec [S-1]\n");
    let expected =
        Fault::DefinedTwice { id: "S-1".to_owned(), place: "proto-spec/p.md:2".to_owned() };
    assert_eq!(faults(&pages, &[cited]), [expected]);
}

#[test]
fn a_requirement_that_no_test_cites_is_found() {
    let not_cited =
        || Fault::NotCited { id: "S-1".to_owned(), place: "proto-spec/p.md:1".to_owned() };
    for text in [
        "fn nothing_is_cited() {}\n",
        "/// Without the marker: [S-1].\n#[test]\nfn a() {}\n",
        "#[test]\nfn a() { let text = \"proto-spec [S-1]\"; }\n",
    ] {
        let found = faults(&[page("[S-1] A side MUST stop.")], &[test_file(text)]);
        assert_eq!(found, [not_cited()], "{text}");
    }
    for text in [
        "/// proto-spec [S-1]: the rule.\npub fn stop() {}\n",
        "/// proto-spec [S-1]: the rule.\n#[must_use]\nfn stop() {}\n#[cfg(test)]\nmod tests {}\n",
    ] {
        let found = faults(&[page("[S-1] A side MUST stop.")], &[source_file(text)]);
        assert_eq!(found, [not_cited()], "{text}");
    }
}

#[test]
fn a_unit_test_cites_like_any_other() {
    for text in [
        "#[cfg(test)]\nmod tests {\n    // proto-spec [S-1]\n}\n",
        "/// proto-spec [S-1]: it stops.\n#[test]\nfn it_stops() {}\n",
        "/// It stops\n/// (proto-spec [S-1]).\n#[allow(a)]\n#[tokio::test]\nasync fn it_stops() {}\n",
    ] {
        let found = faults(&[page("[S-1] A side MUST stop.")], &[source_file(text)]);
        assert_eq!(found, [], "{text}");
    }
}

#[test]
fn a_citation_of_nothing_is_found() {
    let pages = [page("[S-1] A side MUST stop.")];
    let undefined =
        |id: &str, place: &str| Fault::Undefined { id: id.to_owned(), place: place.to_owned() };
    let test = test_file("\n/// proto-spec [S-1], [S-2]\n#[test]\nfn a() {}\n");
    assert_eq!(faults(&pages, &[test]), [undefined("S-2", "tests/t.rs:2")]);
    let cited = test_file("// proto-spec [S-1]\n");
    let source = source_file("fn a() {} // see proto-spec [T-9]\n");
    assert_eq!(faults(&pages, &[cited, source]), [undefined("T-9", "src/s.rs:1")]);
}

fn page(text: &str) -> Source {
    Source { path: "proto-spec/p.md".to_owned(), text: text.to_owned() }
}

fn test_file(text: &str) -> Source {
    Source { path: "tests/t.rs".to_owned(), text: text.to_owned() }
}

fn source_file(text: &str) -> Source {
    Source { path: "src/s.rs".to_owned(), text: text.to_owned() }
}

//! Replays the fuzz corpora with the real cipher, on stable: `cargo test --features __fuzz --test
//! corpus -- --nocapture` prints how many inputs each target had.
//!
//! With `WAXWIRE_WRITE_SEEDS=1` it writes the seeds, the inputs that every corpus begins with.

#![allow(clippy::panic, clippy::print_stdout, reason = "it stops where it fails, and counts")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use waxwire::fuzzing::{TARGETS, seeds};

const SEED: &str = "seed-";
/// Inputs of one corpus at most; what a merge keeps is far below.
const INPUTS: usize = 300;
/// Bytes of one corpus at most.
const CORPUS_BYTES: usize = 400 * 1024;

#[test]
fn every_input_ever_found_passes() {
    for (target, body) in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "the corpus of {target} is empty");
        assert!(inputs.len() <= INPUTS, "{target} has {} inputs; merge them", inputs.len());
        let mut bytes = 0;
        for path in &inputs {
            let input = read(path);
            bytes += input.len();
            let passed = std::panic::catch_unwind(|| body(&input));
            assert!(passed.is_ok(), "{} fails; its panic is above", path.display());
        }
        assert!(bytes <= CORPUS_BYTES, "the corpus of {target} has {bytes} bytes");
        println!("corpus {target}: {} inputs, {bytes} bytes", inputs.len());
    }
}

#[test]
fn every_corpus_begins_with_real_messages() {
    let write = std::env::var_os("WAXWIRE_WRITE_SEEDS").is_some();
    let mut wanted = BTreeSet::new();
    for seed in seeds() {
        let path = corpus(seed.target).join(format!("{SEED}{}", seed.name));
        if write {
            fs::create_dir_all(corpus(seed.target)).unwrap_or_else(|e| panic!("{e}"));
            fs::write(&path, &seed.bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        let hint = "is not what the parties send; run with WAXWIRE_WRITE_SEEDS=1";
        assert!(read(&path) == seed.bytes, "{} {hint}", path.display());
        assert!(wanted.insert(path), "two seeds of {} are called {}", seed.target, seed.name);
    }
    for (target, _) in TARGETS {
        for path in inputs(target) {
            let is_seed = name_of(&path).starts_with(SEED);
            assert!(!is_seed || wanted.contains(&path), "{} is no seed", path.display());
        }
    }
}

#[test]
fn every_target_has_a_file_and_a_corpus() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = list(&root().join("fuzz/fuzz_targets"));
    let files: BTreeSet<String> =
        files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    assert_eq!(files, names, "fuzz/fuzz_targets (left) and the targets (right)");
    let corpora: BTreeSet<String> =
        list(&root().join("fuzz/corpus")).iter().map(|path| name_of(path)).collect();
    assert_eq!(corpora, names, "fuzz/corpus (left) and the targets (right)");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(target: &str) -> PathBuf {
    root().join("fuzz/corpus").join(target)
}

fn inputs(target: &str) -> Vec<PathBuf> {
    list(&corpus(target))
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

//! The crate against `proto-spec/vectors`: every case is run again from its seeds over the public
//! API and must give the same file, byte for byte. `WAXWIRE_WRITE_VECTORS=1` writes the files.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops where it fails, and its modules are its own"
)]

mod vectors {
    //! How the cases are run, and what the text derives from them apart from the crate.

    pub mod cases;
    mod derive;
    mod flow;
    mod frames;
    mod parties;
    mod primitives;
}

use std::fs;
use std::path::Path;

use serde_json::Value;
use waxwire::Suite;

use self::vectors::cases;

/// proto-spec [H-15]: the hybrid handshakes, message by message and secret by secret.
#[test]
fn hybrid_handshakes_are_those_of_the_vectors() {
    check("handshake-hybrid.json", &cases::handshakes(Suite::Hybrid));
}

/// proto-spec [H-15]: the classical handshakes.
#[test]
fn classical_handshakes_are_those_of_the_vectors() {
    check("handshake-classical.json", &cases::handshakes(Suite::Classical));
}

/// proto-spec [R-18]: headers, sealed records over epochs, and records that are refused.
#[test]
fn records_are_those_of_the_vectors() {
    check("records.json", &cases::records());
}

/// proto-spec [S-14]: key exchanges and records on both sides of them.
#[test]
fn key_exchanges_are_those_of_the_vectors() {
    check("rekey.json", &cases::rekeys());
}

#[test]
fn a_difference_is_named_by_its_place() {
    let (mine, file) = (r#"{"a":[1,{"b":2}]}"#, r#"{"a":[1,{"b":3}]}"#);
    let [mine, file] = [mine, file].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(difference("", &mine, &mine), None);
    assert_eq!(difference("", &mine, &file), Some("/a/1/b: 2 is 3 in the file".to_owned()));
}

fn check(file: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-spec/vectors").join(file);
    if std::env::var_os("WAXWIRE_WRITE_VECTORS").is_some() {
        fs::write(&path, text(made)).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    let read: Value = serde_json::from_str(&written).unwrap();
    if let Some(difference) = difference("", made, &read) {
        panic!("{file}{difference}");
    }
    assert_eq!(written, text(made), "{file} is laid out in another way");
}

/// Where two documents differ first.
fn difference(place: &str, made: &Value, read: &Value) -> Option<String> {
    match (made, read) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(&format!("{place}/{key}"), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => (a.iter().zip(b).enumerate())
            .find_map(|(at, (a, b))| difference(&format!("{place}/{at}"), a, b)),
        _ if made == read => None,
        _ => Some(format!("{place}: {made} is {read} in the file")),
    }
}

/// JSON with one line for each value that holds no object and no list of lists.
fn text(document: &Value) -> String {
    let mut out = String::new();
    lay_out(document, 0, &mut out);
    out.push('\n');
    out
}

fn lay_out(value: &Value, depth: usize, out: &mut String) {
    let inner = " ".repeat(depth + 1);
    let (open, items, close) = match value {
        Value::Object(map) if !map.is_empty() => {
            let keyed = |(key, value)| (Some(key), value);
            ('{', map.iter().map(keyed).collect::<Vec<_>>(), '}')
        }
        Value::Array(list) if list.iter().any(|item| item.is_object() || is_nested(item)) => {
            ('[', list.iter().map(|item| (None, item)).collect(), ']')
        }
        other => return out.push_str(&other.to_string()),
    };
    out.push(open);
    for (at, (key, item)) in items.into_iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&inner);
        if let Some(key) = key {
            out.push_str(&format!("{}: ", Value::from(key.as_str())));
        }
        lay_out(item, depth + 1, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(depth));
    out.push(close);
}

fn is_nested(item: &Value) -> bool {
    item.as_array().is_some_and(|list| !list.is_empty())
}

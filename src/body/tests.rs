//! Bodies against a plain recursive reader, hostile ones, and headers at their bounds.

use allocation_counter::measure;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::walk::check;
use super::{BodyError, HeaderError, Headers, from_slice, to_bytes};
use crate::limits::{BODY_INTEGER_MAX, HEADER_ENTRIES, HEADERS_BYTES};

proptest! {
    #[test]
    fn what_json_can_say_comes_back(value in json()) {
        let bytes = to_bytes(&value).unwrap();
        prop_assert_eq!(from_slice::<Value>(&bytes), Ok(value));
    }

    #[test]
    fn any_bytes_are_judged_as_a_recursive_reader_judges_them(bytes in bytes_like_a_body()) {
        prop_assert_eq!(check(&bytes), naive(&bytes));
    }

    #[test]
    fn serde_reads_every_body_that_is_admitted_to_its_end(bytes in bytes_like_a_body()) {
        let read = from_slice::<IgnoredAny>(&bytes).map(|_| ());
        prop_assert_eq!(read, check(&bytes));
    }

    #[test]
    fn any_bytes_are_headers_or_refused(bytes in bytes_like_a_body()) {
        if let Ok(headers) = Headers::from_slice(&bytes) {
            let again = headers.to_bytes().map(|bytes| Headers::from_slice(&bytes).unwrap());
            prop_assert_eq!(again.unwrap_or_default(), headers);
        }
    }

    #[test]
    fn headers_come_back_in_the_order_of_their_keys(
        entries in btree_map("[a-zé]{1,40}", "(?s).{0,300}", 0..=20),
    ) {
        let mut headers = Headers::new();
        for (key, value) in entries.iter().rev() {
            prop_assert_eq!(headers.insert(key, value), Ok(None));
        }
        let read = headers.to_bytes().map(|bytes| Headers::from_slice(&bytes).unwrap());
        prop_assert_eq!(read.is_none(), entries.is_empty());
        let read = read.unwrap_or_default();
        let entries: Vec<_> = entries.iter().map(|(key, value)| (&**key, &**value)).collect();
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), entries);
        prop_assert_eq!(read, headers);
    }
}

#[test]
fn fields_are_named_so_that_versions_may_differ() {
    let bytes = to_bytes(&Report { id: 7, note: Some("late".to_owned()) }).unwrap();

    assert_eq!(bytes, b"\x82\xa2id\x07\xa4note\xa4late".as_slice());
    assert_eq!(from_slice::<Report>(b"\x81\xa2id\x07"), Ok(Report { id: 7, note: None }));
    let newer = b"\x82\xa2id\x07\xa3new\x91\xc0";
    assert_eq!(from_slice::<Report>(newer), Ok(Report { id: 7, note: None }));
    assert_eq!(from_slice::<Report>(b"\x81\xa4note\xa4late"), Err(BodyError::Type));
    assert_eq!(from_slice::<Report>(b"\xa4late"), Err(BodyError::Type));
}

#[test]
fn sixteen_levels_are_read_and_seventeen_are_not() {
    for inner in [&b"\xc0"[..], b"\xa1a", b"\xcd\x01\x00"] {
        let admitted = nested(16, inner);
        let refused = nested(17, inner);
        assert_eq!(check(&admitted), Ok(()));
        assert_eq!(check(&refused), Err(BodyError::TooDeep));
        assert!(from_slice::<Value>(&admitted).is_ok());
    }
    let mut value = Value::Null;
    for depth in 1..=17 {
        value = Value::Array(vec![value]);
        let refused = (depth > 16).then_some(BodyError::TooDeep);
        assert_eq!(to_bytes(&value).err(), refused, "at depth {depth}");
    }
    assert_eq!(check(&[&[0x91; 16][..], &[0x90]].concat()), Err(BodyError::TooDeep));
    assert_eq!(check(&[&[0x91; 16][..], &[0x80]].concat()), Err(BodyError::TooDeep));
}

/// rmp-serde overflows a stack of 2 MiB there.
#[test]
fn a_body_of_621_levels_is_refused() {
    assert_eq!(from_slice::<IgnoredAny>(&nested(621, &[0xc0])), Err(BodyError::TooDeep));
    assert_eq!(from_slice::<IgnoredAny>(&nested(1 << 20, &[0xc0])), Err(BodyError::TooDeep));
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    let lies: [&[u8]; 6] = [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdd\x00\x10\x00\x00\xc0",
    ];
    for lie in lies {
        let mut refusals = (None, None);
        let memory = measure(|| {
            refusals = (from_slice::<Value>(lie).err(), Headers::from_slice(lie).err());
        });
        assert_eq!(memory.bytes_total, 0, "{lie:x?}");
        assert_eq!(refusals.0, Some(BodyError::Truncated), "{lie:x?}");
        assert!(refusals.1.is_some(), "{lie:x?}");
    }
}

#[test]
fn integers_are_those_that_javascript_holds() {
    let (top, bottom) = (BODY_INTEGER_MAX, -BODY_INTEGER_MAX.cast_signed());

    assert_eq!(from_slice(&to_bytes(&top).unwrap()), Ok(top));
    assert_eq!(from_slice(&to_bytes(&bottom).unwrap()), Ok(bottom));
    for value in [top + 1, u64::MAX] {
        assert_eq!(to_bytes(&value), Err(BodyError::IntegerTooLarge));
        let bytes = [&[0xcf][..], &value.to_be_bytes()].concat();
        assert_eq!(from_slice::<u64>(&bytes), Err(BodyError::IntegerTooLarge));
    }
    for value in [bottom - 1, i64::MIN, top.cast_signed() + 1, i64::MAX] {
        assert_eq!(to_bytes(&value), Err(BodyError::IntegerTooLarge));
        let bytes = [&[0xd3][..], &value.to_be_bytes()].concat();
        assert_eq!(from_slice::<i64>(&bytes), Err(BodyError::IntegerTooLarge));
    }
    let key = b"\x81\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc0";
    assert_eq!(from_slice::<IgnoredAny>(key), Err(BodyError::IntegerTooLarge), "a key is one");
}

#[test]
fn a_body_is_one_whole_value() {
    assert_eq!(from_slice::<()>(b""), Err(BodyError::Truncated));
    assert_eq!(from_slice::<()>(b"\xc0"), Ok(()));
    assert_eq!(from_slice::<()>(b"\xc0\xc0"), Err(BodyError::TrailingBytes));
    assert_eq!(from_slice::<Value>(b"\xc1"), Err(BodyError::Reserved));
    assert_eq!(from_slice::<Value>(b"\x92\xc0\xc1"), Err(BodyError::Reserved));
    assert_eq!(from_slice::<(u8,)>(b"\x92\x01\x02"), Err(BodyError::Type), "too long a list");
}

#[test]
fn every_shorter_body_is_refused() {
    let kinds: [&[u8]; 19] = [
        b"\xa3abc",
        b"\xd9\x01a",
        b"\xda\x00\x01a",
        b"\xdb\x00\x00\x00\x01a",
        b"\xc4\x01a",
        b"\xc5\x00\x01a",
        b"\xc6\x00\x00\x00\x01a",
        b"\xc7\x01\x05a",
        b"\xc8\x00\x01\x05a",
        b"\xc9\x00\x00\x00\x01\x05a",
        b"\xd4\x05a",
        b"\xd8\x05aaaaaaaaaaaaaaaa",
        b"\xca\0\0\0\0",
        b"\xcb\0\0\0\0\0\0\0\0",
        b"\xcf\0\0\0\0\0\0\0\0",
        b"\xd1\0\0",
        b"\xdc\x00\x01\xc0",
        b"\xde\x00\x01\xc0\xc0",
        b"\x81\xc0\x91\xc2",
    ];
    for whole in kinds {
        assert_eq!(check(whole), Ok(()), "{whole:x?}");
        assert_eq!(check(&[whole, &[0]].concat()), Err(BodyError::TrailingBytes), "{whole:x?}");
        for length in 0..whole.len() {
            assert_eq!(check(&whole[..length]), Err(BodyError::Truncated), "{whole:x?} {length}");
        }
    }
}

#[test]
fn a_value_that_cannot_be_written_is_refused() {
    assert_eq!(to_bytes(&Lying { says: 2 }), Err(BodyError::Unserializable));
    assert_eq!(to_bytes(&Lying { says: 0 }), Err(BodyError::Unserializable));
    assert_eq!(to_bytes(&Refusing), Err(BodyError::Unserializable));
}

#[test]
fn a_header_is_replaced_under_its_key() {
    let mut headers = Headers::new();
    assert_eq!((headers.is_empty(), headers.to_bytes()), (true, None));

    assert_eq!(headers.insert("b", "one"), Ok(None));
    assert_eq!(headers.insert("b", "two"), Ok(Some("one".to_owned())));
    assert_eq!(headers.insert("a", ""), Ok(None));

    assert_eq!((headers.get("b"), headers.get("c")), (Some("two"), None));
    assert_eq!(headers.to_bytes().unwrap(), b"\x82\xa1a\xa0\xa1b\xa3two".as_slice());
}

#[test]
fn headers_end_at_their_bounds() {
    let mut many = Headers::new();
    for number in 0..HEADER_ENTRIES {
        assert_eq!(many.insert(format!("{number}"), ""), Ok(None));
    }
    assert_eq!(many.insert("one more", ""), Err(HeaderError::TooMany));
    assert_eq!(many.insert("0", "again"), Ok(Some(String::new())), "no more of them");
    assert_eq!(Headers::from_slice(&many.to_bytes().unwrap()), Ok(many));

    let mut keys = Headers::new();
    assert_eq!(keys.insert("", "v"), Err(HeaderError::Key { bytes: 0 }));
    assert_eq!(keys.insert("k".repeat(256), "v"), Err(HeaderError::Key { bytes: 256 }));
    assert_eq!(keys.insert("k".repeat(255), "v"), Ok(None));

    // One byte for the map, two for the key, three in front of the value.
    let mut long = Headers::new();
    let most = HEADERS_BYTES - 6;
    assert_eq!(long.insert("k", "v".repeat(most + 1)), Err(HeaderError::TooLong));
    assert_eq!(long.insert("k", "v".repeat(70_000)), Err(HeaderError::TooLong));
    assert_eq!(long.insert("k", "v".repeat(most)), Ok(None));
    assert_eq!(long.to_bytes().unwrap().len(), HEADERS_BYTES);
    assert_eq!(long.insert("l", ""), Err(HeaderError::TooLong));
    assert!(long.insert("k", "short").is_ok());
    assert_eq!(long.insert("l", ""), Ok(None), "the room is free again");
}

#[test]
fn a_peers_headers_are_a_map_from_text_to_text() {
    let refused: [(&[u8], HeaderError); 10] = [
        (b"", HeaderError::Body(BodyError::Truncated)),
        (b"\xc1", HeaderError::Body(BodyError::Reserved)),
        (b"\x81\xa1k\xa1v\x00", HeaderError::Body(BodyError::TrailingBytes)),
        (b"\x91\xa1k", HeaderError::NotText),
        (b"\x81\xa1k\x07", HeaderError::NotText),
        (b"\x81\x07\xa1v", HeaderError::NotText),
        (b"\x81\xa1\xff\xa1v", HeaderError::NotText),
        (b"\x81\xc4\x01k\xa1v", HeaderError::NotText),
        (b"\x82\xa1k\xa1v\xa1k\xa1w", HeaderError::Duplicate),
        (b"\x81\xa0\xa1v", HeaderError::Key { bytes: 0 }),
    ];
    for (bytes, error) in refused {
        assert_eq!(Headers::from_slice(bytes), Err(error), "{bytes:x?}");
    }
    let many = [&b"\xde\x00\x41"[..], &[0xa0; 130]].concat();
    assert_eq!(Headers::from_slice(&many), Err(HeaderError::TooMany));
    let long = vec![0x80; HEADERS_BYTES + 1];
    assert_eq!(Headers::from_slice(&long), Err(HeaderError::TooLong));
    assert_eq!(Headers::from_slice(b"\x80"), Ok(Headers::new()));
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Report {
    id: u32,
    #[serde(default)]
    note: Option<String>,
}

/// A list of one that says it is longer or shorter.
struct Lying {
    says: usize,
}

impl Serialize for Lying {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.says))?;
        list.serialize_element(&())?;
        list.end()
    }
}

struct Refusing;

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no"))
    }
}

/// Lists of one in one another.
fn nested(depth: usize, inner: &[u8]) -> Vec<u8> {
    [vec![0x91; depth], inner.to_vec()].concat()
}

fn json() -> impl Strategy<Value = Value> {
    let integer = BODY_INTEGER_MAX.cast_signed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-integer..=integer).prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "(?s).{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            btree_map(".{0,10}", inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Any bytes; those of a real body with one changed; markers that mean something, in any order.
fn bytes_like_a_body() -> impl Strategy<Value = Vec<u8>> {
    let changed =
        (json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
            let mut bytes = to_bytes(&value).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let marker = prop_oneof![0x80_u8..0x84, 0x90_u8..0x94, 0xa0_u8..0xa3, 0xc0_u8..0xe0, 0_u8..3];
    prop_oneof![vec(any::<u8>(), 0..64), changed, vec(marker, 0..64)]
}

/// One value, as MessagePack's own page tells it; then the end.
fn naive(bytes: &[u8]) -> Result<(), BodyError> {
    match value(bytes, 0)? {
        [] => Ok(()),
        _ => Err(BodyError::TrailingBytes),
    }
}

fn value(bytes: &[u8], depth: usize) -> Result<&[u8], BodyError> {
    let (&marker, rest) = bytes.split_first().ok_or(BodyError::Truncated)?;
    // What has a length: how many bytes the length has, and how many stand between it and the content.
    let (width, between) = match marker {
        0xc4 | 0xd9 => (1, 0),
        0xc5 | 0xda | 0xdc | 0xde => (2, 0),
        0xc6 | 0xdb | 0xdd | 0xdf => (4, 0),
        0xc7 => (1, 1),
        0xc8 => (2, 1),
        0xc9 => (4, 1),
        _ => (0, 0),
    };
    let (length, rest) = rest.split_at_checked(width).ok_or(BodyError::Truncated)?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (items, fixed) = match marker {
        0x80..=0x8f => (Some(2 * usize::from(marker - 0x80)), 0),
        0x90..=0x9f => (Some(usize::from(marker - 0x90)), 0),
        0xdc | 0xdd => (Some(length), 0),
        0xde | 0xdf => (Some(2 * length), 0),
        0xa0..=0xbf => (None, usize::from(marker - 0xa0)),
        0xc1 => return Err(BodyError::Reserved),
        0xc4..=0xc9 | 0xd9..=0xdb => (None, between + length),
        0xcc | 0xd0 => (None, 1),
        0xcd | 0xd1 => (None, 2),
        0xca | 0xce | 0xd2 => (None, 4),
        0xcb | 0xcf | 0xd3 => (None, 8),
        0xd4..=0xd8 => (None, 1 + (1 << (marker - 0xd4))),
        _ => (None, 0),
    };
    let (content, mut rest) = rest.split_at_checked(fixed).ok_or(BodyError::Truncated)?;
    let distance = match (marker, content.try_into()) {
        (0xcf, Ok(bytes)) => u64::from_be_bytes(bytes),
        (0xd3, Ok(bytes)) => i64::from_be_bytes(bytes).unsigned_abs(),
        _ => 0,
    };
    if distance > 1 << 53 {
        return Err(BodyError::IntegerTooLarge);
    }
    let Some(items) = items else { return Ok(rest) };
    if items > rest.len() {
        return Err(BodyError::Truncated);
    }
    if depth == 16 {
        return Err(BodyError::TooDeep);
    }
    for _ in 0..items {
        rest = value(rest, depth + 1)?;
    }
    Ok(rest)
}

//! Bodies and headers of messages.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::body::{BodyError, Headers, from_slice, to_bytes};
use crate::limits::{HEADER_ENTRIES, HEADERS_BYTES};

type Nested = Vec<Vec<Vec<Option<i64>>>>;
type Record = BTreeMap<String, (u8, Result<String, Vec<bool>>)>;

/// Reads the bytes as several types, and as headers.
pub fn body(data: &[u8]) {
    let judged = from_slice::<IgnoredAny>(data).map(|_| ());
    assert_ne!(judged, Err(BodyError::Type), "serde disagrees about the structure");
    returns::<i64>(data, judged);
    returns::<String>(data, judged);
    returns::<Nested>(data, judged);
    returns::<Record>(data, judged);
    if let Ok(headers) = Headers::from_slice(data) {
        assert_eq!(judged, Ok(()), "headers are a body");
        assert!(headers.iter().len() <= HEADER_ENTRIES, "headers are few");
        let written = headers.to_bytes().unwrap_or_else(|| [0x80][..].into());
        assert!(written.len() <= HEADERS_BYTES, "headers are short");
        assert_eq!(Headers::from_slice(&written), Ok(headers), "headers come back");
    }
}

/// What is read is written and read again as the same.
fn returns<T: Debug + DeserializeOwned + PartialEq + Serialize>(
    data: &[u8],
    judged: Result<(), BodyError>,
) {
    match (from_slice::<T>(data), judged) {
        (Ok(value), Ok(())) => {
            let written = to_bytes(&value);
            let read = written.and_then(|bytes| from_slice::<T>(&bytes));
            assert_eq!(read, Ok(value), "a value comes back");
        }
        (Err(BodyError::Type), Ok(())) => {}
        (read, judged) => assert_eq!(read.map(|_| ()), judged, "one structure for every type"),
    }
}

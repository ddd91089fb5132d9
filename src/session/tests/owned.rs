//! Datagrams that own their record.

use bytes::BytesMut;

use super::rig::{at, ends, forge, frame};
use crate::session::{OpenError, Opened};

/// Both ways of opening give the same datagrams: those in front of a CLOSE, whatever stands between.
#[test]
fn owned_and_borrowed_datagrams_are_the_same() {
    let close = [0x80, 0, 0, 0, 0, 0];
    let datagram = |payload: &[u8]| frame(0x14, 0, payload);
    for (frames, expected) in [
        (vec![datagram(b"one")], vec!["one"]),
        (vec![datagram(b"one"), datagram(b""), datagram(b"two")], vec!["one", "", "two"]),
        (vec![frame(0x01, 0, &[0; 8]), datagram(b"one"), vec![0; 3]], vec!["one"]),
        (vec![datagram(b"one"), frame(0x11, 0, &close), datagram(b"two")], vec!["one"]),
        (vec![frame(0x11, 0, &close), datagram(b"two")], vec![]),
        (vec![], vec![]),
    ] {
        for owned in [true, false] {
            let mut ends = ends();
            let record = forge(&mut ends.agent, &frames.concat());
            let datagrams: Vec<Vec<u8>> = match owned {
                true => {
                    let opened = ends.backend.open_owned(at(0), record).unwrap();
                    opened.map(|payload| payload.to_vec()).collect()
                }
                false => borrowed(&ends.backend.open(at(0), &mut record.clone()).unwrap()),
            };
            assert_eq!(datagrams, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }
    }
    let refused = ends().backend.open_owned(at(0), BytesMut::zeroed(40)).map(|_| ());
    assert!(matches!(refused, Err(OpenError::Header(_))), "{refused:?}");
}

fn borrowed(opened: &Opened<'_>) -> Vec<Vec<u8>> {
    opened.datagrams().map(<[u8]>::to_vec).collect()
}

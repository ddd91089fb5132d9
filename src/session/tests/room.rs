//! What fits a record, to the byte, and what stands in the buffer around it.

use bytes::{Bytes, BytesMut};

use super::rig::{at, datagram, ends, open, seed};
use crate::header::{HEADER_BYTES, Header, TAG_BYTES};
use crate::session::SealError;
use crate::session::sealed::Session;

const BEFORE: &[u8] = b"records that wait";

#[test]
#[should_panic(expected = "as long as announced")]
fn frames_longer_than_announced_are_never_sealed() {
    let mut ends = ends();
    let mut out = BytesMut::new();
    let mut record = ends.agent.record(at(0), &mut out).unwrap();
    record.frames(4, |out| out.extend_from_slice(&[0; 5]));
}

/// proto-spec: the longest datagram fits, one byte more does not, wherever in its buffer the
/// record begins.
#[test]
fn a_datagram_fits_to_the_byte_behind_other_records() {
    let mut ends = ends();
    let most = ends.agent.record_bytes() - 4;
    let mut out = BytesMut::from(BEFORE);
    let refused = ends.agent.seal_datagram(at(0), &vec![1; most + 1], &mut out);
    assert_eq!(refused, Err(SealError::TooLarge(most + 1, most)));
    assert_eq!(out, BEFORE, "nothing was written, nothing was taken away");
    ends.agent.seal_datagram(at(0), &vec![1; most], &mut out).unwrap();
    let record = out.split_off(BEFORE.len());
    assert_eq!((&out[..], record.len()), (BEFORE, HEADER_BYTES + most + 4 + TAG_BYTES));
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![vec![1; most]]));
}

#[test]
fn a_record_that_is_dropped_leaves_the_buffer_as_it_was() {
    let mut ends = ends();
    let mut out = BytesMut::from(BEFORE);
    let mut writer = ends.agent.record(at(0), &mut out).unwrap();
    writer.datagram(b"never").unwrap();
    assert_eq!(writer.room(), 16_384 - 4 - 5);
    drop(writer);
    assert_eq!(out, BEFORE);
}

/// A key exchange goes beside a datagram if it fits to the byte, and waits if it does not. The
/// datagram goes at once in both cases.
#[test]
fn a_rekey_goes_beside_a_datagram_that_leaves_it_room() {
    for (spare, waits) in [(4_000, false), (0, false), (-1, true)] {
        let mut ends = ends();
        ends.agent.provide_seed(at(0), &seed(41));
        let rekey = ends.agent.control.rekey.as_ref().map_or(0, Bytes::len);
        assert!(rekey > 1_000);
        let bytes = ends.agent.record_bytes() - rekey - 4;
        let payload = vec![1; bytes.checked_add_signed(-spare).unwrap()];
        let record = datagram(&mut ends.agent, at(0), &payload);
        assert_eq!(ends.agent.has_transmit(), waits, "{spare} bytes to spare");
        assert_eq!(plaintext_bytes(&record) > payload.len() + 4, !waits);
        assert_eq!(open(&mut ends.backend, &record), Ok(vec![payload]));
        assert_eq!(asks_for_a_seed(&mut ends.backend), !waits);
    }
}

fn plaintext_bytes(record: &BytesMut) -> usize {
    usize::from(Header::decode(record).unwrap().length) - TAG_BYTES
}

fn asks_for_a_seed(session: &mut Session) -> bool {
    super::rig::events(session).contains(&crate::session::Event::WantsSeed)
}

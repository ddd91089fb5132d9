//! Frames under good keys that break the protocol, or do not.

use bytes::BytesMut;

use super::rig::{
    agent_config, assert_ends, at, backend_config, ends, ends_of, events, forge, frame, open,
    transmit,
};
use crate::session::sealed::Session;
use crate::session::{CloseCode, Event, FrameError, Malformed, OpenError, UpperFrame};

/// proto-spec [V-5]: a frame that must be understood and is not ends the session.
#[test]
fn an_unknown_critical_frame_ends_the_session() {
    let mut ends = ends();
    let record = forge(&mut ends.agent, &frame(0x80, 0, b""));
    assert_eq!(open(&mut ends.backend, &record), Err(FrameError::UnknownCritical(0x80).into()));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);
}

/// proto-spec [V-4]: another unknown frame is skipped, whatever stands in it.
#[test]
fn an_unknown_frame_is_skipped_and_those_around_it_count() {
    let mut ends = ends();
    for kind in [0x03, 0x08, 0x0c, 0x0e, 0x10, 0x15, 0x20, 0x7f] {
        let unknown = frame(kind, 0xff, &[0xa5; 300]);
        let record = [frame(0x14, 0, b"a"), unknown, frame(0x14, 0, b"b")].concat();
        let record = forge(&mut ends.agent, &record);
        let expected = vec![b"a".to_vec(), b"b".to_vec()];
        assert_eq!(open(&mut ends.backend, &record), Ok(expected), "{kind:#x}");
    }
}

/// proto-spec [F-1]: whatever is wrong with a frame, the record is refused and the session ends.
#[test]
fn a_broken_frame_ends_the_session() {
    for (broken, cause) in broken_frames() {
        let mut ends = ends();
        let record = forge(&mut ends.backend, &broken);
        let expected = Err(OpenError::Frame(cause));
        assert_eq!(open(&mut ends.agent, &record), expected, "{broken:02x?}");
        assert_ends(&mut ends.agent, &mut ends.backend, CloseCode::ProtocolViolation);
    }
}

/// proto-spec [F-1]: frames in front of a broken one do nothing.
#[test]
fn no_frame_of_a_broken_record_acts() {
    for (broken, _) in broken_frames() {
        let mut ends = ends();
        let close = frame(0x11, 0, &[0x80, 0, 0, 0, 0, 0]);
        let go_away = frame(0x12, 0, &[0; 8]);
        let before = [go_away, frame(0x02, 0, &[7; 8]), frame(0x01, 0, &[7; 8])].concat();
        let record = forge(&mut ends.backend, &[before, broken.clone(), close].concat());
        open(&mut ends.agent, &record).unwrap_err();
        let only = [Event::Ended(CloseCode::ProtocolViolation)];
        assert_eq!(events(&mut ends.agent), only, "{broken:02x?}");
        let said = transmit(&mut ends.agent, at(0)).unwrap();
        assert_eq!(said.len(), 24 + 10 + 16, "a CLOSE alone, no PONG: {broken:02x?}");
    }
}

/// proto-spec [F-1]: where a link stands above, its frames are parsed with the rest of the record.
#[test]
fn a_broken_frame_of_the_link_breaks_the_record_for_a_link_alone() {
    let broken = frame(0x0c, 0, &[0; 16]);
    let record = [frame(0x02, 0, &[7; 8]), frame(0x14, 0, b"a"), broken].concat();

    let mut ends = ends();
    let sealed = forge(&mut ends.agent, &record);
    let cause = Malformed::Value("number");
    let read = ends.backend.open_frames(at(0), sealed).map(Iterator::count);
    assert_eq!(read, Err(FrameError::Malformed(0x0c, cause).into()));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);

    let mut ends = self::ends();
    let sealed = forge(&mut ends.agent, &record);
    assert_eq!(open(&mut ends.backend, &sealed), Ok(vec![b"a".to_vec()]));
}

#[test]
fn frames_of_floors_above_come_in_order_up_to_a_close() {
    let mut ends = ends();
    let mut record = BytesMut::new();
    let mut writer = ends.agent.record(at(0), &mut record).unwrap();
    writer.datagram(b"a").unwrap();
    assert!(writer.frames(5, |out| out.extend_from_slice(&frame(0x7f, 9, b"b"))));
    let room = writer.room();
    assert!(!writer.frames(room + 1, |_| panic!("it does not fit")));
    writer.seal();
    let read: Vec<_> = ends.backend.open_frames(at(0), record).unwrap().collect();
    let upper = |kind, flags, body: &'static [u8]| UpperFrame { kind, flags, body: body.into() };
    assert_eq!(read, [upper(0x14, 0, b"a"), upper(0x7f, 9, b"b")]);

    let close = frame(0x11, 0, &[0x80, 0, 0, 0, 0, 9]);
    let frames = [frame(0x01, 0, &[1; 8]), frame(0x14, 0, b"a"), close, frame(0x14, 0, b"b")];
    let record = forge(&mut ends.agent, &frames.concat());
    let read: Vec<_> = ends.backend.open_frames(at(0), record).unwrap().collect();
    assert_eq!(read, [upper(0x14, 0, b"a")]);
}

/// proto-spec [S-5]: an announcement of another epoch than its record's is refused.
#[test]
fn an_announcement_of_another_epoch_is_refused() {
    for epoch in [1_u32, 2, u32::MAX] {
        let mut ends = ends();
        let record = forge(&mut ends.agent, &frame(0x09, 0, &epoch.to_be_bytes()));
        let expected = Err(FrameError::Misplaced(0x09).into());
        assert_eq!(open(&mut ends.backend, &record), expected);
        assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);
    }
}

/// proto-spec [S-5]: an acknowledgement of an epoch that was never sealed in is refused.
#[test]
fn an_acknowledgement_of_what_was_never_sent_is_refused() {
    let mut ends = ends();
    let record = forge(&mut ends.agent, &frame(0x09, 1, &1_u32.to_be_bytes()));
    assert_eq!(open(&mut ends.backend, &record), Err(FrameError::Misplaced(0x09).into()));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);
}

/// proto-spec [F-2]: ACCEPT stands nowhere but in front of the responder's first record.
#[test]
fn accept_in_the_wrong_place_is_refused() {
    for from_agent in [true, false] {
        let mut ends = ends();
        let accept = accept_of(&ends.backend, false);
        let (from, to) = match from_agent {
            true => (&mut ends.agent, &mut ends.backend),
            false => (&mut ends.backend, &mut ends.agent),
        };
        let record = forge(from, &accept);
        assert_eq!(open(to, &record), Err(FrameError::Misplaced(0x13).into()));
        assert_ends(to, from, CloseCode::ProtocolViolation);
    }
    let mut ends = ends_of(agent_config(), backend_config());
    let behind = [frame(0x01, 0, &[0; 8]), accept_of(&ends.backend, false)].concat();
    let record = forge(&mut ends.backend, &behind);
    assert_eq!(open(&mut ends.agent, &record), Err(FrameError::Misplaced(0x13).into()));
    let mut ends = ends_of(agent_config(), backend_config());
    let twice = [accept_of(&ends.backend, false), accept_of(&ends.backend, false)].concat();
    let record = forge(&mut ends.backend, &twice);
    assert_eq!(open(&mut ends.agent, &record), Err(FrameError::Misplaced(0x13).into()));
    assert!(!ends.agent.is_open());
}

/// proto-spec [H-39]: a first record without a good ACCEPT ends the session.
#[test]
fn a_first_record_without_a_good_accept_ends_the_session() {
    let refuse = |make: fn(&Session) -> Vec<u8>| {
        let mut ends = ends_of(agent_config(), backend_config());
        let plaintext = make(&ends.backend);
        let record = forge(&mut ends.backend, &plaintext);
        let expected = Err(FrameError::Misplaced(0x13).into());
        assert_eq!(open(&mut ends.agent, &record), expected, "{plaintext:02x?}");
        assert!(!ends.agent.is_open());
        assert_eq!(events(&mut ends.agent), [Event::Ended(CloseCode::ProtocolViolation)]);
    };
    refuse(|_| Vec::new());
    refuse(|_| vec![0; 20]);
    refuse(|_| frame(0x14, 0, b"data"));
    refuse(|_| frame(0x01, 0, &[0; 8]));
    refuse(|backend| accept_of(backend, true));
    refuse(|backend| {
        let mut accept = accept_of(backend, false);
        accept[4] ^= 1;
        accept
    });
    let mut ends = ends_of(agent_config(), backend_config());
    forge(&mut ends.backend, b"");
    let accept = accept_of(&ends.backend, false);
    let record = forge(&mut ends.backend, &accept);
    assert_eq!(open(&mut ends.agent, &record), Err(FrameError::Misplaced(0x13).into()));
}

/// proto-spec [F-5]: what stands behind a CLOSE is ignored, and a CLOSE is not answered.
#[test]
fn frames_behind_a_close_are_ignored() {
    let mut ends = ends();
    let close = frame(0x11, 0, &[0x80, 0, 0, 0, 0, 9]);
    let [ping, before, behind] =
        [frame(0x01, 0, &[1; 8]), frame(0x14, 0, b"before"), frame(0x14, 0, b"behind")];
    let go_away = frame(0x12, 0, &[1; 8]);
    let record = forge(&mut ends.agent, &[ping, before, close, behind, go_away].concat());
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![b"before".to_vec()]));
    let said = events(&mut ends.backend);
    assert!(matches!(said[..], [Event::ClosedByPeer { code: CloseCode::Normal, .. }]), "{said:?}");
    assert!(ends.backend.is_closed() && transmit(&mut ends.backend, at(0)).is_none());
}

/// proto-spec [F-3]: of many PINGs in one record, the last is answered.
#[test]
fn the_last_ping_of_a_record_is_answered() {
    let mut ends = ends();
    let pings: Vec<u8> =
        (0..1_000_u64).flat_map(|value| frame(0x01, 0, &value.to_be_bytes())).collect();
    let record = forge(&mut ends.agent, &pings);
    open(&mut ends.backend, &record).unwrap();
    let answer = transmit(&mut ends.backend, at(0)).unwrap();
    assert_eq!(answer.len(), 24 + 12 + 16);
    open(&mut ends.agent, &answer).unwrap();
    assert_eq!(events(&mut ends.agent), [Event::Pong(999)]);
    assert!(transmit(&mut ends.backend, at(0)).is_none());
}

/// An empty plaintext and one of zeros are legal.
#[test]
fn a_record_of_nothing_opens() {
    let mut ends = ends();
    for zeros in [0, 1, 4, 2_000] {
        let record = forge(&mut ends.agent, &vec![0; zeros]);
        assert_eq!(open(&mut ends.backend, &record), Ok(vec![]));
    }
}

/// The ACCEPT that `backend` sends.
fn accept_of(backend: &Session, resumed: bool) -> Vec<u8> {
    let body = [&backend.id().to_bytes()[..], &[0; 8], &[u8::from(resumed)], &[3; 16]].concat();
    frame(0x13, 0, &body)
}

/// Every way in which a frame that an agent may receive can be broken.
fn broken_frames() -> Vec<(Vec<u8>, FrameError)> {
    let malformed = |kind, cause| FrameError::Malformed(kind, cause);
    let mut broken = vec![
        (vec![0, 1], FrameError::NonzeroPadding),
        ([vec![0; 40], vec![0x14]].concat(), FrameError::NonzeroPadding),
        (vec![0x01], malformed(0x01, Malformed::Truncated)),
        (vec![0x14, 0, 0], malformed(0x14, Malformed::Truncated)),
        (vec![0x14, 0, 0, 1], malformed(0x14, Malformed::Truncated)),
        (vec![0x7f, 0, 0xff, 0xff, 1], malformed(0x7f, Malformed::Truncated)),
        (vec![0x82], malformed(0x82, Malformed::Truncated)),
        (frame(0xff, 0, b"?"), FrameError::UnknownCritical(0xff)),
        (frame(0x14, 1, b"x"), FrameError::ReservedFlags(0x14)),
        (frame(0x13, 0, &[2; 41]), malformed(0x13, Malformed::Value("resumed"))),
        (frame(0x0a, 1, b"x"), malformed(0x0a, Malformed::TrailingBytes)),
        (
            frame(0x0b, 0, &[&[0; 4][..], &[0, 9], &[0; 64]].concat()),
            malformed(0x0b, Malformed::Truncated),
        ),
        (
            frame(0x0f, 0, &[&[0, 1, 7][..], &[0; 65]].concat()),
            malformed(0x0f, Malformed::TrailingBytes),
        ),
    ];
    for (kind, length) in [(0x01, 8), (0x02, 8), (0x09, 4), (0x11, 6), (0x12, 8)] {
        let cut = frame(kind, 0, &vec![0; length - 1]);
        let long = frame(kind, 0, &vec![0; length + 1]);
        broken.push((cut, malformed(kind, Malformed::Truncated)));
        broken.push((long, malformed(kind, Malformed::TrailingBytes)));
        for bit in (0..8).map(|bit| 1 << bit).filter(|flag| kind != 0x09 || *flag != 1) {
            let flagged = frame(kind, bit, &vec![0; length]);
            broken.push((flagged, FrameError::ReservedFlags(kind)));
        }
    }
    broken
}

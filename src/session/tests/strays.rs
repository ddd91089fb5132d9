//! Records that are no DATA, at a session.

use std::sync::Arc;

use bytes::BytesMut;

use super::rig::{agent_config, backend_config, ends, ends_of, events, open, seed, start};
use crate::header::{Header, RecordType};
use crate::ids::LinkId;
use crate::session::sealed::Session;
use crate::session::{Initiator, OpenError};

/// Known by its link, and refused for what it is; with another link it is for nobody here.
#[test]
fn a_record_of_the_handshake_has_no_place_in_a_session() {
    let (_, hello) = Initiator::start(Arc::new(agent_config()), None, &seed(11), start()).unwrap();
    let mut ends = ends();
    for session in [&mut ends.agent, &mut ends.backend] {
        let refused = open(session, &BytesMut::from(&hello[..]));
        assert_eq!(refused, Err(OpenError::UnexpectedRecord));
        for kind in [RecordType::Reject, RecordType::Retry] {
            let own = session.link;
            assert_eq!(open(session, &record(kind, own)), Err(OpenError::UnexpectedRecord));
            let refused = open(session, &record(kind, LinkId([9; 8])));
            assert_eq!(refused, Err(OpenError::UnknownLink));
        }
        assert_eq!(events(session), []);
    }
}

/// Only a responder that accepted can lose a session, and it names its own link.
#[test]
fn a_no_session_is_heard_by_an_accepted_initiator_only() {
    let lost = |session: &mut Session, link| {
        let heard = open(session, &record(RecordType::NoSession, link));
        (heard.map(|datagrams| datagrams.len()), session.is_closed())
    };
    let mut unaccepted = ends_of(agent_config(), backend_config()).agent;
    let remote = unaccepted.remote;
    assert_eq!(lost(&mut unaccepted, remote), (Err(OpenError::UnexpectedRecord), false));
    let mut ends = ends();
    let (own, remote) = (ends.backend.link, ends.backend.remote);
    assert_eq!(lost(&mut ends.backend, own), (Err(OpenError::UnexpectedRecord), false));
    assert_eq!(lost(&mut ends.backend, remote), (Err(OpenError::UnknownLink), false));
    let (own, remote) = (ends.agent.link, ends.agent.remote);
    assert_eq!(lost(&mut ends.agent, own), (Err(OpenError::UnknownLink), false));
    assert_eq!(lost(&mut ends.agent, remote), (Ok(0), false), "noise: another token");
    assert_eq!(events(&mut ends.agent), []);
}

/// A record of sixteen bytes that say nothing.
fn record(kind: RecordType, link: LinkId) -> BytesMut {
    let mut record = BytesMut::from(&Header::handshake(kind, link, 16).encode()[..]);
    record.extend_from_slice(&[0; 16]);
    record
}

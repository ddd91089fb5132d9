//! The responder's first record, as the runtime takes it: what comes with ACCEPT, and what comes
//! instead of it.

use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;
use waxwire::runtime::{Connection, Dialer};
use waxwire::session::CloseCode;
use waxwire::transport::memory::{Memory, pair};
use waxwire::transport::{Arrival, Transport};
use waxwire::{Error, ErrorKind};

use crate::rival::{self, Answerer};
use crate::support::{BACKEND, agent_config};

/// proto-spec [F-7]: datagrams in the record that accepts arrive, once and in order.
#[tokio::test]
async fn what_comes_with_accept_arrives() {
    let (agent, mut peer) =
        dialled(|id| [rival::accept(id, 0), datagram(b"first"), datagram(b"second")].concat())
            .await;
    let mut agent = agent.unwrap();
    assert_eq!(agent.recv().await.unwrap().unwrap(), "first");
    assert_eq!(agent.recv().await.unwrap().unwrap(), "second");
    assert_eq!(peer.heard().await, Some(vec![]), "the confirmation");
    agent.close().await.unwrap();
    assert_eq!(peer.heard().await, Some(close(CloseCode::Normal)), "and no more");
}

/// proto-spec [F-5]: a CLOSE may come with ACCEPT too, behind what was to be said.
#[tokio::test]
async fn a_close_that_comes_with_accept_is_heard() {
    let (agent, mut peer) = dialled(|id| {
        [rival::accept(id, 0), datagram(b"last"), close(CloseCode::Busy), datagram(b"?")].concat()
    })
    .await;
    let mut agent = agent.unwrap();
    assert_eq!(agent.recv().await.unwrap().unwrap(), "last");
    let ended = agent.recv().await.unwrap_err();
    let busy = ErrorKind::Closed { code: CloseCode::Busy, retry_after: Duration::ZERO };
    assert_eq!(ended.kind(), busy);
    drop(agent);
    assert_eq!(peer.heard().await, None, "a CLOSE is not answered");
}

/// proto-spec [H-39], [F-1]: a first record that is authentic and no good ACCEPT ends the session,
/// and the responder is told with which code.
#[tokio::test]
async fn a_bad_accept_is_answered_by_a_close() {
    let cases: [fn([u8; 16]) -> Vec<u8>; 6] = [
        |_| Vec::new(),
        |_| datagram(b"data"),
        |id| rival::accept(id.map(|byte| !byte), 0),
        |id| rival::accept(id, 1),
        |id| [rival::accept(id, 0), vec![0x14, 0, 0]].concat(),
        |id| [rival::accept(id, 0), vec![0x80, 0, 0, 0]].concat(),
    ];
    for (case, frames) in cases.into_iter().enumerate() {
        let (agent, mut peer) = dialled(frames).await;
        let refused = agent.map(|_| ()).unwrap_err();
        let code = CloseCode::ProtocolViolation;
        let broken = ErrorKind::Closed { code, retry_after: Duration::ZERO };
        assert_eq!(refused.kind(), broken, "case {case}");
        assert!(!refused.is_retryable());
        assert_eq!(peer.heard().await, Some(close(code)), "case {case}");
        assert_eq!(peer.heard().await, None);
    }
}

/// proto-spec: what is not authentic is not answered.
#[tokio::test]
async fn a_forged_accept_is_not_answered() {
    let (agent, mut peer) = dialled_with(|mut record| {
        record[30] ^= 1;
        record
    })
    .await;
    let refused = agent.map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Tampered);
    assert!(refused.is_retryable());
    assert_eq!(peer.heard().await, None);
}

/// A responder that knows the session's keys, after it sent its first record.
struct Peer {
    far: Memory,
    initiators: rival::Key,
}

impl Peer {
    /// The frames of the next record of the initiator; `None` if nothing comes any more.
    async fn heard(&mut self) -> Option<Vec<u8>> {
        let record = next(&mut self.far).await?;
        Some(rival::frames(&self.initiators, &record).expect("sealed under the session's keys"))
    }
}

/// Dials a responder whose first record holds what `frames` makes of the session's id.
async fn dialled(
    frames: impl FnOnce([u8; 16]) -> Vec<u8>,
) -> (Result<Connection<Memory>, Error>, Peer) {
    let (near, far) = pair();
    let dialer = Dialer::new(agent_config());
    tokio::join!(dialer.connect(near), answered(far, frames, |record| record))
}

/// The same, where the record of a good ACCEPT is changed on its way.
async fn dialled_with(
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> (Result<Connection<Memory>, Error>, Peer) {
    let (near, far) = pair();
    let dialer = Dialer::new(agent_config());
    tokio::join!(dialer.connect(near), answered(far, |id| rival::accept(id, 0), change))
}

async fn answered(
    mut far: Memory,
    frames: impl FnOnce([u8; 16]) -> Vec<u8>,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Peer {
    let hello = next(&mut far).await.unwrap();
    let answerer = Answerer::new(BACKEND);
    let (reply, replied) = answerer.reply(&hello, &answerer.block());
    far.start_send(reply.into()).unwrap();
    let finish = next(&mut far).await.unwrap();
    let (_, secrets) = replied.read(&finish).unwrap();
    let first = rival::data(&secrets.to_initiator, replied.link, 0, &frames(secrets.session_id));
    far.start_send(change(first).into()).unwrap();
    Peer { far, initiators: secrets.to_responder }
}

async fn next(from: &mut Memory) -> Option<BytesMut> {
    let mut record = BytesMut::new();
    match poll_fn(|cx| from.poll_record(cx, &mut record)).await.unwrap() {
        Arrival::Record => Some(record),
        Arrival::End => None,
    }
}

fn datagram(payload: &[u8]) -> Vec<u8> {
    [&[0x14, 0][..], &rival::lv16(payload)].concat()
}

fn close(code: CloseCode) -> Vec<u8> {
    [&[0x11, 0, 0, 6][..], &code.to_u16().to_be_bytes(), &[0; 4]].concat()
}

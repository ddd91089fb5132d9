//! Facts about records on a byte stream.
#![cfg(feature = "runtime")]

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};
use waxwire::LinkId;
use waxwire::header::{HEADER_BYTES, Header, HeaderError, RecordType, TAG_BYTES};
use waxwire::limits::{
    HANDSHAKE_BYTES, READ_BUFFER_BYTES, RECORD_BYTES, RECORD_BYTES_MAX, RECORD_BYTES_MIN,
    WRITE_BUFFER_BYTES,
};
use waxwire::transport::framed::{self, Framed};
use waxwire::transport::{Arrival, Transport, TransportError};

use crate::transport_fixtures::{
    SHUTDOWNS, Script, Then, close, data, fill, passes_in_order, poll, receive, send,
};

/// proto-spec: every pair of cuts through three records, with a pause of the stream at each. The future of a
/// read is dropped at every pause, so this is also the proof that reading is cancel-safe.
#[test]
fn a_record_survives_being_cut_at_every_byte() {
    let records = [data(16, 1), data(17, 2), data(90, 3)];
    let stream = Bytes::from(records.concat());
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces =
                [stream.slice(..first), stream.slice(first..second), stream.slice(second..)];
            let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
            let mut pipe = Framed::new(Script::new(pieces, Then::End));
            assert_eq!(read_all(&mut pipe), (stream.clone(), 3, Ok(Arrival::End)));
        }
    }
}

#[test]
fn a_record_survives_arriving_byte_by_byte() {
    let stream = Bytes::from([data(9_000, 1), data(16, 2), data(4_096, 3)].concat());
    let bytes = (0..stream.len()).map(|at| stream.slice(at..=at));
    let mut pipe = Framed::new(Script::new(bytes, Then::End));
    assert_eq!(read_all(&mut pipe), (stream, 3, Ok(Arrival::End)));
}

#[test]
fn the_end_of_the_stream_inside_a_record_is_an_error() {
    let record = data(40, 1);
    for cut in 1..record.len() {
        let mut pipe = Framed::new(Script::new([record.slice(..cut)], Then::End));
        let truncated = Err(TransportError::Header(HeaderError::Truncated));
        assert_eq!(read_all(&mut pipe), (Bytes::new(), 0, truncated));
        assert_eq!(read_all(&mut pipe), (Bytes::new(), 0, Ok(Arrival::End)));
    }
}

/// PROTOCOL attack 43. proto-spec: what the header alone gives away is refused before anything
/// is allocated for the body.
#[test]
fn a_header_is_refused_before_its_body_is_awaited() {
    let header = |kind, length| {
        let link = LinkId::from_bytes([7; 8]);
        Bytes::copy_from_slice(&Header { kind, length, link, epoch: 0, seq: 0 }.encode())
    };
    let garbage = Bytes::from_static(&[0xff; HEADER_BYTES]);
    for (head, error) in [
        (header(RecordType::Data, 0), HeaderError::TooShort),
        (header(RecordType::Data, 15), HeaderError::TooShort),
        (header(RecordType::Hello, 65_535), HeaderError::TooLarge),
        (header(RecordType::Reject, 65_535), HeaderError::TooLarge),
        (garbage, HeaderError::UnsupportedVersion(15)),
    ] {
        let script = Script::new([head], Then::Silence);
        let mut pipe = Framed::new(script.clone());
        assert_eq!(read_all(&mut pipe), (Bytes::new(), 0, Err(error.into())));
        assert_eq!(script.seen().most_room, READ_BUFFER_BYTES);
    }
}

#[test]
fn an_announced_length_reserves_nothing_until_its_bytes_arrive() {
    let longest = data(u16::MAX, 1);
    assert_eq!(longest.len(), HEADER_BYTES + RECORD_BYTES_MAX + TAG_BYTES);
    let script = Script::new([longest.slice(..HEADER_BYTES)], Then::Silence);
    let mut pipe = Framed::new(script.clone()).with_record_bytes(RECORD_BYTES_MAX);
    let mut into = BytesMut::new();
    for _ in 0..3 {
        assert!(poll(|cx| pipe.poll_record(cx, &mut into)).is_pending());
    }
    assert_eq!(script.seen().most_room, READ_BUFFER_BYTES);
    script.say([longest.slice(HEADER_BYTES..)]);
    let arrival = (0..100).find_map(|_| match poll(|cx| pipe.poll_record(cx, &mut into)) {
        Poll::Ready(arrival) => Some(arrival),
        Poll::Pending => None,
    });
    assert_eq!((arrival, into.freeze()), (Some(Ok(Arrival::Record)), longest));
}

/// What the session does not take, the pipe does not buffer; a handshake record always passes.
#[test]
fn a_record_longer_than_the_session_takes_is_refused_by_its_header() {
    for taken in [RECORD_BYTES_MIN, RECORD_BYTES] {
        let longest = data(u16::try_from(taken + TAG_BYTES).unwrap(), 1);
        let link = LinkId::from_bytes([7; 8]);
        let length = u16::try_from(HANDSHAKE_BYTES).unwrap();
        let header = Header { kind: RecordType::Reply, length, link, epoch: 0, seq: 0 };
        let reply = [&header.encode()[..], &[2; HANDSHAKE_BYTES]].concat();
        let one_more = data(u16::try_from(taken + TAG_BYTES + 1).unwrap(), 3).slice(..HEADER_BYTES);
        let passes = Bytes::from([longest.as_ref(), &reply].concat());
        let script = Script::new([passes.clone(), one_more], Then::Silence);
        let mut pipe = Framed::new(script.clone()).with_record_bytes(taken);
        assert_eq!(pipe.record_bytes(), taken);
        assert_eq!(read_all(&mut pipe), (passes, 2, Err(TransportError::TooLarge)));
        assert!(script.seen().most_room <= HEADER_BYTES + HANDSHAKE_BYTES.max(taken + TAG_BYTES));
    }
}

#[test]
fn records_that_wait_leave_in_one_write() {
    let script = Script::new([], Then::Silence);
    let mut pipe = Framed::new(script.clone());
    let records = [data(16, 1), data(200, 2), data(1_000, 3)];
    for record in &records {
        assert!(poll(|cx| pipe.poll_ready(cx)).is_ready());
        pipe.start_send(record.clone()).unwrap();
    }
    assert_eq!(script.seen().writes, 0);
    assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Ready(Ok(())));
    assert_eq!((script.seen().writes, script.seen().written), (1, records.concat()));
}

#[test]
fn a_write_goes_on_where_it_stopped() {
    let script = Script::new([], Then::Silence);
    let mut pipe = Framed::new(script.clone());
    let records = [data(16, 1), data(50, 2)];
    script.accept_only(0);
    for record in &records {
        pipe.start_send(record.clone()).unwrap();
    }
    for _ in 1..records.concat().len() {
        script.accept_only(1);
        assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Pending);
    }
    script.accept_only(1);
    assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Ready(Ok(())));
    assert_eq!(script.seen().written, records.concat());
}

#[test]
fn a_slow_socket_holds_the_sender_at_a_bound() {
    let script = Script::new([], Then::Silence);
    script.accept_only(0);
    let mut pipe = Framed::new(script.clone());
    let record = data(1_000, 1);
    let taken = fill(&mut pipe, &record);
    assert!(
        (WRITE_BUFFER_BYTES..WRITE_BUFFER_BYTES + record.len()).contains(&(taken * record.len()))
    );
    assert_eq!(pipe.start_send(record.clone()), Err(TransportError::NotReady));

    script.accept_only(record.len());
    assert_eq!(poll(|cx| pipe.poll_ready(cx)), Poll::Ready(Ok(())));
    pipe.start_send(record.clone()).unwrap();
    script.accept_only(usize::MAX);
    assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Ready(Ok(())));
    assert_eq!(script.seen().written, record.repeat(taken + 1));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    let (near, far) = duplex(100);
    passes_in_order(Framed::new(near), Framed::new(far)).await;
}

#[test]
fn what_is_not_one_whole_record_is_not_sent() {
    let script = Script::new([], Then::Silence);
    let mut pipe = Framed::new(script.clone());
    let record = data(40, 1);
    let error = pipe.start_send(record.slice(..63));
    assert_eq!(error, Err(TransportError::Header(HeaderError::Truncated)));
    assert_eq!(poll(|cx| pipe.poll_close(cx)), Poll::Ready(Ok(())));
    assert_eq!(pipe.start_send(record), Err(TransportError::Closed));
    assert_eq!(poll(|cx| pipe.poll_ready(cx)), Poll::Ready(Err(TransportError::Closed)));
    assert!(script.seen().written.is_empty() && script.seen().shut_down);
}

#[tokio::test]
async fn a_peer_that_is_gone_needs_no_goodbye() {
    for (kind, closed) in SHUTDOWNS {
        let script = Script::new([], Then::Silence);
        script.fail_shutdown(kind);
        assert_eq!(close(&mut Framed::new(script)).await, closed);
    }
}

#[tokio::test]
async fn tcp_carries_records_and_names_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(framed::dial(address), listener.accept());
    let (mut agent, (stream, agent_address)) = (dialled.unwrap(), accepted.unwrap());
    let mut backend = framed::accepted(stream).unwrap();
    assert_eq!(agent.peer_address(), Some(address));
    assert_eq!(backend.peer_address(), Some(agent_address));
    send(&mut agent, data(16_000, 1)).await.unwrap();
    assert_eq!(receive(&mut backend).await, Ok(Some(data(16_000, 1))));
    close(&mut backend).await.unwrap();
    assert_eq!(receive(&mut agent).await, Ok(None));
}

#[tokio::test]
async fn no_one_listening_is_an_io_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = framed::dial(address).await.err();
    assert_eq!(refused, Some(TransportError::Io(std::io::ErrorKind::ConnectionRefused)));
}

#[cfg(any(target_os = "android", target_os = "linux"))]
#[tokio::test]
async fn an_accepted_socket_neither_delays_nor_hoards() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let same_socket = socket2::SockRef::from(&stream).try_clone().unwrap();
    let _pipe = framed::accepted(stream).unwrap();
    assert_eq!(same_socket.tcp_notsent_lowat().unwrap(), waxwire::limits::NOT_SENT_BYTES);
    assert!(same_socket.tcp_nodelay().unwrap());
}

/// Reads until the pipe ends or breaks: the bytes, how many records they were, and how it ended.
fn read_all(pipe: &mut impl Transport) -> (Bytes, usize, Result<Arrival, TransportError>) {
    let (mut into, mut records) = (BytesMut::new(), 0);
    for _ in 0..1_000_000 {
        match poll(|cx| pipe.poll_record(cx, &mut into)) {
            Poll::Pending => {}
            Poll::Ready(Ok(Arrival::Record)) => records += 1,
            Poll::Ready(last) => return (into.freeze(), records, last),
        }
    }
    panic!("the pipe neither ended nor broke")
}

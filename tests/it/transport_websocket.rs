//! Facts about records as WebSocket messages, most of them told by a peer that speaks bytes.
#![cfg(feature = "websocket")]

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::{DuplexStream, duplex};
use waxwire::header::{HEADER_BYTES, HeaderError, TAG_BYTES};
use waxwire::limits::{
    HANDSHAKE_BYTES, HANDSHAKE_TIME, READ_BUFFER_BYTES, RECORD_BYTES, RECORD_BYTES_MAX,
    RECORD_BYTES_MIN, WRITE_BUFFER_BYTES,
};
use waxwire::transport::websocket::{AcceptOptions, WebSocket, accept, client};
use waxwire::transport::{Transport, TransportError};

use crate::transport_fixtures::{
    SHUTDOWNS, Script, Then, close, data, fill, passes_in_order, poll, receive, send,
};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FIN: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const MESSAGE_BYTES: usize = HEADER_BYTES + RECORD_BYTES_MAX + TAG_BYTES;

#[tokio::test]
async fn a_record_survives_being_cut_at_every_byte() {
    let record = data(140, 3);
    let message = frame(FIN | BINARY, &record);
    for cut in 1..message.len() {
        let (script, mut pipe) = served(Then::End).await;
        script.say([message.slice(..cut), message.slice(cut..)]);
        assert_eq!(receive(&mut pipe).await, Ok(Some(record.clone())), "{cut}");
        assert_eq!(receive(&mut pipe).await, Ok(None));
    }
}

#[tokio::test]
async fn a_record_in_fragments_is_one_record() {
    let record = data(140, 3);
    let (script, mut pipe) = served(Then::Silence).await;
    script.say([
        frame(BINARY, &record[..10]),
        frame(FIN | PING, b"between"),
        frame(0, &record[10..11]),
        frame(FIN, &record[11..]),
    ]);
    assert_eq!(receive(&mut pipe).await, Ok(Some(record)));
}

/// PROTOCOL attack 50, `ws_text_frame`. proto-spec: a text message is refused.
#[tokio::test]
async fn a_text_message_is_refused() {
    let record = data(16, b'a');
    for frames in [
        vec![frame(FIN | TEXT, b"hello")],
        vec![frame(FIN | TEXT, &record)],
        vec![frame(FIN | TEXT, &[0xff, 0xfe])],
        vec![frame(TEXT, b"he"), frame(FIN, b"llo")],
    ] {
        assert_eq!(told(frames).await, Err(TransportError::NotBinary));
    }
}

/// PROTOCOL attack 50, `ws_2GiB_length_header`. An attempt to reserve the larger lengths would
/// abort the process.
#[tokio::test]
async fn a_length_of_2_gib_is_refused_before_allocation() {
    for length in [MESSAGE_BYTES as u64 + 1, 1 << 31, 1 << 40, 1 << 62, u64::MAX] {
        let before = peak_kib();
        let mut head = vec![FIN | BINARY, 0x80 | 127];
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        assert_eq!(told([head.into()]).await, Err(TransportError::TooLarge), "{length}");
        assert!(peak_kib() - before < 1 << 20, "{length} was reserved");
    }
}

#[tokio::test]
async fn an_idle_connection_reads_into_4_kib() {
    let (script, mut pipe) = served(Then::Silence).await;
    assert_eq!(poll(|cx| pipe.poll_record(cx, &mut BytesMut::new())), Poll::Pending);
    assert_eq!(script.seen().most_room, READ_BUFFER_BYTES);
}

#[tokio::test]
async fn the_longest_record_passes_and_one_byte_more_does_not() {
    let longest = data(u16::MAX, 1);
    assert_eq!(longest.len(), MESSAGE_BYTES);
    assert_eq!(told([frame(FIN | BINARY, &longest)]).await, Ok(Some(longest.clone())));
    let too_long = [longest.as_ref(), &[0]].concat();
    assert_eq!(told([frame(FIN | BINARY, &too_long)]).await, Err(TransportError::TooLarge));
    let halves = [frame(BINARY, &too_long[..40_000]), frame(FIN, &too_long[40_000..])];
    assert_eq!(told(halves).await, Err(TransportError::TooLarge));
}

/// What the session does not take, the pipe does not buffer; a handshake record always passes.
#[tokio::test]
async fn a_message_longer_than_the_session_takes_is_refused_by_its_length() {
    for (taken, longest) in [
        (RECORD_BYTES_MIN, HEADER_BYTES + HANDSHAKE_BYTES),
        (RECORD_BYTES, HEADER_BYTES + RECORD_BYTES + TAG_BYTES),
    ] {
        let passes = data(u16::try_from(longest - HEADER_BYTES).unwrap(), 1);
        let (script, mut pipe) = served_up_to(taken, Then::Silence).await;
        let one_more = u16::try_from(longest + 1).unwrap().to_be_bytes();
        let head = [&[FIN | BINARY, 0x80 | 126][..], &one_more, &[0; 4]].concat();
        script.say([frame(FIN | BINARY, &passes), head.into()]);
        assert_eq!(receive(&mut pipe).await, Ok(Some(passes)));
        assert_eq!(receive(&mut pipe).await, Err(TransportError::TooLarge));
    }
}

/// proto-spec: a message that is not exactly one record is refused.
#[tokio::test]
async fn a_message_is_exactly_one_record() {
    let record = data(40, 1);
    let two = [record.as_ref(), record.as_ref()].concat();
    for (message, error) in [
        (&two[..], HeaderError::TrailingBytes),
        (&record[..63], HeaderError::Truncated),
        (&record[..23], HeaderError::Truncated),
        (&[], HeaderError::Truncated),
        (&[0xff; 40], HeaderError::UnsupportedVersion(15)),
    ] {
        let (script, mut pipe) = served(Then::Silence).await;
        script.say([frame(FIN | BINARY, message), frame(FIN | BINARY, &record)]);
        assert_eq!(receive(&mut pipe).await, Err(error.into()));
        assert_eq!(receive(&mut pipe).await, Ok(None), "a broken pipe goes on");
    }
}

/// PROTOCOL attack 49, also for what is compressed without an agreement.
#[tokio::test]
async fn a_frame_that_breaks_the_websocket_protocol_is_refused() {
    let record = data(16, 1);
    let mut unmasked = vec![FIN | BINARY, 40];
    unmasked.extend_from_slice(&record);
    for broken in [
        frame(FIN | COMPRESSED | BINARY, &record),
        frame(FIN | 0x20 | BINARY, &record),
        frame(FIN | 3, &record),
        frame(FIN, &record),
        frame(PING, b"fragmented"),
        frame(FIN | PING, &[0; 126]),
        unmasked.into(),
    ] {
        assert_eq!(told([broken]).await, Err(TransportError::NotWebSocket));
    }
}

/// PROTOCOL attack 63: whoever is on the path can write a close frame, so it is the end of the pipe
/// and no more than the end of the stream would have been.
#[tokio::test]
async fn a_forged_close_ends_the_pipe_only() {
    for close in [frame(FIN | CLOSE, b""), frame(FIN | CLOSE, b"\x03\xe8revoked")] {
        let (script, mut pipe) = served(Then::Silence).await;
        script.say([frame(FIN | BINARY, &data(16, 1)), close, frame(FIN | BINARY, &data(16, 2))]);
        assert_eq!(receive(&mut pipe).await, Ok(Some(data(16, 1))));
        assert_eq!(receive(&mut pipe).await, Ok(None));
        assert_eq!(receive(&mut pipe).await, Ok(None));
        assert_eq!(send(&mut pipe, data(16, 3)).await, Err(TransportError::Closed));
    }
    assert_eq!(told([]).await, Ok(None));
}

/// RFC 6455, 5.5.1. Who hears of the end drops the pipe, so the answer is written by then.
#[tokio::test]
async fn a_close_is_answered_before_the_end_is_told() {
    for (code, answer) in [
        (&b""[..], &[FIN | CLOSE, 0][..]),
        (b"\x03\xe8bye", &[FIN | CLOSE, 5, 3, 0xe8, b'b', b'y', b'e']),
    ] {
        let (script, mut pipe) = served(Then::Silence).await;
        let upgraded = script.seen().written.len();
        script.say([frame(FIN | CLOSE, code)]);
        assert_eq!(receive(&mut pipe).await, Ok(None));
        assert_eq!(script.seen().written[upgraded..], *answer);
        close(&mut pipe).await.unwrap();
        assert_eq!(script.seen().written[upgraded..], *answer, "answered twice");
        assert!(script.seen().shut_down);
    }
}

/// A peer that reads nothing cannot hold the end back.
#[tokio::test]
async fn an_answer_to_a_close_that_finds_no_room_is_not_waited_for() {
    let (script, mut pipe) = served(Then::Silence).await;
    script.accept_only(0);
    script.say([frame(FIN | CLOSE, b""), frame(FIN | BINARY, &data(16, 1))]);
    assert_eq!(receive(&mut pipe).await, Ok(None));
    assert_eq!(receive(&mut pipe).await, Ok(None));
}

/// The end of the stream inside a message is the end of the pipe, and what had come of it is gone.
#[tokio::test]
async fn an_end_inside_a_message_delivers_nothing() {
    let message = frame(FIN | BINARY, &data(16, 1));
    assert_eq!(told([message.slice(..30)]).await, Ok(None));
}

#[tokio::test]
async fn closing_says_so_once_and_shuts_the_stream_down() {
    let (script, mut pipe) = served(Then::Silence).await;
    let answered = script.seen().written.len();
    pipe.start_send(data(16, 1)).unwrap();
    close(&mut pipe).await.unwrap();
    close(&mut pipe).await.unwrap();
    let expected = [&[FIN | BINARY, 40], data(16, 1).as_ref(), &[FIN | CLOSE, 0]].concat();
    assert_eq!(script.seen().written[answered..], expected);
    assert!(script.seen().shut_down);
    assert_eq!(send(&mut pipe, data(16, 2)).await, Err(TransportError::Closed));
}

#[tokio::test]
async fn a_peer_that_is_gone_needs_no_goodbye() {
    for (kind, closed) in SHUTDOWNS {
        let (script, mut pipe) = served(Then::Silence).await;
        script.fail_shutdown(kind);
        assert_eq!(close(&mut pipe).await, closed);
    }
}

#[tokio::test]
async fn records_that_wait_leave_in_one_write() {
    let (script, mut pipe) = served(Then::Silence).await;
    let before = script.seen().writes;
    for fill in 0..10 {
        assert!(poll(|cx| pipe.poll_ready(cx)).is_ready());
        pipe.start_send(data(100, fill)).unwrap();
    }
    assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Ready(Ok(())));
    assert_eq!(script.seen().writes, before + 1);
}

#[tokio::test]
async fn a_slow_socket_holds_the_sender_at_a_bound() {
    let (script, mut pipe) = served(Then::Silence).await;
    script.accept_only(0);
    let record = data(1_000, 1);
    let taken = fill(&mut pipe, &record);
    assert!(
        (WRITE_BUFFER_BYTES..WRITE_BUFFER_BYTES + record.len()).contains(&(taken * record.len()))
    );
    assert_eq!(pipe.start_send(record.clone()), Err(TransportError::NotReady));
    script.accept_only(usize::MAX);
    assert_eq!(poll(|cx| pipe.poll_ready(cx)), Poll::Ready(Ok(())));
    assert_eq!(pipe.start_send(record), Ok(()));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    let (near, far) = pair(100).await;
    passes_in_order(near, far).await;
}

/// A peer that pings and does not read: pongs are bounded, one poll answers one ping, and a record
/// sent meanwhile is late, not lost.
#[tokio::test]
async fn a_flood_of_pings_neither_grows_nor_breaks_the_pipe() {
    let (script, mut pipe) = served(Then::Silence).await;
    let answered = script.seen().written.len();
    script.accept_only(0);
    let pings = Bytes::from(frame(FIN | PING, &[0x55; 125]).repeat(40));
    let mut into = BytesMut::new();
    for _ in 0..500 {
        script.say([pings.clone()]);
        for _ in 0..42 {
            assert_eq!(poll(|cx| pipe.poll_record(cx, &mut into)), Poll::Pending);
        }
    }
    assert!(script.seen().read > 2_500_000, "read {} bytes", script.seen().read);
    let record = data(16_400, 0xaa);
    pipe.start_send(record.clone()).unwrap();
    assert_eq!(poll(|cx| pipe.poll_ready(cx)), Poll::Pending);
    assert_eq!(pipe.start_send(record.clone()), Err(TransportError::NotReady));

    script.accept_only(usize::MAX);
    assert_eq!(poll(|cx| pipe.poll_flush(cx)), Poll::Ready(Ok(())));
    let written = script.seen().written.split_off(answered);
    let bound = WRITE_BUFFER_BYTES + MESSAGE_BYTES + 14 + record.len() + 200;
    assert!(written.len() <= bound, "{} bytes waited", written.len());
    assert!(written.windows(record.len()).any(|window| window == record));
    script.say([frame(FIN | BINARY, &record)]);
    assert_eq!(receive(&mut pipe).await, Ok(Some(record)));
}

/// A WebSocket that was granted to a script, which says more afterwards.
async fn served(then: Then) -> (Script, WebSocket<Script>) {
    served_up_to(RECORD_BYTES_MAX, then).await
}

async fn served_up_to(record_bytes: usize, then: Then) -> (Script, WebSocket<Script>) {
    let request = "GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let script = Script::new([Bytes::from(request)], then);
    let options = AcceptOptions::new().with_record_bytes(record_bytes);
    let pipe = accept(script.clone(), &options, HANDSHAKE_TIME).await.unwrap();
    assert_eq!(pipe.record_bytes(), record_bytes);
    (script, pipe)
}

/// What a server reads from a client that says `frames` and hangs up.
async fn told(frames: impl IntoIterator<Item = Bytes>) -> Result<Option<Bytes>, TransportError> {
    let (script, mut pipe) = served(Then::End).await;
    script.say(frames);
    receive(&mut pipe).await
}

async fn pair(buffer: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(buffer);
    let options = AcceptOptions::new();
    let (near, far) = tokio::join!(
        client(near, "ws://backend/", RECORD_BYTES, HANDSHAKE_TIME),
        accept(far, &options, HANDSHAKE_TIME)
    );
    (near.unwrap(), far.unwrap())
}

/// A masked frame, as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Bytes {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![first];
    if let Ok(short @ ..126) = u8::try_from(payload.len()) {
        frame.push(0x80 | short);
    } else {
        frame.push(0x80 | 127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame.into()
}

/// The most address space this process ever had, where the platform tells.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

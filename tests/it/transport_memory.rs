//! Facts about the pipe between two ends in one process, and about the tap.
#![cfg(feature = "runtime")]

use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use waxwire::header::HeaderError;
use waxwire::limits::HANDLE_QUEUE;
use waxwire::transport::{Arrival, Delivery, Direction, Transport, TransportError, memory, tap};

use crate::transport_fixtures::{close, data, fill, poll, receive, send};

#[tokio::test]
async fn records_arrive_whole_and_in_order_in_both_directions() {
    let (mut near, mut far) = memory::pair();
    for fill in 0..3 {
        send(&mut near, data(40, fill)).await.unwrap();
        send(&mut far, data(50, fill)).await.unwrap();
    }
    for fill in 0..3 {
        assert_eq!(receive(&mut far).await, Ok(Some(data(40, fill))));
        assert_eq!(receive(&mut near).await, Ok(Some(data(50, fill))));
    }
    assert_eq!(near.delivers(), Delivery::InOrder);
    assert_eq!(near.peer_address(), None);
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_at_a_bound() {
    let (mut near, mut far) = memory::pair();
    assert_eq!(fill(&mut near, &data(16, 1)), HANDLE_QUEUE);
    assert_eq!(near.start_send(data(16, 1)), Err(TransportError::NotReady));
    let (sent, received) = tokio::join!(send(&mut near, data(16, 2)), receive(&mut far));
    assert_eq!((sent, received), (Ok(()), Ok(Some(data(16, 1)))));
}

#[tokio::test]
async fn a_closed_end_is_read_to_its_last_record() {
    let (mut near, mut far) = memory::pair();
    send(&mut near, data(16, 1)).await.unwrap();
    close(&mut near).await.unwrap();
    assert_eq!(send(&mut near, data(16, 2)).await, Err(TransportError::Closed));
    assert_eq!(receive(&mut far).await, Ok(Some(data(16, 1))));
    assert_eq!(receive(&mut far).await, Ok(None));
    send(&mut far, data(16, 3)).await.unwrap();
    assert_eq!(receive(&mut near).await, Ok(Some(data(16, 3))));
}

#[tokio::test]
async fn a_dropped_end_ends_the_pipe_for_the_other() {
    let (near, mut far) = memory::pair();
    let wait = tokio::spawn(async move { (receive(&mut far).await, far) });
    tokio::task::yield_now().await;
    drop(near);
    let (end, mut far) = wait.await.unwrap();
    assert_eq!(end, Ok(None));
    assert_eq!(send(&mut far, data(16, 1)).await, Err(TransportError::Closed));
}

#[tokio::test]
async fn what_is_not_one_whole_record_is_refused_on_arrival() {
    let whole = data(40, 1);
    let two = Bytes::from([whole.as_ref(), whole.as_ref()].concat());
    for (sent, error) in [
        (whole.slice(..63), HeaderError::Truncated),
        (whole.slice(..20), HeaderError::Truncated),
        (Bytes::new(), HeaderError::Truncated),
        (two, HeaderError::TrailingBytes),
    ] {
        let (mut near, mut far) = memory::pair();
        send(&mut near, sent).await.unwrap();
        assert_eq!(receive(&mut far).await, Err(error.into()));
        assert_eq!(receive(&mut far).await, Ok(None));
        assert_eq!(send(&mut near, whole.clone()).await, Err(TransportError::Closed));
    }
}

#[test]
fn a_record_is_appended_and_what_stood_before_it_stays() {
    let (mut near, mut far) = memory::pair();
    let mut into = BytesMut::from(&b"before"[..]);
    assert_eq!(poll(|cx| far.poll_record(cx, &mut into)), Poll::Pending);
    near.start_send(data(16, 1)).unwrap();
    let arrival = poll(|cx| far.poll_record(cx, &mut into));
    assert_eq!(arrival, Poll::Ready(Ok(Arrival::Record)));
    assert_eq!(into, [b"before", data(16, 1).as_ref()].concat());
}

#[tokio::test]
async fn a_tap_sees_every_record_and_changes_none() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (near, mut far) = memory::pair();
    let log = seen.clone();
    let mut near: Box<dyn Transport> = Box::new(tap(near, move |direction, record: &[u8]| {
        log.lock().unwrap().push((direction, record.to_vec()));
    }));
    send(&mut near, data(16, 1)).await.unwrap();
    send(&mut far, data(17, 2)).await.unwrap();
    assert_eq!(receive(&mut far).await, Ok(Some(data(16, 1))));
    let mut into = BytesMut::from(&b"before"[..]);
    let arrival = poll(|cx| near.poll_record(cx, &mut into));
    assert_eq!(arrival, Poll::Ready(Ok(Arrival::Record)));
    assert_eq!(into, [b"before", data(17, 2).as_ref()].concat());
    close(&mut far).await.unwrap();
    assert_eq!(receive(&mut near).await, Ok(None));
    let expected =
        [(Direction::Sent, data(16, 1).to_vec()), (Direction::Received, data(17, 2).to_vec())];
    assert_eq!(*seen.lock().unwrap(), expected);
}

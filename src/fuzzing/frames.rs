//! Frames of messages, and what stands in them.

use bytes::{Bytes, BytesMut};

use crate::body::Headers;
use crate::call::{CommandBody, Demand, Failure, Item, Opening, Progress, StatusBody, StreamEnd};
use crate::channel::{ChannelName, Pattern};
use crate::limits::ACK_RANGES;
use crate::wire::LinkFrame;
use crate::wire::content::{ChannelRef, Content, ContentKind};

/// The first two bytes are a frame's type and flags; the rest is its body.
pub fn message(data: &[u8]) {
    let [kind, flags, body @ ..] = data else { return };
    let Some(Ok(frame)) = LinkFrame::decode(*kind, *flags, body) else { return };
    let is_text = match frame {
        LinkFrame::Message { content: bytes, .. } => {
            content(bytes);
            true
        }
        LinkFrame::Ack { numbers, .. } => {
            assert!(numbers.ranges().count() <= ACK_RANGES, "ranges are few");
            true
        }
        LinkFrame::Subscribe { pattern, .. } => {
            let _ = Pattern::decode(pattern);
            str::from_utf8(pattern).is_ok()
        }
        LinkFrame::Name { name, .. } | LinkFrame::Channel { name, .. } => {
            let _ = ChannelName::decode(name);
            str::from_utf8(name).is_ok()
        }
        _ => true,
    };
    let fits = u16::try_from(body.len());
    if let (true, Ok(length)) = (is_text, fits) {
        let [high, low] = length.to_be_bytes();
        let mut written = BytesMut::new();
        frame.encode(&mut written);
        assert_eq!(written, [&[*kind, *flags, high, low], body].concat(), "one encoding");
    }
}

fn content(bytes: &[u8]) {
    let Ok(content) = Content::decode(bytes) else { return };
    let mut written = BytesMut::new();
    content.encode(&mut written);
    assert_eq!(written, bytes, "a content has one encoding");
    if let Some(ChannelRef::Name(name)) = content.channel {
        let _ = ChannelName::decode(name);
    }
    if let Some(Ok(headers)) = content.headers.map(Headers::from_slice) {
        let read = headers.to_bytes().map(|bytes| Headers::from_slice(&bytes));
        assert_eq!(read.unwrap_or(Ok(Headers::new())), Ok(headers), "headers come back");
    }
    let payload = Bytes::copy_from_slice(content.payload);
    let written = match content.kind {
        ContentKind::Request if content.stream => {
            Opening::decode(&payload).map(|read| read.encode())
        }
        ContentKind::Event | ContentKind::Request => return,
        ContentKind::Response => StreamEnd::decode(&payload).map(|read| read.encode()),
        ContentKind::Item => Item::decode(&payload).map(|read| read.encode()),
        ContentKind::Progress => Progress::decode(&payload).map(|read| read.encode()),
        ContentKind::Failure => Failure::decode(&payload).map(|read| read.encode()),
        ContentKind::Command => CommandBody::decode(&payload).map(|read| read.encode()),
        ContentKind::Status => StatusBody::decode(&payload).map(|read| read.encode()),
        ContentKind::Demand => Demand::decode(&payload).map(Demand::encode),
    };
    if let Ok(written) = written {
        assert_eq!(written, payload, "a payload has one encoding");
    }
}

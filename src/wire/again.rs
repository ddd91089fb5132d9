//! A frame that was read, written again: for the fuzzer and for tests, as honest code writes what it knows.
//! Exists behind the private feature `__fuzz` and in tests only.

use bytes::BytesMut;

use super::message::{
    CLASSES, HandledNumbers, LinkFrame, Resume, put_ack, put_cancel, put_channel, put_channel_done,
    put_credit, put_first_chunk, put_message, put_name, put_next_chunk, put_outcome, put_resume,
    put_subscribe, put_subscribed, put_subscription_credit, put_unsubscribe, put_void,
};

impl LinkFrame<'_> {
    /// Appends the frame. A name or pattern that is not text is left out: only text is written.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match *self {
            LinkFrame::Message { label, content } => put_message(&label, content, out),
            LinkFrame::FirstChunk { label, total, last, data } => {
                put_first_chunk(&label, total, last, data, out);
            }
            LinkFrame::NextChunk { class, offset, last, data } => {
                put_next_chunk(class, offset, last, data, out);
            }
            LinkFrame::Ack { class, level, numbers } => {
                let ranges: Vec<_> = numbers.ranges().collect();
                put_ack(class, level, numbers.through, &ranges, out);
            }
            LinkFrame::Outcome { class, number, code, detail } => {
                put_outcome(class, number, code, detail, out);
            }
            LinkFrame::Credit { class, messages, bytes } => put_credit(class, messages, bytes, out),
            LinkFrame::SubscriptionCredit { subscription, messages, bytes } => {
                put_subscription_credit(subscription, messages, bytes, out);
            }
            LinkFrame::Cancel { correlation, reason } => put_cancel(correlation, reason, out),
            LinkFrame::Void { class, first, last } => put_void(class, first, last, out),
            LinkFrame::Resume(Resume { outbox, inbox, known, message_bytes, handled }) => {
                let ranges = handled.map(|numbers| numbers.ranges().collect::<Vec<_>>());
                let mut told: [HandledNumbers<'_>; CLASSES] = [(0, &[]); CLASSES];
                for (told, (numbers, ranges)) in told.iter_mut().zip(handled.iter().zip(&ranges)) {
                    *told = (numbers.through, ranges);
                }
                put_resume(&outbox, &inbox, &known, message_bytes, told, out);
            }
            LinkFrame::Subscribe { subscription, messages, bytes, pattern } => {
                put_subscribe(subscription, messages, bytes, text(pattern), out);
            }
            LinkFrame::Unsubscribe { subscription } => put_unsubscribe(subscription, out),
            LinkFrame::Subscribed { subscription, code } => put_subscribed(subscription, code, out),
            LinkFrame::Name { alias, name } => put_name(alias, text(name), out),
            LinkFrame::Channel { request, op, name } => put_channel(request, op, text(name), out),
            LinkFrame::ChannelDone { request, code } => put_channel_done(request, code, out),
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

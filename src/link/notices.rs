//! The link's own small frames that wait for the next record. Bounded: what a peer can ask for is
//! counted, and credit counts in totals, of which the newest alone is said.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use super::error::LinkError;
use super::event::ChannelChange;
use super::subscriptions::Subscriptions;
use crate::channel::ChannelName;
use crate::delivery::credit::{Amount, Scope};
use crate::limits::NOTICES;
use crate::priority::Class;
use crate::session::RecordWriter;
use crate::wire::message::{
    put_cancel, put_channel, put_channel_done, put_credit, put_outcome, put_subscribe,
    put_subscribed, put_subscription_credit, put_unsubscribe,
};

/// One frame that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    Subscribe(u32),
    Unsubscribe(u32),
    Subscribed {
        subscription: u32,
        code: u16,
    },
    Cancel {
        correlation: u64,
        reason: u16,
    },
    Managed {
        request: u32,
        code: u16,
    },
    /// The fate of a message whose number another one has.
    Result {
        class: Class,
        number: u64,
        code: u16,
    },
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    /// In the order in which they arose.
    waiting: VecDeque<Notice>,
    /// What this side wants of channels.
    wishes: VecDeque<(u32, ChannelChange, ChannelName)>,
    /// What CREDIT has to say. Goes behind all others, so that a peer that may send knows the
    /// subscriptions that there are.
    credit: BTreeMap<Scope, Amount>,
}

/// Bytes of the largest of these frames: a SUBSCRIBE with a pattern of 255 bytes.
const LARGEST: usize = 4 + 20 + 256;

impl Notices {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.wishes.is_empty() && self.credit.is_empty()
    }

    #[cfg(feature = "__fuzz")]
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.wishes.len() + self.credit.len()
    }

    /// Something this side wants.
    pub(super) fn push(&mut self, notice: Notice) {
        self.waiting.push_back(notice);
    }

    /// Something the peer asked for.
    ///
    /// # Errors
    ///
    /// [`LinkError::Flood`] if too much waits.
    pub(super) fn answer(&mut self, notice: Notice) -> Result<(), LinkError> {
        if self.waiting.len() >= NOTICES {
            return Err(LinkError::Flood);
        }
        self.waiting.push_back(notice);
        Ok(())
    }

    /// Something this side wants of a channel.
    pub(super) fn wish(&mut self, request: u32, change: ChannelChange, channel: ChannelName) {
        self.wishes.push_back((request, change, channel));
    }

    /// The newest total of a scope, if there is one.
    pub(super) fn grant(&mut self, scope: Scope, total: Option<Amount>) {
        if let Some(total) = total {
            self.credit.insert(scope, total);
        }
    }

    /// A subscription is gone: nothing more is said of it but that.
    pub(super) fn forget(&mut self, subscription: u32) {
        self.credit.remove(&Scope::Subscription(subscription));
        self.waiting.retain(|notice| *notice != Notice::Subscribe(subscription));
    }

    /// The session is gone.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Writes as many as fit.
    pub(super) fn write(&mut self, subscriptions: &Subscriptions, record: &mut RecordWriter<'_>) {
        while record.room() >= LARGEST
            && let Some(notice) = self.waiting.pop_front()
        {
            record.frames(LARGEST, |out| put(notice, subscriptions, out));
        }
        while record.room() >= LARGEST
            && let Some((request, change, channel)) = self.wishes.pop_front()
        {
            record.frames(LARGEST, |out| put_channel(request, change as u8, channel.as_str(), out));
        }
        while record.room() >= LARGEST
            && self.waiting.is_empty()
            && let Some((scope, Amount { messages, bytes })) = self.credit.pop_first()
        {
            record.frames(LARGEST, |out| match scope {
                Scope::Class(class) => put_credit(class, messages, bytes, out),
                Scope::Subscription(id) => put_subscription_credit(id, messages, bytes, out),
            });
        }
    }
}

fn put(notice: Notice, subscriptions: &Subscriptions, out: &mut BytesMut) {
    match notice {
        Notice::Subscribe(id) => {
            if let Some((pattern, Amount { messages, bytes })) = subscriptions.offer(id) {
                put_subscribe(id, messages, bytes, pattern.as_str(), out);
            }
        }
        Notice::Unsubscribe(id) => put_unsubscribe(id, out),
        Notice::Subscribed { subscription, code } => put_subscribed(subscription, code, out),
        Notice::Managed { request, code } => put_channel_done(request, code, out),
        Notice::Cancel { correlation, reason } => put_cancel(correlation, reason, out),
        Notice::Result { class, number, code } => put_outcome(class, number, code, 0, out),
    }
}

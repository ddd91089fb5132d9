//! One connection between an agent and the backend, and what somebody on the path does to it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;

use super::backend::Attachment;
use super::cast::Finish;
use crate::time::Instant;

/// What is on its way.
pub(super) enum Parcel {
    Finish(Finish),
    Record(Letter),
    /// The other side is gone.
    End,
}

pub(super) struct Letter {
    pub(super) record: BytesMut,
    /// Its place among the records that were sent.
    pub(super) place: u64,
    /// Somebody changed it, or made it.
    pub(super) is_forged: bool,
}

/// One direction.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) parcels: VecDeque<Parcel>,
    /// When the last of them arrives.
    pub(super) last: Instant,
    /// Records that were sent.
    pub(super) sent: u64,
    /// Position under which the last one was sealed.
    pub(super) sealed: Option<(u32, u64)>,
    /// The place of the record that comes next. `None`: none came yet, so any may.
    pub(super) next: Option<u64>,
    /// Nothing gets through any more, and nobody is told.
    pub(super) is_dead: bool,
    /// A record that went by, to be sent again.
    pub(super) old: Option<BytesMut>,
    /// Records were lost before the first one came.
    pub(super) has_gap: bool,
}

pub(super) struct Conn {
    pub(super) agent: usize,
    /// To the agent, to the backend.
    pub(super) lanes: [Lane; 2],
    /// Whether that side still holds it.
    pub(super) open: [bool; 2],
    pub(super) latency: Duration,
    /// Bytes a second.
    pub(super) rate: u64,
    /// Records that one direction buffers.
    pub(super) depth: usize,
    /// At the backend.
    pub(super) attachment: Option<Attachment>,
    pub(super) is_hostile: bool,
}

impl Conn {
    pub(super) fn lane(&mut self, to: usize) -> &mut Lane {
        let [agent, backend] = &mut self.lanes;
        if to == 0 { agent } else { backend }
    }

    pub(super) fn is_open(&self, side: usize) -> bool {
        let [agent, backend] = self.open;
        if side == 0 { agent } else { backend }
    }

    pub(super) fn shut(&mut self, side: usize) {
        let [agent, backend] = &mut self.open;
        *(if side == 0 { agent } else { backend }) = false;
    }

    /// When something of so many bytes that leaves now arrives.
    pub(super) fn arrival(&mut self, now: Instant, to: usize, bytes: usize) -> Instant {
        let latency = self.latency;
        let span = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.rate.max(1));
        let lane = self.lane(to);
        lane.last = lane.last.max(now.after(latency)).after(span);
        lane.last
    }
}

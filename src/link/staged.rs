//! A peer that seals what it likes, and counts of what a link holds, for the fuzzer.
//! Exists behind the private feature `__fuzz` only.

use bytes::{BufMut, BytesMut};

use super::life::Link;
use crate::time::Now;

/// What a link holds in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    pub events: usize,
    /// Messages of the outbox, and their bytes.
    pub outbox: (usize, usize),
    pub queue: usize,
    /// Messages that the application has.
    pub held: usize,
    pub aliases: usize,
    pub reassembly_bytes: usize,
    pub datagrams: usize,
}

impl Link {
    /// A record of these frames under the keys of this side, whatever they say. `None` without a
    /// session that may send, or if they do not fit.
    pub(crate) fn forge(&mut self, now: Now, frames: &[u8]) -> Option<BytesMut> {
        let session = self.session.as_mut().filter(|session| session.is_accepted())?;
        let mut out = BytesMut::new();
        let mut record = session.record(now.instant, &mut out).ok()?;
        let fits = record.frames(frames.len(), |out| out.put_slice(frames));
        if !fits || record.used() == 0 {
            return None;
        }
        record.seal();
        Some(out)
    }

    pub(crate) fn holdings(&self) -> Holds {
        Holds {
            events: self.events.len(),
            outbox: self.outbound.outbox.load(),
            queue: self.outbound.queue.len(),
            held: self.inbound.holds(),
            aliases: self.inbound.aliases.len(),
            reassembly_bytes: self.inbound.reassembly.held_bytes(),
            datagrams: self.datagrams,
        }
    }
}

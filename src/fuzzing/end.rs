//! One end of a live pair: what was seen of it from outside, and what that allows.

use std::collections::{BTreeSet, VecDeque};

use bytes::BytesMut;

use crate::ids::{LinkId, Role};
use crate::limits::REPLAY_WINDOW;
use crate::session::{Event, FrameError, Observation, OpenError, Session, observe};

/// Records that lie on the way to one side at most, and as many that lay there once.
pub(super) const ON_THE_WAY: usize = 16;
/// Kinds of events: as many may wait.
const EVENTS: usize = 11;

/// One end, and what was seen of it from outside.
pub(super) struct End {
    pub session: Session,
    pub role: Role,
    /// The link id of the other end.
    pub remote: LinkId,
    /// Records on their way here, oldest first.
    pub inbox: VecDeque<Letter>,
    /// Records that were on their way here once.
    pub past: VecDeque<Letter>,
    /// Positions that were opened here.
    pub opened: BTreeSet<u64>,
    /// Marks of the datagrams that came here in genuine records.
    pub marks: BTreeSet<u64>,
    /// Epoch and position of the record that was sealed last.
    pub sealed: Option<(u32, u64)>,
    pub said_close: bool,
}

/// A record on its way.
#[derive(Clone)]
pub(super) struct Letter {
    pub record: BytesMut,
    pub genuine: bool,
}

impl End {
    pub(super) fn new(session: Session, role: Role, remote: LinkId) -> Self {
        Self {
            session,
            role,
            remote,
            inbox: VecDeque::new(),
            past: VecDeque::new(),
            opened: BTreeSet::new(),
            marks: BTreeSet::new(),
            sealed: None,
            said_close: false,
        }
    }

    /// The position after the highest one opened.
    pub(super) fn next(&self) -> u64 {
        self.opened.last().map_or(0, |last| last + 1)
    }

    pub(super) fn is_alive(&self) -> bool {
        observe(&self.session).is_alive()
    }

    pub(super) fn receive(&mut self, letter: Letter) {
        if self.inbox.len() == ON_THE_WAY {
            self.inbox.pop_front();
        }
        self.inbox.push_back(letter);
    }

    pub(super) fn remember(&mut self, letter: Letter) {
        if self.past.len() == ON_THE_WAY {
            self.past.pop_front();
        }
        self.past.push_back(letter);
    }

    /// What a position deserves that no other check refuses.
    pub(super) fn verdict(&self, seq: u64) -> Option<OpenError> {
        if seq + REPLAY_WINDOW < self.next() {
            Some(OpenError::TooOld)
        } else {
            self.opened.contains(&seq).then_some(OpenError::Replayed)
        }
    }

    /// Takes all events; returns whether a seed is wanted.
    pub(super) fn drain(&mut self) -> bool {
        let (mut wants, mut count) = (false, 0);
        while let Some(event) = self.session.poll_event() {
            count += 1;
            wants |= event == Event::WantsSeed;
            assert!(count <= EVENTS, "events pile up");
        }
        wants
    }
}

pub(super) fn mark_of(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|mark| u64::from_be_bytes(*mark))
}

/// Whether a record was refused before anyone had proven anything.
pub(super) fn is_unauthenticated(result: Result<(), OpenError>) -> bool {
    !matches!(
        result,
        Ok(())
            | Err(OpenError::Frame(_)
                | OpenError::Credential(_)
                | OpenError::BadSignatures
                | OpenError::SignedTooOften
                | OpenError::AeadLimit)
    )
}

pub(super) fn assert_unchanged(
    before: &Observation,
    after: &Observation,
    result: Result<(), OpenError>,
) {
    assert!(before == after, "{result:?} changed {before:?} into {after:?}");
}

/// A record that was begun and not sealed takes nothing of what waits; it may add the
/// announcement of an epoch.
pub(super) fn assert_kept(before: &Observation, session: &Session) {
    assert!(observe(session).waiting || !before.waiting, "frames of the session are lost");
}

/// What a record that the peer sealed may come to while nobody lied to either end: it is authentic,
/// and breaks no rule but the one that ACCEPT comes first.
pub(super) fn assert_honest(result: Result<(), OpenError>, before: &Observation) {
    let fits = match result {
        Ok(()) => true,
        // ACCEPT comes first.
        Err(OpenError::Frame(FrameError::Misplaced(_)) | OpenError::UnexpectedRecord) => {
            before.is_unaccepted()
        }
        Err(error) => matches!(
            error,
            OpenError::Closed
                | OpenError::Replayed
                | OpenError::TooOld
                | OpenError::OrderViolation
                | OpenError::EpochUnknown
                | OpenError::Credential(_)
        ),
    };
    assert!(fits, "an honest record came to {result:?}");
}

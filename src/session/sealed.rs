//! An established session: what it is, its timers, and its end. Sealing is in `record`, opening in
//! `open`, what opened frames do in `frames`.

use std::sync::Arc;
use std::time::Duration;

use super::attachment::{Attachment, Order};
use super::chain::Continuity;
use super::config::Config;
use super::control::{Accept, Control};
use super::event::{Event, Events};
use super::keys::{SessionKeys, export};
use super::receiving::Receiving;
use super::rekey::Rekey;
use super::sending::Sending;
use super::side::Side;
use super::verifier::Peer;
use crate::crypto::{Digest, ExportError, Secret, Suite};
use crate::ids::{Generation, LinkId, PeerId, SessionId};
use crate::limits::{CLOCK_SKEW, SESSION_IDLE_TIME};
use crate::time::{Instant, Now};
use crate::wire::CloseCode;

/// A session between two proven parties. Seals what goes out, opens what comes in, each record
/// once.
///
/// Not `Clone`, and its keys cannot be stored: a copy would seal two records under one nonce. A
/// process that forks or is restored from a snapshot begins a new session.
pub struct Session {
    pub(super) config: Arc<Config>,
    pub(super) side: Side,
    pub(super) suite: Suite,
    /// What the peer writes to.
    pub(super) link: LinkId,
    /// What this side writes to.
    pub(super) remote: LinkId,
    pub(super) peer: Peer,
    /// Whom the peer's credential is for; none if it proved a bare key.
    pub(super) peer_subject: Option<PeerId>,
    pub(super) peer_record_bytes: usize,
    pub(super) id: SessionId,
    pub(super) binding: Digest,
    /// None once it is erased.
    exporter: Option<Secret>,
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
    pub(super) attachment: Attachment,
    pub(super) control: Control,
    pub(super) rekey: Rekey,
    pub(super) events: Events,
    pub(super) phase: Phase,
    pub(super) resumed: bool,
    /// What the responder would say to show that it lost the session.
    pub(super) reset_token: Option<Secret<16>>,
    pub(super) forgeries: u64,
    pub(super) heard: Instant,
    pub(super) wall: Now,
    /// When the peer's admission runs out, on the steady clock.
    pub(super) expires: Option<Instant>,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Initiator: the responder has not accepted yet.
    Unaccepted,
    /// Responder: the initiator has not shown yet that it has the session's keys.
    Unconfirmed,
    Open,
    /// CLOSE waits to be sealed; nothing else is.
    Closing,
    Closed,
}

/// What a handshake hands to its session besides keys.
pub(super) struct Opening {
    pub side: Side,
    pub suite: Suite,
    pub link: LinkId,
    pub remote: LinkId,
    pub peer: Peer,
    pub subject: Option<PeerId>,
    pub record_bytes: usize,
    pub resumed: bool,
}

impl Session {
    pub(super) fn new(
        config: Arc<Config>,
        opening: Opening,
        keys: SessionKeys,
        accept: Option<(Generation, Secret<16>)>,
        now: Now,
    ) -> Self {
        let (session, resumed) = (keys.id.0, opening.resumed);
        let accept = accept.map(|(generation, reset_token)| Accept {
            session,
            generation: generation.0,
            resumed,
            reset_token,
        });
        let side = opening.side;
        let phase = match side {
            Side::Initiator => Phase::Unaccepted,
            Side::Responder => Phase::Unconfirmed,
        };
        let mut session = Self {
            config,
            side,
            suite: opening.suite,
            link: opening.link,
            remote: opening.remote,
            peer: opening.peer,
            peer_subject: opening.subject,
            peer_record_bytes: opening.record_bytes,
            id: keys.id,
            binding: keys.transcript,
            sending: Sending::new(keys.traffic(side)),
            receiving: Receiving::new(keys.traffic(side.other())),
            exporter: Some(keys.exporter),
            attachment: Attachment::new(Order::Strict),
            control: Control { accept, ..Control::default() },
            rekey: Rekey::new(side, keys.rekey, keys.transcript, now.instant),
            events: Events::default(),
            phase,
            resumed,
            reset_token: None,
            forgeries: 0,
            heard: now.instant,
            wall: now,
            expires: None,
        };
        session.set_expiry();
        session
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The session's name, the same at both ends.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The suite in use.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether an earlier session's chain was continued.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The link id that incoming records carry.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Whether both ends are known to hold the session's keys.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the peer is known to have the session: an initiator waits for ACCEPT.
    pub(crate) fn is_accepted(&self) -> bool {
        !matches!(self.phase, Phase::Unaccepted)
    }

    /// Whether nothing may be sealed yet. What an initiator says confirms its new chain to the
    /// responder, and it may still give this handshake up for one from the chain before
    /// (proto-spec [C-14]).
    pub(crate) fn is_mute(&self) -> bool {
        self.side == Side::Initiator
            && self.config.continuity != Continuity::Off
            && self.sending.heard_nothing()
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What no other session has: a hash of the whole handshake, to bind something else to it.
    #[must_use]
    pub fn binding(&self) -> [u8; 32] {
        self.binding.0
    }

    /// Fills `out` with keying material that only the two ends of this session can derive.
    ///
    /// # Errors
    ///
    /// [`ExportError::Length`] beyond 8 160 bytes, or under a label that is empty or longer than 245;
    /// [`ExportError::Erased`] once the session is over.
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        let exporter = self.exporter.as_ref().ok_or(ExportError::Erased)?;
        export(exporter, label, context, out)
    }

    /// Bytes of frames that one record to the peer holds.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.peer_record_bytes
    }

    /// A new transport carries the session from here on. Both ends must still hold the session; a
    /// process that lost it begins a new one.
    pub fn attach(&mut self, order: Order) {
        self.attachment = Attachment::new(order);
    }

    /// What the transport in use promises.
    #[must_use]
    pub fn order(&self) -> Order {
        self.attachment.order()
    }

    /// Asks the peer for a sign of life; [`Event::Pong`] brings `value` back.
    pub fn ping(&mut self, value: u64) {
        self.control.ping = Some(value);
    }

    /// Tells the peer that this side goes away, and when to come back.
    pub fn go_away(&mut self, retry_after: Duration, spread: Duration) {
        self.control.go_away = Some((millis(retry_after), millis(spread)));
    }

    /// Ends the session. The next record tells the peer; after it, nothing is sealed or opened. Keys
    /// are erased: what opens records at once, what seals them with that record. An initiator that
    /// heard nothing of the responder yet has nobody to tell.
    pub fn close(&mut self, code: CloseCode, retry_after: Duration) {
        if self.is_mute() {
            self.finish();
        } else if !matches!(self.phase, Phase::Closed) {
            self.control = Control {
                close: Some((code, millis(retry_after))),
                accept: self.control.accept.take(),
                ..Control::default()
            };
            self.phase = Phase::Closing;
            self.erase_all_but_sending();
        }
    }

    /// Whether nothing but a CLOSE may still be sealed, and nothing opened.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Closing)
    }

    /// The session is over, and holds no key from here on.
    pub(super) fn finish(&mut self) {
        self.phase = Phase::Closed;
        self.control = Control::default();
        self.sending.erase();
        self.erase_all_but_sending();
    }

    /// Erases what a session that is closing does not need for its CLOSE.
    fn erase_all_but_sending(&mut self) {
        self.receiving.erase();
        self.rekey.erase();
        self.exporter = None;
        self.reset_token = None;
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.rekey.takes_wish() {
            self.events.push(Event::WantsSeed);
        }
        self.events.pop()
    }

    /// When [`Session::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let idle = self.heard.after(SESSION_IDLE_TIME);
        let others = [self.expires, self.receiving.erase_at(), self.rekey.poll_timeout()];
        others.into_iter().flatten().chain([idle]).min()
    }

    /// Does what is due at `now`. Calling it early or late is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        self.receiving.erase_due(now);
        if now >= self.heard.after(SESSION_IDLE_TIME) {
            self.end(CloseCode::TimedOut);
        } else if self.expires.is_some_and(|at| now >= at) {
            self.end(CloseCode::CredentialExpired);
        } else {
            self.rekey_timeout(now);
        }
    }

    /// Ends the session by this side's own rules.
    pub(super) fn end(&mut self, code: CloseCode) {
        self.close(code, Duration::ZERO);
        self.events.push(Event::Ended(code));
    }

    /// Turns the end of the peer's admission into a moment on the steady clock.
    pub(super) fn set_expiry(&mut self) {
        let wall = self.wall;
        self.expires = self
            .peer
            .not_after
            .map(|end| wall.instant.after(wall.unix.until(end.after(CLOCK_SKEW))));
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("peer", &self.peer.id)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

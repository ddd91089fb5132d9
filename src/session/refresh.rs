//! A new credential inside the session: the same identity, admitted for longer.

use bytes::{BufMut, BytesMut};

use super::config::claim_of;
use super::control::SMALL_FRAMES_BYTES;
use super::credential::Credentials;
use super::error::RefreshError;
use super::event::Event;
use super::sealed::Session;
use super::verifier::{Asked, Claim};
use crate::crypto::{Digest, hash};
use crate::time::{Instant, Now, UnixTime};
use crate::wire::{FRAME_HEADER_BYTES, FrameKind, begin_frame, put_lv16};

impl Session {
    /// Presents a new credential of this side's identity. The peer's session then lasts as long as
    /// it does.
    ///
    /// # Errors
    ///
    /// [`RefreshError::OtherIdentity`] if it is for another key, and [`RefreshError::TooLarge`] if
    /// no record to the peer holds it.
    pub fn refresh(&mut self, credentials: &Credentials) -> Result<(), RefreshError> {
        let identity = &self.config.identity;
        if credentials.leaf.key() != identity.public_key() {
            return Err(RefreshError::OtherIdentity);
        }
        let claim = claim_of(credentials);
        let needed = FRAME_HEADER_BYTES + 2 + claim.len() + 64 + SMALL_FRAMES_BYTES;
        if needed > self.peer_record_bytes {
            return Err(RefreshError::TooLarge(needed, self.peer_record_bytes));
        }
        let context = self.side.refresh_context();
        let signature = identity.sign(context, &statement(&self.binding, &claim));
        let mut frame = BytesMut::with_capacity(claim.len() + 128);
        begin_frame(&mut frame, FrameKind::Credential, 0, 2 + claim.len() + signature.len());
        put_lv16(&mut frame, &claim);
        frame.put_slice(&signature);
        self.control.credential = Some(frame.freeze());
        Ok(())
    }

    pub(super) fn hear_credential(
        &mut self,
        now: Instant,
        identity: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), RefreshError> {
        let claim = Claim::decode(identity).map_err(|_| RefreshError::NotACredential)?;
        let Claim::Credentials(presented) = &claim else {
            return Err(RefreshError::NotACredential);
        };
        let same_identity = claim.key() == &self.peer.key
            && Some(presented.leaf.subject()) == self.peer_subject.as_ref()
            && presented.leaf.realm() == &self.config.realm;
        if !same_identity {
            return Err(RefreshError::OtherIdentity);
        }
        let context = self.side.other().refresh_context();
        let statement = statement(&self.binding, identity);
        let genuine = self.peer.key.verify(context, &statement, signature);
        genuine.map_err(|_| RefreshError::BadSignature)?;
        let wall = self.wall_at(now);
        let asked = Asked { realm: &self.config.realm, role: self.peer.role, now: wall.unix };
        let peer = self.config.peer.admit(&claim, &asked).map_err(RefreshError::Refused)?;
        self.peer.not_after = peer.not_after;
        self.peer.labels = peer.labels;
        self.set_expiry();
        self.events.push(Event::CredentialRefreshed);
        Ok(())
    }

    /// The wall clock of the handshake, moved on by the steady one, so that no jump of it counts.
    fn wall_at(&self, now: Instant) -> Now {
        let passed = now.since(self.wall.instant);
        Now { instant: now, unix: UnixTime::after(self.wall.unix, passed) }
    }
}

fn statement(binding: &Digest, identity: &[u8]) -> Digest {
    hash(&[&binding.0, identity])
}

//! The key schedule of a handshake, and what of it a session keeps. The order of secrets and labels
//! is proto-spec 03's, line by line.

use super::side::Side;
use crate::crypto::{Digest, ExportError, Secret, Suite, extract, hash, mac, same};
use crate::ids::{Realm, Role, SessionId};

/// `H(suite name, prologue)`: the transcript before anything was said.
pub(super) fn transcript_start(suite: Suite, realm: &Realm, initiator: Role) -> Digest {
    let prologue = hash(&[
        b"waxwire/1",
        realm.as_str().as_bytes(),
        &[initiator.byte()],
        &[initiator.opposite().byte()],
    ]);
    hash(&[suite.name().as_bytes(), &prologue.0])
}

/// The secret that proves knowledge of a chain, and that a new handshake starts from.
pub(super) struct Early(Secret);

impl Early {
    pub(super) fn new(chain: Option<&Secret>) -> Self {
        Self(extract(&[0; 32], chain.map_or(&[0; 32][..], |chain| chain.bytes())))
    }

    /// The binder of a HELLO whose bytes before the resume list are `before`.
    pub(super) fn binder(&self, before: &[u8], rid: &[u8; 16]) -> [u8; 32] {
        let key = self.0.derive("bind", b"");
        mac(key.bytes(), &[&hash(&[before, rid]).0])
    }
}

/// The secrets between REPLY and the end of the handshake.
pub(super) struct HandshakeKeys {
    root: Secret,
    clear: Digest,
}

impl HandshakeKeys {
    /// `clear` is the transcript up to and including the clear part of REPLY.
    pub(super) fn new(early: &Early, shared: &[u8], clear: Digest) -> Self {
        let root = extract(early.0.derive("derived", b"").bytes(), shared);
        Self { root, clear }
    }

    /// The key that seals `side`'s block.
    pub(super) fn sealing(&self, side: Side) -> Secret {
        self.root.derive(side.handshake_label(), &self.clear.0)
    }

    /// What `side` finishes its block with, over `transcript`.
    pub(super) fn finished(&self, side: Side, transcript: &Digest) -> [u8; 32] {
        let key = self.root.derive(side.finished_label(), &self.clear.0);
        mac(key.bytes(), &[&transcript.0])
    }

    pub(super) fn is_finished(&self, side: Side, transcript: &Digest, finished: &[u8; 32]) -> bool {
        same(&self.finished(side, transcript), finished)
    }

    /// The secrets of the session that ends in `transcript`.
    pub(super) fn session(&self, transcript: Digest) -> SessionKeys {
        let master = extract(self.root.derive("derived", b"").bytes(), &[0; 32]);
        SessionKeys {
            initiator: master.derive(Side::Initiator.traffic_label(), &transcript.0),
            responder: master.derive(Side::Responder.traffic_label(), &transcript.0),
            chain: master.derive("chain", &transcript.0),
            exporter: master.derive("exp", &transcript.0),
            id: SessionId(master.derive_bytes("sid", &transcript.0)),
            rekey: master.derive("derived", b""),
            transcript,
        }
    }
}

/// What a handshake leaves.
pub(super) struct SessionKeys {
    pub initiator: Secret,
    pub responder: Secret,
    pub chain: Secret,
    pub exporter: Secret,
    pub id: SessionId,
    /// What the next root is made from.
    pub rekey: Secret,
    /// The whole handshake.
    pub transcript: Digest,
}

impl SessionKeys {
    pub(super) fn traffic(&self, side: Side) -> Secret {
        match side {
            Side::Initiator => self.initiator.duplicate(),
            Side::Responder => self.responder.duplicate(),
        }
    }
}

/// The secrets that a key exchange in band leads to.
pub(super) struct RekeyedKeys {
    pub initiator: Secret,
    pub responder: Secret,
    pub rekey: Secret,
    pub transcript: Digest,
}

impl RekeyedKeys {
    pub(super) fn new(rekey: &Secret, shared: &[u8], transcript: Digest) -> Self {
        let root = extract(rekey.bytes(), shared);
        Self {
            initiator: root.derive(Side::Initiator.traffic_label(), &transcript.0),
            responder: root.derive(Side::Responder.traffic_label(), &transcript.0),
            rekey: root.derive("derived", b""),
            transcript,
        }
    }

    pub(super) fn traffic(&self, side: Side) -> Secret {
        match side {
            Side::Initiator => self.initiator.duplicate(),
            Side::Responder => self.responder.duplicate(),
        }
    }
}

/// Keying material for uses outside the session.
pub(super) fn export(
    exporter: &Secret,
    label: &str,
    context: &[u8],
    out: &mut [u8],
) -> Result<(), ExportError> {
    if label.len() > 245 {
        return Err(ExportError);
    }
    exporter.derive(label, b"").expand("exporter", &hash(&[context]).0, out)
}

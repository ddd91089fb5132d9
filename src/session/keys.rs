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
    if !(1..=245).contains(&label.len()) {
        return Err(ExportError::Length);
    }
    exporter.derive(label, b"").expand("exporter", &hash(&[context]).0, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THC: Digest = Digest([1; 32]);
    const TH3: Digest = Digest([3; 32]);
    const SHARED: &[u8] = &[5; 64];

    /// proto-spec 01-terms, 1.6.
    #[test]
    fn the_transcript_begins_with_the_suite_the_realm_and_the_roles() {
        let start = |suite, realm, role| {
            let realm = Realm::new(realm).expect("a name");
            hex::encode(transcript_start(suite, &realm, role).0)
        };
        let hybrid = "3f7e09c2a33e3b4c008b3882f1218b29861484fea2e37eb2bf3229b7d9a9b187";
        let classical = "1d9b90e7cb6e953ec8d5f6b55bd2235e18b07f4dfefe3065c4658423a14a5830";
        assert_eq!(start(Suite::Hybrid, "stage", Role::Agent), hybrid);
        assert_eq!(start(Suite::Classical, "stage", Role::Agent), classical);
        assert_ne!(start(Suite::Hybrid, "stage", Role::Backend), hybrid);
        assert_ne!(start(Suite::Hybrid, "prod", Role::Agent), hybrid);
    }

    /// proto-spec 01-terms, 1.6; 03-handshake, 3.1.
    #[test]
    fn a_handshake_starts_from_its_chain_or_from_zeros() {
        let early = Early::new(None);
        let zeros = "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a";
        assert_eq!(hex::encode(early.0.bytes()), zeros);
        let chain = Secret::new([9; 32]);
        let chained = Early::new(Some(&chain));
        assert_eq!(chained.0.bytes(), extract(&[0; 32], &[9; 32]).bytes());
        let bind = chained.0.derive("bind", b"");
        let binder = mac(bind.bytes(), &[&hash(&[b"before", &[2; 16]]).0]);
        assert_eq!(chained.binder(b"before", &[2; 16]), binder);
        assert_ne!(early.binder(b"before", &[2; 16]), binder);
    }

    /// proto-spec 03-handshake, 3.6, line by line.
    #[test]
    fn the_schedule_is_the_one_of_the_page() {
        let early = Early::new(None);
        let hs = extract(early.0.derive("derived", b"").bytes(), SHARED);
        let keys = HandshakeKeys::new(&early, SHARED, THC);
        for (side, sealing, finished, traffic) in
            [(Side::Initiator, "i hs", "i fin", "i ap"), (Side::Responder, "r hs", "r fin", "r ap")]
        {
            assert_eq!(keys.sealing(side).bytes(), hs.derive(sealing, &THC.0).bytes());
            let expected = mac(hs.derive(finished, &THC.0).bytes(), &[&TH3.0]);
            assert_eq!(keys.finished(side, &TH3), expected);
            assert!(keys.is_finished(side, &TH3, &expected));
            assert!(!keys.is_finished(side, &THC, &expected));
            assert!(!keys.is_finished(side.other(), &TH3, &expected));
            let ms = extract(hs.derive("derived", b"").bytes(), &[0; 32]);
            let session = keys.session(TH3);
            assert_eq!(session.traffic(side).bytes(), ms.derive(traffic, &TH3.0).bytes());
            assert_eq!(session.chain.bytes(), ms.derive("chain", &TH3.0).bytes());
            assert_eq!(session.exporter.bytes(), ms.derive("exp", &TH3.0).bytes());
            assert_eq!(session.id.0, ms.derive_bytes("sid", &TH3.0));
            assert_eq!(session.rekey.bytes(), ms.derive("derived", b"").bytes());
            assert_eq!(session.transcript, TH3);
        }
    }

    /// proto-spec 04-sealing, 4.3.
    #[test]
    fn a_rekey_leads_to_the_secrets_of_the_page() {
        let rekey = Secret::new([4; 32]);
        let root = extract(rekey.bytes(), SHARED);
        let keys = RekeyedKeys::new(&rekey, SHARED, TH3);
        let (i, r) = (root.derive("i ap", &TH3.0), root.derive("r ap", &TH3.0));
        assert_eq!(keys.traffic(Side::Initiator).bytes(), i.bytes());
        assert_eq!(keys.traffic(Side::Responder).bytes(), r.bytes());
        assert_eq!(keys.rekey.bytes(), root.derive("derived", b"").bytes());
        assert_eq!(keys.transcript, TH3);
    }

    /// proto-spec 01-terms, 1.6; [H-14].
    #[test]
    fn an_export_is_whole_or_an_error() {
        let exporter = Secret::new([0x22; 32]);
        let exported = |label: &str, length| {
            let mut out = vec![0; length];
            export(&exporter, label, b"ctx", &mut out).map(|()| out)
        };
        let expected = hex::decode("7286c70f53a5941996d6b0b3e4394b1e").expect("hex");
        assert_eq!(exported("app", 16), Ok(expected));
        assert!(exported("app", 8_160).is_ok());
        assert_eq!(exported("app", 8_161), Err(ExportError::Length));
        assert!(exported(&"l".repeat(245), 16).is_ok());
        assert!(exported("l", 16).is_ok());
        for label in ["", &"l".repeat(246), &"l".repeat(300)] {
            assert_eq!(exported(label, 16), Err(ExportError::Length), "{} bytes", label.len());
        }
    }
}

//! The knock: proof that an initiator was told about the responder, checked before anything costly.

use crate::crypto::{Fingerprint, Secret, extract, mac, same};

/// What an initiator must know to be answered at all.
///
/// It keeps strangers from costing more than one HMAC; it authenticates nobody.
pub struct Knock(Secret);

impl Knock {
    /// The knock of those who know a fingerprint: the responder's own, or its root's.
    #[must_use]
    pub fn fingerprint(fingerprint: &Fingerprint) -> Self {
        Self(extract(b"waxwire/1 knock", &fingerprint.0))
    }

    /// The knock of those who were given a secret at enrolment.
    #[must_use]
    pub fn secret(secret: &[u8; 32]) -> Self {
        Self(extract(b"waxwire/1 knock", secret))
    }

    /// The same knock for another holder.
    pub(super) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The sixteen bytes at the end of a HELLO.
    pub(crate) fn of(&self, header_and_body: &[u8]) -> [u8; 16] {
        let [knock @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            mac(self.0.bytes(), &[header_and_body]);
        knock
    }

    pub(super) fn matches(&self, header_and_body: &[u8], knock: &[u8; 16]) -> bool {
        same(&self.of(header_and_body), knock)
    }
}

impl std::fmt::Debug for Knock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Knock(..)")
    }
}

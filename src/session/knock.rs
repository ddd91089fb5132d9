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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash;

    /// proto-spec 03-handshake, 3.8, and 01-terms, 1.6.
    #[test]
    fn a_knock_is_the_front_of_a_mac_over_all_before_it() {
        let key = "908f42d8dbfa2575b3d195d0eff037ac108d74add7f65b20a7f310e195c540bd";
        let knock = Knock::secret(&[0x11; 32]);
        assert_eq!(hex::encode(knock.0.bytes()), key);
        assert_eq!(knock.of(b"hello")[..], mac(knock.0.bytes(), &[b"hello"])[..16]);
        let same = Knock::fingerprint(&Fingerprint([0x11; 32]));
        assert_eq!(same.of(b"hello"), knock.of(b"hello"));
    }

    /// proto-spec [H-25].
    #[test]
    fn a_knock_of_another_secret_or_hello_does_not_match() {
        let (knock, other) = (Knock::secret(&[1; 32]), Knock::secret(&[2; 32]));
        let right = knock.of(b"hello");
        assert!(knock.matches(b"hello", &right));
        assert!(knock.duplicate().matches(b"hello", &right));
        assert!(!knock.matches(b"hellp", &right));
        assert!(!other.matches(b"hello", &right));
        for index in 0..16 {
            let mut wrong = right;
            wrong[index] ^= 1;
            assert!(!knock.matches(b"hello", &wrong), "byte {index}");
        }
        assert_ne!(hash(&[&right]).0[..16], right);
    }

    #[test]
    fn a_knock_is_never_printed() {
        assert_eq!(format!("{:?}", Knock::secret(&[0xab; 32])), "Knock(..)");
    }
}

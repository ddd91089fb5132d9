//! The ephemeral half of a key exchange: X25519 alone, or joined with ML-KEM-768. Knows no
//! signature and no transcript; both shares must be signed by whoever uses this.

use zeroize::Zeroizing;

use super::provider;
use super::schedule::Secret;
use super::seed::Seed;
use super::stack::{DEEP, wiped};

/// A whole set of algorithms; there is no choosing among their parts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Suite {
    /// X25519 with ML-KEM-768, Ed25519, ChaCha20-Poly1305, SHA-256. The default: what is recorded
    /// today stays secret from a quantum computer.
    Hybrid,
    /// The same without ML-KEM-768, for links where 2.3 KB of handshake are too many.
    Classical,
}

const X25519_BYTES: usize = 32;
const KEM_KEY_BYTES: usize = 1_184;
const KEM_CIPHERTEXT_BYTES: usize = 1_088;

/// Why a share is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExchangeError {
    /// Its length is not the suite's.
    Length,
    /// The X25519 part forces the shared secret.
    WeakKeyShare,
    /// The ML-KEM part is no encapsulation key.
    InvalidKemKey,
    /// It is the reader's own share.
    Reflected,
}

impl Suite {
    /// The suite of a number on the wire.
    pub(crate) fn from_u16(number: u16) -> Option<Self> {
        match number {
            0x0001 => Some(Self::Hybrid),
            0x0002 => Some(Self::Classical),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn to_u16(self) -> u16 {
        match self {
            Self::Hybrid => 0x0001,
            Self::Classical => 0x0002,
        }
    }

    /// Bytes of the share that opens an exchange.
    pub(crate) fn offer_bytes(self) -> usize {
        match self {
            Self::Hybrid => KEM_KEY_BYTES + X25519_BYTES,
            Self::Classical => X25519_BYTES,
        }
    }

    /// Bytes of the share that answers one.
    pub(crate) fn answer_bytes(self) -> usize {
        match self {
            Self::Hybrid => KEM_CIPHERTEXT_BYTES + X25519_BYTES,
            Self::Classical => X25519_BYTES,
        }
    }

    /// The name that begins every transcript.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "waxwire/1 X25519MLKEM768 Ed25519 ChaCha20Poly1305 SHA256",
            Self::Classical => "waxwire/1 X25519 Ed25519 ChaCha20Poly1305 SHA256",
        }
    }
}

/// The secrets behind a share that was sent, until the answer comes.
pub(crate) struct Offer {
    agreement: provider::Agreement,
    decapsulator: Option<provider::Decapsulator>,
    share: Box<[u8]>,
}

impl Offer {
    pub(crate) fn new(suite: Suite, seed: &Seed) -> Self {
        wiped::<DEEP, _>(|| Self::drawn(suite, seed))
    }

    fn drawn(suite: Suite, seed: &Seed) -> Self {
        let agreement = provider::Agreement::new(&seed.draw("x25519 key"));
        let decapsulator = match suite {
            Suite::Hybrid => Some(provider::Decapsulator::generate(seed)),
            Suite::Classical => None,
        };
        let kem = decapsulator.as_ref().map(provider::Decapsulator::public).unwrap_or_default();
        let share = [&*kem, &agreement.public()].concat().into();
        Self { agreement, decapsulator, share }
    }

    /// What is sent.
    pub(crate) fn share(&self) -> &[u8] {
        &self.share
    }

    /// The shared secret that an answer completes.
    pub(crate) fn complete(self, answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        wiped::<DEEP, _>(|| self.completed(answer))
    }

    fn completed(self, answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let kem_bytes = if self.decapsulator.is_some() { KEM_CIPHERTEXT_BYTES } else { 0 };
        let (ciphertext, theirs) = split(answer, kem_bytes)?;
        if self.share.ends_with(theirs) {
            return Err(ExchangeError::Reflected);
        }
        let kem = match self.decapsulator {
            Some(key) => Some(key.decapsulate(ciphertext).ok_or(ExchangeError::Length)?),
            None => None,
        };
        let agreed = self.agreement.agree(theirs).ok_or(ExchangeError::WeakKeyShare)?;
        Ok(joined(kem.as_ref(), &agreed))
    }
}

/// What an offer is answered with.
pub(crate) struct Answer {
    /// What is sent back.
    pub share: Box<[u8]>,
    /// The shared secret.
    pub shared: Zeroizing<Vec<u8>>,
}

/// Answers an offer.
pub(crate) fn answer(suite: Suite, offer: &[u8], seed: &Seed) -> Result<Answer, ExchangeError> {
    wiped::<DEEP, _>(|| answered(suite, offer, seed))
}

fn answered(suite: Suite, offer: &[u8], seed: &Seed) -> Result<Answer, ExchangeError> {
    let kem_bytes = match suite {
        Suite::Hybrid => KEM_KEY_BYTES,
        Suite::Classical => 0,
    };
    let (kem_key, theirs) = split(offer, kem_bytes)?;
    let agreement = provider::Agreement::new(&seed.draw("x25519 key"));
    let ours = agreement.public();
    if ours == *theirs {
        return Err(ExchangeError::Reflected);
    }
    let agreed = agreement.agree(theirs).ok_or(ExchangeError::WeakKeyShare)?;
    let encapsulated = match suite {
        Suite::Hybrid => {
            Some(provider::encapsulate(kem_key, seed).ok_or(ExchangeError::InvalidKemKey)?)
        }
        Suite::Classical => None,
    };
    let (ciphertext, kem) = encapsulated.unzip();
    let share = [&*ciphertext.unwrap_or_default(), &ours].concat();
    Ok(Answer { share: share.into(), shared: joined(kem.as_ref(), &agreed) })
}

fn split(share: &[u8], kem_bytes: usize) -> Result<(&[u8], &[u8; X25519_BYTES]), ExchangeError> {
    let (kem, theirs) = share.split_last_chunk().ok_or(ExchangeError::Length)?;
    if kem.len() == kem_bytes { Ok((kem, theirs)) } else { Err(ExchangeError::Length) }
}

fn joined(kem: Option<&Secret>, agreed: &Secret) -> Zeroizing<Vec<u8>> {
    let kem = kem.map_or(&[][..], |secret| secret.bytes());
    Zeroizing::new([kem, agreed.bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Suite; 2] = [Suite::Hybrid, Suite::Classical];

    /// proto-spec 03-handshake, 3.3 and 3.4.
    #[test]
    fn a_suite_has_its_number_and_its_name() {
        for (number, suite, name) in [
            (1, Suite::Hybrid, "waxwire/1 X25519MLKEM768 Ed25519 ChaCha20Poly1305 SHA256"),
            (2, Suite::Classical, "waxwire/1 X25519 Ed25519 ChaCha20Poly1305 SHA256"),
        ] {
            assert_eq!(Suite::from_u16(number), Some(suite));
            assert_eq!(suite.to_u16(), number);
            assert_eq!(suite.name(), name);
        }
        let known = (0..=u16::MAX).filter(|number| Suite::from_u16(*number).is_some());
        assert_eq!(known.collect::<Vec<_>>(), [1, 2]);
    }

    /// proto-spec 03-handshake, 3.4: the lengths of the table.
    #[test]
    fn both_sides_share_what_nobody_sent() {
        for (suite, offered, answered, secret) in
            [(Suite::Hybrid, 1_216, 1_120, 64), (Suite::Classical, 32, 32, 32)]
        {
            let offer = Offer::new(suite, &seed(1));
            assert_eq!(offer.share().len(), offered);
            let answer = answer(suite, offer.share(), &seed(2)).expect("a good offer");
            assert_eq!((answer.share.len(), answer.shared.len()), (answered, secret));
            assert_eq!(offer.complete(&answer.share), Ok(answer.shared));
        }
    }

    #[test]
    fn the_hybrid_secret_is_the_kems_and_then_the_classical_one() {
        let offers = BOTH.map(|suite| Offer::new(suite, &seed(1)));
        assert!(offers[0].share().ends_with(offers[1].share()));
        let [hybrid, classical] =
            [0, 1].map(|i| answer(BOTH[i], offers[i].share(), &seed(2)).expect("a good offer"));
        assert!(hybrid.share.ends_with(&classical.share));
        assert_eq!(hybrid.shared[32..], classical.shared[..]);
        assert_ne!(hybrid.shared[..32], classical.shared[..]);
    }

    #[test]
    fn each_seed_gives_other_shares_and_another_secret() {
        for suite in BOTH {
            let (one, two) = (Offer::new(suite, &seed(1)), Offer::new(suite, &seed(2)));
            assert_ne!(one.share(), two.share());
            let three = answer(suite, one.share(), &seed(3)).expect("a good offer");
            let four = answer(suite, one.share(), &seed(4)).expect("a good offer");
            assert_ne!(three.share, four.share);
            assert_ne!(three.shared, four.shared);
        }
    }

    #[test]
    fn a_share_of_another_length_is_refused() {
        for suite in BOTH {
            let offer = Offer::new(suite, &seed(1));
            let reply = answer(suite, offer.share(), &seed(2)).expect("a good offer");
            for length in wrong(offer.share().len()) {
                let refused = answer(suite, &resized(offer.share(), length), &seed(2)).err();
                assert_eq!(refused, Some(ExchangeError::Length), "{suite:?} {length}");
            }
            for length in wrong(reply.share.len()) {
                let offer = Offer::new(suite, &seed(1));
                let refused = offer.complete(&resized(&reply.share, length)).err();
                assert_eq!(refused, Some(ExchangeError::Length), "{suite:?} {length}");
            }
        }
    }

    /// proto-spec [H-10].
    #[test]
    fn ones_own_share_is_refused() {
        for suite in BOTH {
            let ours = Offer::new(suite, &seed(1));
            let refused = answer(suite, ours.share(), &seed(1)).err();
            assert_eq!(refused, Some(ExchangeError::Reflected));
            let reply = answer(suite, ours.share(), &seed(2)).expect("a good offer");
            let point = ours.share().last_chunk().copied().expect("32 bytes");
            let refused = ours.complete(&with_point(&reply.share, &point)).err();
            assert_eq!(refused, Some(ExchangeError::Reflected));
        }
    }

    /// proto-spec [H-8].
    #[test]
    fn a_share_that_forces_the_secret_is_refused() {
        for suite in BOTH {
            let good = Offer::new(suite, &seed(1));
            let reply = answer(suite, good.share(), &seed(2)).expect("a good offer");
            for point in low_order() {
                let refused = answer(suite, &with_point(good.share(), &point), &seed(2)).err();
                assert_eq!(refused, Some(ExchangeError::WeakKeyShare), "{point:02x?}");
                let refused =
                    Offer::new(suite, &seed(1)).complete(&with_point(&reply.share, &point)).err();
                assert_eq!(refused, Some(ExchangeError::WeakKeyShare), "{point:02x?}");
            }
        }
    }

    /// proto-spec [H-9]: a coefficient of the key that is not below 3329.
    #[test]
    fn an_encapsulation_key_that_is_not_reduced_is_refused() {
        let offer = Offer::new(Suite::Hybrid, &seed(1));
        // The first coefficient is the low twelve bits of three bytes, little-endian.
        for (coefficient, fits) in [(3_328_u16, true), (3_329, false), (4_095, false)] {
            let mut share = offer.share().to_vec();
            let [low, high] = coefficient.to_le_bytes();
            share[0] = low;
            share[1] = share[1] & 0xf0 | high;
            let refused = answer(Suite::Hybrid, &share, &seed(2)).err();
            let expected = (!fits).then_some(ExchangeError::InvalidKemKey);
            assert_eq!(refused, expected, "{coefficient}");
        }
    }

    /// FIPS 203, 6.3: implicit rejection.
    #[test]
    fn a_changed_ciphertext_gives_another_secret() {
        let offer = Offer::new(Suite::Hybrid, &seed(1));
        let reply = answer(Suite::Hybrid, offer.share(), &seed(2)).expect("a good offer");
        let mut share = reply.share.to_vec();
        share[0] ^= 1;
        let other = offer.complete(&share).expect("nobody can tell");
        assert_ne!(other[..32], reply.shared[..32]);
        assert_eq!(other[32..], reply.shared[32..]);
    }

    fn seed(byte: u8) -> Seed {
        Seed::dangerous_reproducible([byte; 32])
    }

    fn wrong(length: usize) -> impl Iterator<Item = usize> {
        [0, 31, 32, 33, 1_119, 1_120, 1_121, 1_215, 1_216, 1_217, 4_096]
            .into_iter()
            .filter(move |other| *other != length)
    }

    fn resized(share: &[u8], length: usize) -> Vec<u8> {
        share.iter().copied().cycle().take(length).collect()
    }

    fn with_point(share: &[u8], point: &[u8; 32]) -> Vec<u8> {
        [&share[..share.len() - 32], point].concat()
    }

    /// Every encoding of a point whose multiples by eight are zero.
    fn low_order() -> Vec<[u8; 32]> {
        let known = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        let bytes = |text| hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let points = known.map(|text| bytes(text).expect("32 bytes of hex"));
        let signed = points.map(|mut point: [u8; 32]| {
            point[31] |= 0x80;
            point
        });
        [points, signed].concat()
    }
}

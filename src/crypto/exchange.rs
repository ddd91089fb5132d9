//! The ephemeral half of a key exchange: X25519 alone, or joined with ML-KEM-768. Knows no
//! signature and no transcript; both shares must be signed by whoever uses this.

use zeroize::Zeroizing;

use super::provider;
use super::schedule::Secret;
use super::seed::Seed;

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

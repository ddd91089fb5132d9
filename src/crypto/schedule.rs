//! HKDF-SHA-256 as TLS 1.3 uses it: extract, and expand with a label. Knows no secret's meaning.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

const PREFIX: &[u8] = b"waxwire/1 ";
const MAX_OUTPUT: usize = 255 * 32;

/// Thirty-two secret bytes. Wiped on drop, never printed, never copied by accident. On the heap, so
/// that moving what holds it (out of a box, say) leaves no copy of it behind.
pub(crate) struct Secret(Box<[u8; 32]>);

/// Keying material of a length that HKDF cannot give.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("keying material is limited to 8160 bytes under a label of at most 245")]
pub struct ExportError;

impl Secret {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Box::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A copy where a protocol step needs the secret twice. Deliberate, hence not `Clone`.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The secret that `label` names under this one.
    pub(crate) fn derive(&self, label: &str, context: &[u8]) -> Self {
        let mut secret = Self::new([0; 32]);
        let done = self.expand(label, context, &mut *secret.0);
        assert!(done.is_ok(), "a label or context of our own is too long");
        secret
    }

    /// Bytes that `label` names under this secret: public ids, nonces and keys for others' types.
    pub(crate) fn derive_bytes<const N: usize>(&self, label: &str, context: &[u8]) -> [u8; N] {
        let mut out = [0; N];
        let done = self.expand(label, context, &mut out);
        assert!(done.is_ok(), "a label or context of our own is too long");
        out
    }

    /// HKDF-Expand-Label into `out`.
    pub(crate) fn expand(
        &self,
        label: &str,
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        if out.len() > MAX_OUTPUT {
            return Err(ExportError);
        }
        let length = u16::try_from(out.len()).map_err(|_| ExportError)?;
        let label_length = u8::try_from(PREFIX.len() + label.len()).map_err(|_| ExportError)?;
        let context_length = u8::try_from(context.len()).map_err(|_| ExportError)?;
        let info: [&[u8]; 6] = [
            &length.to_be_bytes(),
            &[label_length],
            PREFIX,
            label.as_bytes(),
            &[context_length],
            context,
        ];
        let hkdf = Hkdf::<Sha256>::from_prk(&*self.0).map_err(|_| ExportError)?;
        hkdf.expand_multi_info(&info, out).map_err(|_| ExportError)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8], material: &[u8]) -> Secret {
    let (mut prk, _) = Hkdf::<Sha256>::extract(Some(salt), material);
    let secret = Secret::new(prk.into());
    prk.as_mut_slice().zeroize();
    secret
}

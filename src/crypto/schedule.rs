//! HKDF-SHA-256 as TLS 1.3 uses it: extract, and expand with a label. Knows no secret's meaning.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::stack::{SHALLOW, wiped};

const PREFIX: &[u8] = b"waxwire/1 ";
const MAX_OUTPUT: usize = 255 * 32;

/// Secret bytes, 32 unless it says otherwise. Wiped on drop, never printed, never copied by accident.
/// On the heap, so that moving what holds it (out of a box, say) leaves no copy of it behind.
pub(crate) struct Secret<const N: usize = 32>(Box<[u8; N]>);

/// Why there is no keying material.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A length that HKDF cannot give.
    #[error("keying material is limited to 8160 bytes under a label of 1 to 245")]
    Length,
    /// The session is over, and what it could be derived from is erased.
    #[error("session is closed; its secrets are erased")]
    Erased,
}

impl<const N: usize> Secret<N> {
    pub(crate) fn new(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// A copy where a protocol step needs the secret twice. Deliberate, hence not `Clone`.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Secret {
    /// The secret that `label` names under this one.
    pub(crate) fn derive(&self, label: &str, context: &[u8]) -> Self {
        self.derive_sized(label, context)
    }

    /// The same, of another length.
    pub(crate) fn derive_sized<const N: usize>(&self, label: &str, context: &[u8]) -> Secret<N> {
        let mut secret = Secret::new([0; N]);
        let done = self.expand(label, context, &mut *secret.0);
        assert!(done.is_ok(), "a label or context of our own is too long");
        secret
    }

    /// Bytes that `label` names under this secret: public ids, and keys for others' types.
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
            return Err(ExportError::Length);
        }
        let length = u16::try_from(out.len()).map_err(|_| ExportError::Length)?;
        let label_length =
            u8::try_from(PREFIX.len() + label.len()).map_err(|_| ExportError::Length)?;
        let context_length = u8::try_from(context.len()).map_err(|_| ExportError::Length)?;
        let info: [&[u8]; 6] = [
            &length.to_be_bytes(),
            &[label_length],
            PREFIX,
            label.as_bytes(),
            &[context_length],
            context,
        ];
        wiped::<SHALLOW, _>(|| {
            let hkdf = Hkdf::<Sha256>::from_prk(&*self.0).map_err(|_| ExportError::Length)?;
            hkdf.expand_multi_info(&info, out).map_err(|_| ExportError::Length)
        })
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8], material: &[u8]) -> Secret {
    wiped::<SHALLOW, _>(|| {
        let (mut prk, _) = Hkdf::<Sha256>::extract(Some(salt), material);
        let secret = Secret::new(prk.into());
        prk.as_mut_slice().zeroize();
        secret
    })
}

#[cfg(test)]
mod tests {
    use super::super::hash::mac;
    use super::*;

    /// RFC 5869, A.1 to A.3.
    #[test]
    fn extract_is_the_standard_one() {
        let (material, salt): (Vec<u8>, Vec<u8>) = ((0..0x50).collect(), (0x60..0xb0).collect());
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                &[0x0b; 22],
                "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            ),
            (&salt, &material, "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"),
            (&[], &[0x0b; 22], "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"),
        ];
        for (salt, material, expected) in cases {
            assert_eq!(hex::encode(extract(salt, material).bytes()), expected);
        }
    }

    /// RFC 5869, 2.3: T(1) = HMAC(prk, info || 1), T(2) = HMAC(prk, T(1) || info || 2).
    #[test]
    fn expand_is_the_standard_one_over_the_label_as_drawn() {
        let secret = Secret::new([0x22; 32]);
        let info = b"\x00\x28\x0fwaxwire/1 label\x03ctx";
        let first = mac(secret.bytes(), &[info, &[1]]);
        let second = mac(secret.bytes(), &[&first, info, &[2]]);
        let mut out = [0; 40];
        assert_eq!(secret.expand("label", b"ctx", &mut out), Ok(()));
        assert_eq!(out[..32], first);
        assert_eq!(out[32..], second[..8]);
        let derived: [u8; 40] = secret.derive_bytes("label", b"ctx");
        assert_eq!(derived, out);
    }

    /// proto-spec 01-terms, 1.6.
    #[test]
    fn the_check_values_come_out() {
        let secret = Secret::new([0x22; 32]);
        let info = hex::decode("00200d776178776972652f31206b657900").expect("hex");
        assert_eq!(secret.derive("key", b"").bytes(), &mac(secret.bytes(), &[&info, &[1]]));
        for (label, expected) in [
            ("key", "8ddc0029dde58d3126be75cdaaba6627814a6e8ab3e7f6353ace26ec3a2b5d46"),
            ("upd", "9ce258563853450bc1b11beb2499a81e6dbe72e18aa6c46fa71fc90559acb66a"),
        ] {
            assert_eq!(hex::encode(secret.derive(label, b"").bytes()), expected);
        }
        let iv: Secret<12> = secret.derive_sized("iv", b"");
        assert_eq!(hex::encode(iv.bytes()), "1ce633e90a622525671baf0c");
    }

    /// proto-spec [H-14], and the bounds of XL (01-terms, 1.4).
    #[test]
    fn what_is_too_long_is_an_error_and_never_shorter() {
        let secret = Secret::new([1; 32]);
        let (label, context) = ("l".repeat(246), [0; 256]);
        let expand = |label: &str, context: &[u8], length| {
            let mut out = vec![0; length];
            let done = secret.expand(label, context, &mut out);
            assert_eq!(out.iter().any(|byte| *byte != 0), done.is_ok() && length > 0);
            done
        };
        assert_eq!(expand("", b"", 0), Ok(()));
        assert_eq!(expand(&label[..245], &context[..255], 8_160), Ok(()));
        assert_eq!(expand("l", b"", 8_161), Err(ExportError::Length));
        assert_eq!(expand("l", b"", 65_536), Err(ExportError::Length));
        assert_eq!(expand(&label, b"", 1), Err(ExportError::Length));
        assert_eq!(expand("l", &context, 1), Err(ExportError::Length));
    }

    #[test]
    #[should_panic(expected = "too long")]
    fn a_label_of_our_own_that_is_too_long_stops_the_program() {
        let _ = Secret::new([1; 32]).derive(&"l".repeat(246), b"");
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.duplicate().bytes(), &[0xab; 32]);
    }
}

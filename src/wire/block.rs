//! The sealed block of a REPLY or a FINISH, once opened: who speaks, and what it signed.

use bytes::{BufMut, BytesMut};

use super::list::List;
use super::reader::{Malformed, Reader};
use super::writer::put_lv16;
use crate::limits::{CREDENTIAL_BYTES, CREDENTIAL_CHAIN};

const KIND_KEY: u8 = 1;
const KIND_CREDENTIALS: u8 = 2;

/// Who a party says it is. Proves nothing by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Claim<'a> {
    /// A bare Ed25519 key, which the other side has pinned.
    Key([u8; 32]),
    /// A credential, and the one of its issuer if that is not a root.
    Credentials { leaf: &'a [u8], issuer: Option<&'a [u8]> },
}

impl<'a> Claim<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let claim = match reader.u8()? {
            KIND_KEY => Self::Key(reader.array()?),
            KIND_CREDENTIALS => {
                let count = usize::from(reader.u8()?);
                if !(1..=CREDENTIAL_CHAIN).contains(&count) {
                    return Err(Malformed::Bounds("credential chain"));
                }
                let leaf = bounded(reader.lv16()?)?;
                let issuer = match count {
                    1 => None,
                    _ => Some(bounded(reader.lv16()?)?),
                };
                Self::Credentials { leaf, issuer }
            }
            _ => return Err(Malformed::Value("identity kind")),
        };
        reader.end()?;
        Ok(claim)
    }
}

/// Appends an identity block.
pub(crate) fn encode_claim(claim: &Claim<'_>, out: &mut BytesMut) {
    match claim {
        Claim::Key(key) => {
            out.put_u8(KIND_KEY);
            out.put_slice(key);
        }
        Claim::Credentials { leaf, issuer } => {
            out.put_u8(KIND_CREDENTIALS);
            out.put_u8(1 + u8::from(issuer.is_some()));
            put_lv16(out, leaf);
            if let Some(issuer) = issuer {
                put_lv16(out, issuer);
            }
        }
    }
}

fn bounded(credential: &[u8]) -> Result<&[u8], Malformed> {
    if credential.len() <= CREDENTIAL_BYTES {
        Ok(credential)
    } else {
        Err(Malformed::Bounds("credential"))
    }
}

/// The plaintext of a sealed block.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The identity block as received; what a signature covers is these bytes.
    pub identity: &'a [u8],
    /// The key the sender believes to speak to. FINISH only.
    pub audience: Option<[u8; 32]>,
    /// What the sender asks for.
    pub params: List<'a>,
    /// Signature over the transcript up to here.
    pub signature: [u8; 64],
    /// Proof that the sender knows the keys of this handshake.
    pub finished: [u8; 32],
    /// Bytes in front of the signature.
    pub signed_bytes: usize,
}

impl<'a> Block<'a> {
    pub(crate) fn decode_reply(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode(bytes, |_| Ok(None))
    }

    pub(crate) fn decode_finish(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode(bytes, |reader| reader.array().map(Some))
    }

    fn decode(
        bytes: &'a [u8],
        audience: fn(&mut Reader<'a>) -> Result<Option<[u8; 32]>, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let identity = reader.lv16()?;
        let audience = audience(&mut reader)?;
        let params = List::decode(reader.lv16()?, "parameters")?;
        let signed_bytes = bytes.len() - reader.rest().len();
        let signature = reader.array()?;
        let finished = reader.array()?;
        reader.end()?;
        Ok(Self { identity, audience, params, signature, finished, signed_bytes })
    }
}

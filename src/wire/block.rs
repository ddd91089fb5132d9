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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::{assert_fills, edited};
    use super::super::list::put_entry;
    use super::*;

    const KEY: Claim<'static> = Claim::Key([7; 32]);
    const LEAF: Claim<'static> = Claim::Credentials { leaf: b"leaf", issuer: None };
    const PAIR: Claim<'static> = Claim::Credentials { leaf: b"leaf", issuer: Some(b"above") };

    #[test]
    fn an_identity_stands_as_the_table_draws_it() {
        assert_eq!(claim(&KEY), [&[1], &[7; 32][..]].concat());
        assert_eq!(claim(&LEAF), b"\x02\x01\x00\x04leaf");
        assert_eq!(claim(&PAIR), b"\x02\x02\x00\x04leaf\x00\x05above");
        for expected in [KEY, LEAF, PAIR] {
            let bytes = claim(&expected);
            assert_eq!(Claim::decode(&bytes), Ok(expected));
            assert_fills(&bytes, |bytes| Claim::decode(bytes).map(|_| ()));
        }
    }

    /// proto-spec [H-16]: kind.
    #[test]
    fn an_identity_of_another_kind_is_refused() {
        for kind in (0..=u8::MAX).filter(|kind| ![1, 2].contains(kind)) {
            let bytes = [&[kind], &[1; 32][..]].concat();
            assert_eq!(Claim::decode(&bytes), Err(Malformed::Value("identity kind")));
        }
    }

    /// proto-spec [H-16]: count.
    #[test]
    fn a_chain_holds_one_or_two_credentials() {
        for count in [0, 3, 255] {
            let bytes = [&[2, count], &b"\x00\x01a".repeat(count.into())[..]].concat();
            assert_eq!(Claim::decode(&bytes), Err(Malformed::Bounds("credential chain")));
        }
    }

    /// proto-spec [H-16]: size.
    #[test]
    fn a_credential_has_at_most_2048_bytes() {
        let (fits, beyond) = (vec![1; 2_048], vec![1; 2_049]);
        let largest = Claim::Credentials { leaf: &fits, issuer: Some(&fits) };
        assert_eq!(Claim::decode(&claim(&largest)), Ok(largest));
        for (leaf, issuer) in [(&beyond, None), (&fits, Some(&*beyond))] {
            let bytes = claim(&Claim::Credentials { leaf, issuer });
            assert_eq!(Claim::decode(&bytes), Err(Malformed::Bounds("credential")));
        }
    }

    #[test]
    fn a_block_stands_as_the_table_draws_it() {
        for audience in [None, Some([3; 32])] {
            let bytes = block(audience);
            let read = decoded(audience, &bytes).expect("well formed");
            assert_eq!(read.identity, b"who");
            assert_eq!(read.audience, audience);
            assert_eq!(read.params.get(1), Some(&b"ab"[..]));
            assert_eq!(read.signature, [5; 64]);
            assert_eq!(read.finished, [6; 32]);
            assert_eq!(read.signed_bytes, bytes.len() - 96);
        }
    }

    /// proto-spec [H-6]: the layout is filled exactly.
    #[test]
    fn a_block_that_is_cut_or_continued_is_refused() {
        assert_fills(&block(None), |bytes| Block::decode_reply(bytes).map(|_| ()));
        assert_fills(&block(Some([3; 32])), |bytes| Block::decode_finish(bytes).map(|_| ()));
    }

    /// proto-spec [H-6]: a list that does not ascend.
    #[test]
    fn a_block_with_disordered_parameters_is_refused() {
        let mut params = BytesMut::new();
        put_entry(&mut params, 2, b"");
        put_entry(&mut params, 1, b"");
        let bytes = block_with(None, &params);
        assert_eq!(Block::decode_reply(&bytes).err(), Some(Malformed::Order("parameters")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn an_identity_that_is_read_is_written_the_same(
            bytes in edited([KEY, LEAF, PAIR].iter().map(claim).collect()),
        ) {
            if let Ok(read) = Claim::decode(&bytes) {
                prop_assert_eq!(claim(&read), bytes);
            }
        }

        #[test]
        fn a_block_that_is_read_is_written_the_same(
            finish in any::<bool>(),
            bytes in edited(vec![block(None), block(Some([3; 32]))]),
        ) {
            if let Ok(read) = decoded(finish.then_some([0; 32]), &bytes) {
                let mut again = BytesMut::new();
                put_lv16(&mut again, read.identity);
                again.put_slice(&read.audience.map(|key| key.to_vec()).unwrap_or_default());
                put_lv16(&mut again, read.params.bytes());
                prop_assert_eq!(read.signed_bytes, again.len());
                again.put_slice(&read.signature);
                again.put_slice(&read.finished);
                prop_assert_eq!(&again[..], &bytes[..]);
            }
        }
    }

    fn claim(claim: &Claim<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode_claim(claim, &mut out);
        out.to_vec()
    }

    fn decoded(audience: Option<[u8; 32]>, bytes: &[u8]) -> Result<Block<'_>, Malformed> {
        match audience {
            None => Block::decode_reply(bytes),
            Some(_) => Block::decode_finish(bytes),
        }
    }

    fn block(audience: Option<[u8; 32]>) -> Vec<u8> {
        let mut params = BytesMut::new();
        put_entry(&mut params, 1, b"ab");
        block_with(audience, &params)
    }

    fn block_with(audience: Option<[u8; 32]>, params: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_lv16(&mut out, b"who");
        out.put_slice(&audience.map(|key| key.to_vec()).unwrap_or_default());
        put_lv16(&mut out, params);
        out.put_bytes(5, 64);
        out.put_bytes(6, 32);
        out.to_vec()
    }
}

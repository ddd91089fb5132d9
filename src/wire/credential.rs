//! Credentials and enrolment requests: signed statements, read as they were received.

use bytes::{BufMut, BytesMut};

use super::reader::{Malformed, Reader};
use super::writer::{put_lv8, put_lv16};

const VERSION: u8 = 1;

/// What a credential lets its key do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CredentialKind {
    /// Speak for a subject.
    Leaf,
    /// Sign leaves.
    Issuer,
}

/// The fields of a credential. Borrows from its bytes; nothing is verified yet.
#[derive(Clone, Copy)]
pub(crate) struct CredentialLayout<'a> {
    pub kind: CredentialKind,
    pub serial: [u8; 16],
    pub not_before: u64,
    pub not_after: u64,
    pub roles: u8,
    pub key: [u8; 32],
    pub issuer: [u8; 8],
    pub realm: &'a [u8],
    pub subject: &'a [u8],
    pub labels: &'a [u8],
}

impl<'a> CredentialLayout<'a> {
    /// Reads a credential: its fields, the bytes that are signed, the signature.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Self, &'a [u8], [u8; 64]), Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed::Value("credential version"));
        }
        let kind = match reader.u8()? {
            1 => CredentialKind::Leaf,
            2 => CredentialKind::Issuer,
            _ => return Err(Malformed::Value("credential kind")),
        };
        let layout = Self {
            kind,
            serial: reader.array()?,
            not_before: reader.u64()?,
            not_after: reader.u64()?,
            roles: reader.u8()?,
            key: reader.array()?,
            issuer: reader.array()?,
            realm: reader.lv8()?,
            subject: reader.lv8()?,
            labels: reader.lv16()?,
        };
        let signed = bytes.len() - reader.rest().len();
        let signature = reader.array()?;
        reader.end()?;
        check_labels(layout.labels)?;
        if !(1..=3).contains(&layout.roles) {
            return Err(Malformed::Value("roles"));
        }
        let signed = bytes.get(..signed).ok_or(Malformed::Truncated)?;
        Ok((layout, signed, signature))
    }

    /// Appends the bytes that are signed.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u8(match self.kind {
            CredentialKind::Leaf => 1,
            CredentialKind::Issuer => 2,
        });
        out.put_slice(&self.serial);
        out.put_u64(self.not_before);
        out.put_u64(self.not_after);
        out.put_u8(self.roles);
        out.put_slice(&self.key);
        out.put_slice(&self.issuer);
        put_lv8(out, self.realm);
        put_lv8(out, self.subject);
        put_lv16(out, self.labels);
    }

    /// The labels, in the order of their keys.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.labels);
        std::iter::from_fn(move || Some((reader.lv8().ok()?, reader.lv8().ok()?)))
    }
}

fn check_labels(bytes: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    let mut last: Option<&[u8]> = None;
    while !reader.rest().is_empty() {
        let key = reader.lv8()?;
        reader.lv8()?;
        if key.is_empty() || last.is_some_and(|last| last >= key) {
            return Err(Malformed::Order("labels"));
        }
        last = Some(key);
    }
    Ok(())
}

/// A request to be given a credential: proof that the asker holds the key it names.
#[derive(Clone, Copy)]
pub(crate) struct EnrolmentLayout<'a> {
    pub key: [u8; 32],
    pub subject: &'a [u8],
    pub nonce: [u8; 32],
}

impl<'a> EnrolmentLayout<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Self, &'a [u8], [u8; 64]), Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed::Value("enrolment version"));
        }
        let key = reader.array()?;
        let subject = reader.lv8()?;
        let nonce = reader.array()?;
        let signed = bytes.len() - reader.rest().len();
        let signature = reader.array()?;
        reader.end()?;
        let signed = bytes.get(..signed).ok_or(Malformed::Truncated)?;
        Ok((Self { key, subject, nonce }, signed, signature))
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_slice(&self.key);
        put_lv8(out, self.subject);
        out.put_slice(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::{assert_fills, edited};
    use super::*;

    const LEAF: CredentialLayout<'static> = CredentialLayout {
        kind: CredentialKind::Leaf,
        serial: [1; 16],
        not_before: 0x0203,
        not_after: 0x0405,
        roles: 3,
        key: [6; 32],
        issuer: [7; 8],
        realm: b"realm",
        subject: b"who",
        labels: b"\x01a\x02bc\x02ab\x00",
    };
    const REQUEST: EnrolmentLayout<'static> =
        EnrolmentLayout { key: [6; 32], subject: b"who", nonce: [8; 32] };

    #[test]
    fn a_credential_stands_as_the_table_draws_it() {
        let bytes = credential(&LEAF);
        let expected = [
            &[1, 1][..],
            &[1; 16],
            &[0, 0, 0, 0, 0, 0, 2, 3],
            &[0, 0, 0, 0, 0, 0, 4, 5],
            &[3],
            &[6; 32],
            &[7; 8],
            b"\x05realm\x03who",
            b"\x00\x09\x01a\x02bc\x02ab\x00",
            &[9; 64],
        ];
        assert_eq!(bytes, expected.concat());
        let (read, signed, signature) = CredentialLayout::decode(&bytes).expect("well formed");
        assert_eq!(read.kind, CredentialKind::Leaf);
        assert_eq!((read.serial, read.key, read.issuer), ([1; 16], [6; 32], [7; 8]));
        assert_eq!((read.not_before, read.not_after, read.roles), (0x0203, 0x0405, 3));
        assert_eq!(
            (read.realm, read.subject, read.labels),
            (&b"realm"[..], &b"who"[..], LEAF.labels)
        );
        assert_eq!(signed, &bytes[..bytes.len() - 64]);
        assert_eq!(signature, [9; 64]);
        let labels: Vec<_> = read.labels().collect();
        assert_eq!(labels, [(&b"a"[..], &b"bc"[..]), (&b"ab"[..], &b""[..])]);
    }

    /// proto-spec [H-16]: bytes behind the end.
    #[test]
    fn a_credential_that_is_cut_or_continued_is_refused() {
        assert_fills(&credential(&LEAF), |bytes| CredentialLayout::decode(bytes).map(|_| ()));
    }

    /// proto-spec [H-16]: version and kind.
    #[test]
    fn a_credential_has_one_version_and_two_kinds() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != 1) {
            let mut bytes = credential(&LEAF);
            bytes[0] = byte;
            assert_eq!(refused(&bytes), Some(Malformed::Value("credential version")));
            let mut bytes = credential(&LEAF);
            bytes[1] = byte;
            let kind = CredentialLayout::decode(&bytes).map(|(read, ..)| read.kind);
            match byte {
                2 => assert_eq!(kind, Ok(CredentialKind::Issuer)),
                _ => assert_eq!(kind, Err(Malformed::Value("credential kind"))),
            }
        }
        let issuer = credential(&CredentialLayout { kind: CredentialKind::Issuer, ..LEAF });
        assert_eq!(issuer[..2], [1, 2]);
    }

    /// proto-spec [H-16]: at least one role, and no other bit.
    #[test]
    fn roles_are_one_or_both_of_two() {
        for roles in 0..=u8::MAX {
            let read = refused(&credential(&CredentialLayout { roles, ..LEAF }));
            let expected = (!(1..=3).contains(&roles)).then_some(Malformed::Value("roles"));
            assert_eq!(read, expected, "{roles}");
        }
    }

    /// proto-spec [H-16]: order of labels; a prefix comes first, keys are not empty.
    #[test]
    fn labels_ascend_strictly_and_have_keys() {
        let good: [&[u8]; 4] = [b"", b"\x01a\x00", b"\x01a\x00\x01b\x00", b"\x01a\x00\x02aa\x00"];
        for labels in good {
            assert_eq!(refused(&credential(&CredentialLayout { labels, ..LEAF })), None);
        }
        let disordered: [&[u8]; 5] = [
            b"\x00\x00",
            b"\x01b\x00\x01a\x00",
            b"\x01a\x00\x01a\x01b",
            b"\x02aa\x00\x01a\x00",
            b"\x01a\x00\x01c\x00\x01b\x00",
        ];
        for labels in disordered {
            let read = refused(&credential(&CredentialLayout { labels, ..LEAF }));
            assert_eq!(read, Some(Malformed::Order("labels")), "{labels:?}");
        }
        let cut: [&[u8]; 4] = [b"\x01", b"\x01a", b"\x01a\x01", b"\x01a\x00\x01"];
        for labels in cut {
            let read = refused(&credential(&CredentialLayout { labels, ..LEAF }));
            assert_eq!(read, Some(Malformed::Truncated), "{labels:?}");
        }
    }

    #[test]
    fn a_request_stands_as_the_table_draws_it() {
        let bytes = enrolment(&REQUEST);
        let expected = [&[1][..], &[6; 32], b"\x03who", &[8; 32], &[9; 64]].concat();
        assert_eq!(bytes, expected);
        let (read, signed, signature) = EnrolmentLayout::decode(&bytes).expect("well formed");
        assert_eq!((read.key, read.subject, read.nonce), ([6; 32], &b"who"[..], [8; 32]));
        assert_eq!(signed, &bytes[..bytes.len() - 64]);
        assert_eq!(signature, [9; 64]);
        assert_fills(&bytes, |bytes| EnrolmentLayout::decode(bytes).map(|_| ()));
        for version in (0..=u8::MAX).filter(|version| *version != 1) {
            let mut bytes = bytes.clone();
            bytes[0] = version;
            let read = EnrolmentLayout::decode(&bytes).err();
            assert_eq!(read, Some(Malformed::Value("enrolment version")));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            bytes in edited(vec![credential(&LEAF), enrolment(&REQUEST)]),
        ) {
            if let Ok((read, signed, signature)) = CredentialLayout::decode(&bytes) {
                let mut again = BytesMut::new();
                read.encode(&mut again);
                prop_assert_eq!(&again[..], signed);
                prop_assert_eq!([signed, &signature].concat(), &bytes[..]);
                let mut labels = BytesMut::new();
                for (key, value) in read.labels() {
                    put_lv8(&mut labels, key);
                    put_lv8(&mut labels, value);
                }
                prop_assert_eq!(&labels[..], read.labels);
            }
            if let Ok((read, signed, signature)) = EnrolmentLayout::decode(&bytes) {
                let mut again = BytesMut::new();
                read.encode(&mut again);
                prop_assert_eq!(&again[..], signed);
                prop_assert_eq!([signed, &signature].concat(), &bytes[..]);
            }
        }
    }

    fn refused(bytes: &[u8]) -> Option<Malformed> {
        CredentialLayout::decode(bytes).err()
    }

    fn credential(layout: &CredentialLayout<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        layout.encode(&mut out);
        out.put_bytes(9, 64);
        out.to_vec()
    }

    fn enrolment(layout: &EnrolmentLayout<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        layout.encode(&mut out);
        out.put_bytes(9, 64);
        out.to_vec()
    }
}

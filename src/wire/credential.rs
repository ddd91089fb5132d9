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

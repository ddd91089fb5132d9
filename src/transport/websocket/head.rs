//! The head of an HTTP message, read up to its blank line within a bound. Knows nothing of what it
//! says.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::http::header::{HeaderMap, HeaderName};

use crate::limits::UPGRADE_BYTES;
use crate::transport::TransportError;

const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A head, blank line included, and what was read behind it.
pub(super) struct Head {
    pub(super) bytes: Bytes,
    pub(super) rest: BytesMut,
}

/// Reads a head: at most [`UPGRADE_BYTES`], looked at once however many pieces it comes in.
/// tungstenite's own reader takes 64 KiB and parses it anew for each piece.
///
/// # Errors
///
/// [`TransportError::UpgradeTooLarge`] when the bound is reached without a blank line, [`Io`] if the
/// stream fails or ends.
///
/// [`Io`]: TransportError::Io
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Head, TransportError> {
    let mut read = BytesMut::new();
    loop {
        let room = UPGRADE_BYTES - read.len();
        if room == 0 {
            return Err(TransportError::UpgradeTooLarge);
        }
        let unseen = read.len().saturating_sub(BLANK_LINE.len() - 1);
        if stream.read_buf(&mut (&mut read).limit(room)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut windows = read.get(unseen..).unwrap_or_default().windows(BLANK_LINE.len());
        if let Some(at) = windows.position(|window| window == BLANK_LINE) {
            let bytes = read.split_to(unseen + at + BLANK_LINE.len()).freeze();
            return Ok(Head { bytes, rest: read });
        }
    }
}

/// The elements of a header that is a list, over all its lines.
pub(super) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}
